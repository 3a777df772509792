"""Composition of a photo: who wears what, in which pose, seen how, and what lies in front of it."""

from dataclasses import dataclass

import numpy as np

from kps.synthetic import drawing as layers
from kps.synthetic.body import Figure, flat_figure, sample_figure
from kps.synthetic.canvas import Camera, framed
from kps.synthetic.drawing import Fabric, Garment, Layer, Rng, random_fabric, wobble
from kps.synthetic.lowers import build_lower
from kps.synthetic.person import hanger, person_layers, random_objects
from kps.synthetic.plan import BOTTOMS, OUTWEAR, TOPS, Item, Look, PhotoPlan, sample_look
from kps.synthetic.uppers import build_upper

VIEWPOINTS = {"flat": 1, "front": 2, "side": 3, "back": 3}


@dataclass
class Scene:
    """Garments and every layer to paint, in painting order, in centimetres."""

    garments: list[Garment]
    layers: list[Layer]
    camera: Camera
    view: str  # flat, front, side, back


def compose(plan: PhotoPlan, rng: Rng) -> Scene:
    """The scene of a plan."""
    view = _view(plan, rng)
    figure = flat_figure(rng) if view == "flat" else sample_figure(rng, view)
    looks = [sample_look(item.category_id, np.random.default_rng([item.look_seed, 1])) for item in plan.items]
    tucked = _adapt_looks(looks, plan, figure, rng)
    garments = [_garment(i, item, looks[i], figure, rng, tucked=tucked) for i, item in enumerate(plan.items)]
    garment_layers = [layer for garment in garments for layer in garment.layers]
    others = person_layers(figure, rng) if figure.worn else hanger(plan.items[0].category_id, rng)
    body = figure.warp
    for layer in others:
        layer.moved(body)
    for garment in garments:
        garment.moved(body)
        garment.moved(wobble(rng, 0.45, 26.0))
    box = _box(garments)
    everything = garment_layers + others + random_objects(figure, box, rng)
    everything.sort(key=lambda layer: layer.z)
    return Scene(garments, everything, _camera(box, plan, figure, rng), view)


def _view(plan: PhotoPlan, rng: Rng) -> str:
    flat = 0.0 if len(plan.items) > 1 else 0.3 if plan.source == "shop" else 0.12
    share = np.array([flat, 0.8, 0.11, 0.09])
    return str(rng.choice(["flat", "front", "side", "back"], p=share / share.sum()))


def _garment(number: int, item: Item, look: Look, figure: Figure, rng: Rng, *, tucked: bool) -> Garment:
    fabric = _fabric(item.category_id, np.random.default_rng([item.look_seed, 2]))
    build = build_lower if item.category_id in BOTTOMS else build_upper
    garment = build(item.category_id, look, figure, fabric, rng)
    for layer in garment.layers:
        layer.garment = number
        if tucked and item.category_id in TOPS and layer.panel.startswith("torso"):
            layer.z = layers.Z_UNDER  # the bottom is painted over it
    return garment


def _fabric(category_id: int, identity: Rng) -> Fabric:
    if category_id in {7, 8} and identity.random() < 0.55:
        return random_fabric(identity, ("denim",))
    if category_id in {7, 8}:
        return random_fabric(identity, ("plain", "denim", "checks", "stripes"))
    return random_fabric(identity)


def _adapt_looks(looks: list[Look], plan: PhotoPlan, figure: Figure, rng: Rng) -> bool:
    """Fit garments to one another and to being worn or laid down, in place; True: the top is tucked in."""
    kinds = [item.category_id for item in plan.items]
    tops, bottoms = ([i for i, kind in enumerate(kinds) if kind in group] for group in (TOPS, BOTTOMS))
    coats = [look for kind, look in zip(kinds, looks, strict=True) if kind in OUTWEAR]
    for kind, look in zip(kinds, looks, strict=True):
        if not figure.worn:  # without a body inside, cloth is wider and its front rests more closed
            look.ease, look.waist_ease = look.ease + 1.0, look.waist_ease + 2.0
            look.opening *= 0.5
        elif kind in OUTWEAR and len(kinds) == 1:  # nothing below it: worn closed
            look.opening *= 0.08
        elif coats and kind not in OUTWEAR:  # what is worn below a coat fits into it
            look.ease, look.waist_ease = min(look.ease, 0.4 * coats[0].ease), min(look.waist_ease, 2.5)
            look.cuff_width, look.shoulder_drop = min(look.cuff_width, 5.0), min(look.shoulder_drop, 0.3)
    if not tops or not bottoms or rng.random() > 0.4:
        return False
    looks[tops[0]].hem_y = looks[bottoms[0]].rise + rng.uniform(3.0, 8.0)
    looks[tops[0]].hem_curve = 0.3
    looks[tops[0]].waist_ease = min(looks[tops[0]].waist_ease, 2.5)
    return True


def _box(garments: list[Garment]) -> np.ndarray:
    """Extent (x1, y1, x2, y2) of the landmarks of all garments, cm."""
    points = np.array([point for garment in garments for point, _ in garment.landmarks.values()])
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _camera(box: np.ndarray, plan: PhotoPlan, figure: Figure, rng: Rng) -> Camera:
    width, height = _size(rng)
    kind = rng.random()
    if not figure.worn:
        return framed(tuple(box), width, height, rng.uniform(0.06, 0.4), rng, wild=1.6)
    kinds = {item.category_id for item in plan.items}
    only_top = len(kinds) == 1 and kinds <= TOPS | OUTWEAR
    if len(kinds) == 1 and kinds <= BOTTOMS:  # the frame starts near the waist
        around = (min(box[0], -24), box[1] - rng.uniform(2, 9), max(box[2], 24), box[3] + rng.uniform(4, 25))
        return framed(around, width, height, rng.uniform(-0.03, 0.02), rng, anchor=-1)
    if only_top and kind < 0.8:  # the frame ends near the hem
        around = (min(box[0], -22), rng.choice([-32, -14, -6]), max(box[2], 22), box[3] + rng.uniform(2, 14))
        return framed(around, width, height, rng.uniform(-0.03, 0.04), rng, anchor=1)
    if kind < 0.26 and not only_top:  # the whole person
        around = (min(box[0], -26), -34, max(box[2], 26), 62 + 96 * figure.legs)
        return framed(around, width, height, rng.uniform(0.0, 0.18), rng)
    if kind < 0.48 and not only_top:  # from head to the end of the clothes
        around = (min(box[0], -22), -30, max(box[2], 22), max(box[3], 60))
        return framed(around, width, height, rng.uniform(0.0, 0.2), rng)
    if kind < 0.86:  # the clothes
        return framed(tuple(box), width, height, rng.uniform(0.02, 0.25), rng)
    size = (box[2:] - box[:2]) * rng.uniform(0.65, 0.95)  # too close: parts are cut off
    corner = box[:2] + rng.uniform(0, 1, 2) * (box[2:] - box[:2] - size)
    return framed((*corner, *(corner + size)), width, height, rng.uniform(-0.05, 0.1), rng, wild=1.4)


def _size(rng: Rng) -> tuple[int, int]:
    """Width and height of the photo in px: mostly the real set's commonest 468 x 624."""
    sizes = ((468, 624), (468, 702), (440, 624), (520, 640), (600, 468), (560, 560), (400, 640))
    return sizes[int(rng.choice(len(sizes), p=[0.5, 0.14, 0.1, 0.1, 0.06, 0.06, 0.04]))]
