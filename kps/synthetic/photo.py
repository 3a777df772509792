"""A whole photo: who wears what, in which pose, before what, as a camera stores it, and its annotation."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kps.schema import category
from kps.synthetic import drawing
from kps.synthetic.canvas import Camera, Canvas, framed
from kps.synthetic.clothes import build_lower, build_upper
from kps.synthetic.drawing import Colour, Garment, Image, Layer, Rng, random_colour, random_fabric, to_rgb, wobble, xy
from kps.synthetic.parts import PARTS
from kps.synthetic.person import Figure, flat_figure, hanger, person_layers, random_objects, sample_figure
from kps.synthetic.plan import BOTTOMS, DRESSES, OUTWEAR, SPLIT_CODES, TOPS, Item, Look, PhotoPlan, sample_look

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
    for layer in others:
        layer.moved(figure.warp)
    for garment in garments:
        garment.moved(figure.warp)
        garment.moved(wobble(rng, rng.uniform(0.3, 0.9), rng.uniform(12.0, 30.0)))
    points = np.array([point for garment in garments for point, _ in garment.landmarks.values()])
    box = np.concatenate([points.min(axis=0), points.max(axis=0)])  # x1, y1, x2, y2 of all landmarks, cm
    everything = garment_layers + others + random_objects(figure, box, rng)
    everything.sort(key=lambda layer: layer.z)
    return Scene(garments, everything, _camera(box, plan, figure, rng), view)


def _view(plan: PhotoPlan, rng: Rng) -> str:
    flat = 0.0 if len(plan.items) > 1 else 0.3 if plan.source == "shop" else 0.12
    share = np.array([flat, 0.74, 0.16, 0.1])
    return str(rng.choice(["flat", "front", "side", "back"], p=share / share.sum()))


def _garment(number: int, item: Item, look: Look, figure: Figure, rng: Rng, *, tucked: bool) -> Garment:
    identity = np.random.default_rng([item.look_seed, 2])
    denim, patterns = ("denim",), ("plain", "denim", "checks", "stripes")
    if item.category_id in {7, 8}:
        fabric = random_fabric(identity, denim if identity.random() < 0.55 else patterns)
    else:
        fabric = random_fabric(identity)
    build = build_lower if item.category_id in BOTTOMS else build_upper
    garment = build(item.category_id, look, figure, fabric, rng)
    crumple = rng.gamma(1.6, 0.5)
    sleeves = random_fabric(identity) if identity.random() < 0.12 else fabric
    for layer in garment.layers:
        layer.garment, layer.crumple, layer.sheer = number, crumple, look.sheer
        if layer.panel.startswith("sleeve"):
            layer.fabric = sleeves
        if tucked and item.category_id in TOPS and layer.panel.startswith("torso"):
            layer.z = drawing.Z_UNDER  # the bottom is painted over it
    return garment


def _adapt_looks(looks: list[Look], plan: PhotoPlan, figure: Figure, rng: Rng) -> bool:
    """Fit garments to one another and to being worn or laid down, in place; True: the top is tucked in."""
    kinds = [item.category_id for item in plan.items]
    tops, bottoms = ([i for i, kind in enumerate(kinds) if kind in group] for group in (TOPS, BOTTOMS))
    coats = [look for kind, look in zip(kinds, looks, strict=True) if kind in OUTWEAR]
    dresses = [look for kind, look in zip(kinds, looks, strict=True) if kind in DRESSES]
    for kind, look in zip(kinds, looks, strict=True):
        if not figure.worn:  # without a body inside, cloth is wider and its front rests more closed
            look.ease, look.waist_ease = look.ease + 1.0, look.waist_ease + 2.0
            look.opening *= 0.5
        elif kind in OUTWEAR and len(kinds) == 1:  # nothing below it: worn closed
            look.opening *= 0.08
        elif coats and kind not in OUTWEAR:  # what is worn below a coat fits into it
            look.ease, look.waist_ease = min(look.ease, 0.4 * coats[0].ease), min(look.waist_ease, 2.5)
            look.cuff_width, look.shoulder_drop = min(look.cuff_width, 5.0), min(look.shoulder_drop, 0.3)
        elif dresses and kind in TOPS:  # a top below a dress shows at its neck and sleeves
            dress = dresses[0]
            look.ease, look.waist_ease = min(look.ease, 0.4 * dress.ease), min(look.waist_ease, 0.5 * dress.waist_ease)
            look.hem_y, look.neck_depth = min(look.hem_y, dress.hem_y - 8), min(look.neck_depth, 8.0)
            dress.neck_depth = max(dress.neck_depth, look.neck_depth + rng.uniform(2, 10))
    if not tops or not bottoms or rng.random() > 0.4:
        return False
    looks[tops[0]].hem_y = looks[bottoms[0]].rise + rng.uniform(3.0, 8.0)
    looks[tops[0]].hem_curve = 0.3
    looks[tops[0]].waist_ease = min(looks[tops[0]].waist_ease, 2.5)
    return True


def _camera(box: np.ndarray, plan: PhotoPlan, figure: Figure, rng: Rng) -> Camera:
    sizes = ((468, 624), (468, 702), (440, 624), (520, 640), (600, 468), (560, 560), (400, 640))  # first: commonest
    width, height = sizes[int(rng.choice(len(sizes), p=[0.5, 0.14, 0.1, 0.1, 0.06, 0.06, 0.04]))]
    kind = rng.random()
    if not figure.worn:
        return framed(tuple(box), width, height, rng.uniform(0.06, 0.4), rng, wild=1.6)
    kinds = {item.category_id for item in plan.items}
    uppers, feet = kinds & (TOPS | OUTWEAR), 62 + 96 * figure.legs
    x1, y1, x2, y2 = box
    if kinds <= BOTTOMS:  # the frame starts near the waist, and ends below the clothes or the feet
        low = max(y2, feet) if kind < 0.3 else y2 + rng.uniform(-4, 25)
        around = (min(x1, -24), y1 - rng.uniform(-3, 9), max(x2, 24), low)
        return framed(around, width, height, rng.uniform(-0.03, 0.02), rng, anchor=-1)
    if kinds == uppers and kind < 0.6:  # the frame ends near the hem
        around = (min(x1, -22), rng.choice([-32, -14, -6]), max(x2, 22), y2 + rng.uniform(2, 14))
        return framed(around, width, height, rng.uniform(-0.03, 0.04), rng, anchor=1)
    if kinds & BOTTOMS and kind < 0.16:  # the upper half of the person
        around = (min(x1, -22), rng.choice([-32, -14, -6]), max(x2, 22), rng.uniform(62, 92))
        return framed(around, width, height, rng.uniform(-0.03, 0.04), rng, anchor=1)
    if kinds != uppers and kind < 0.36:  # the whole person, seldom from afar
        margin = rng.uniform(0.25, 0.5) if rng.random() < 0.2 else rng.uniform(0.0, 0.18)
        return framed((min(x1, -26), -34, max(x2, 26), feet), width, height, margin, rng)
    if kinds != uppers and kind < 0.5:  # from head to the end of the clothes
        around = (min(x1, -22), -30, max(x2, 22), max(y2, 60))
        return framed(around, width, height, rng.uniform(0.0, 0.2), rng)
    if kind < 0.74:  # the clothes
        return framed(tuple(box), width, height, rng.uniform(0.02, 0.25), rng)
    size = (box[2:] - box[:2]) * rng.uniform(0.65, 0.95)  # too close: parts are cut off, some seen from above
    corner = box[:2] + rng.uniform(0, 1, 2) * (box[2:] - box[:2] - size)
    wild = 3.0 if rng.random() < 0.25 else 1.4
    return framed((*corner, *(corner + size)), width, height, rng.uniform(-0.05, 0.1), rng, wild=wild)


def random_background(width: int, height: int, rng: Rng, plain: bool) -> Image:
    """A background (height, width, 3) uint8 RGB; `plain` for studio grounds and tables.

    Besides a wall and a floor it is a picture of dead leaves: things of every size that hide one another, whose
    statistics are those of photos (Lee, Mumford and Huang, 2001).
    """
    coarse = 1 if rng.random() < 0.35 else 2  # many backgrounds are out of focus: painted on a coarser grid
    size = -(-width // coarse), -(-height // coarse)
    image = _material(size, _wall_colour(rng), rng, rough=0.04 if plain or rng.random() < 0.4 else 0.14)
    if not plain and rng.random() < 0.75:  # else a bare wall
        horizon = rng.uniform(0.35, 0.95) if rng.random() < 0.75 else 1.0
        if rng.random() < 0.7:
            _things(image, horizon, rng, boxes=True)
        _floor(image, int(horizon * size[1]), rng)
        if rng.random() < 0.55:
            _things(image, 1.0, rng, boxes=False)
    blur = 0.0 if plain or rng.random() < 0.5 else rng.uniform(0.4, 2.5)
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _wall_colour(rng: Rng) -> Colour:
    if rng.random() < 0.7:
        return to_rgb(rng.uniform(0.02, 0.65), rng.uniform(0, 0.14), rng.uniform(0.45, 0.99))
    hue = rng.uniform(0.02, 0.14) if rng.random() < 0.5 else rng.random()
    return to_rgb(hue, rng.uniform(0.05, 0.45), rng.uniform(0.12, 0.85))


def _material(size: tuple[int, int], colour: Colour, rng: Rng, rough: float) -> Image:
    """A surface (height, width, 3) of a colour, in uneven light: plaster, wood, tiles, bricks, panels."""
    width, height = size
    grain = rng.choice([1.0, 1.0, 6.0, 1 / 6]) if rough > 0.1 else 1.0  # wood is longer than broad
    waves = 0.7 * drawing.clouds(rng, size, 0.6 * width, 2) + drawing.clouds(rng, size, rng.uniform(8, 60), 4, grain)
    image = colour * (1 + rough * rng.gamma(1.5, 0.5) * waves[..., None])
    if rng.random() < 0.45:
        step_x, step_y = rng.uniform(10, 110), rng.uniform(8, 110)
        brick, thick, line = rng.random() < 0.4, int(rng.integers(1, 3)), np.mean(colour) * rng.choice([0.7, 0.88, 1.1])
        for row, y in enumerate(np.arange(rng.uniform(0, step_y), height + step_y, step_y)):
            cv2.line(image, (0, int(y)), (width, int(y)), (line,) * 3, thick)
            for x in np.arange(step_x / 2 if brick and row % 2 else 0.0, width, step_x):
                cv2.line(image, (int(x), int(y - step_y)), (int(x), int(y)), (line,) * 3, thick)
    return np.clip(image, 0, 255).astype(np.uint8)


def _floor(image: Image, horizon: int, rng: Rng) -> None:
    """What is below the horizon: a surface seen at a slant."""
    height, width = image.shape[:2]
    if horizon >= height - 2:
        return
    surface = _material((width, width), _wall_colour(rng), rng, rough=0.16)
    narrow = rng.uniform(0.15, 0.45) * width  # of the surface fills the whole width at the horizon's far end
    far = np.array([[-narrow, horizon], [width + narrow, horizon]]) + [rng.normal(0, 0.2 * width), 0]
    near = np.array([[width + 4 * narrow, height], [-4 * narrow, height]])
    corners = np.array([[0, 0], [width, 0], [width, width], [0, width]], np.float32)
    place = cv2.getPerspectiveTransform(corners, np.vstack([far, near]).astype(np.float32))
    slanted = cv2.warpPerspective(surface, place, (width, height), borderMode=cv2.BORDER_REFLECT)
    image[horizon:] = slanted[horizon:]
    edge = tuple(int(0.6 * value) for value in image[horizon, width // 2])
    cv2.line(image, (0, horizon), (width, horizon), edge, int(rng.integers(1, 6)))


def _things(image: Image, low: float, rng: Rng, *, boxes: bool) -> None:
    """Things of a few colours that stand above `low` (share of the height): furniture and houses, or leaves."""
    height, width = image.shape[:2]
    colours = [random_colour(rng) for _ in range(int(rng.integers(2, 7)))]
    smallest, upright = rng.uniform(2, 12), rng.normal(0, 8)
    count = int(rng.integers(3, 60) if boxes else rng.integers(4, 160))
    centres = rng.uniform(0, 1, (count, 2)) * [width, low * height]
    if not boxes and rng.random() < 0.6:  # a bush, a crowd, a heap
        centres = rng.normal(rng.uniform(0, 1, 2), rng.uniform(0.1, 0.4), (count, 2)) * [width, height]
    sizes = np.minimum(smallest / np.sqrt(rng.uniform(0.001, 1, count)), 0.35 * width)
    for centre, size in zip(centres.tolist(), np.sort(sizes)[::-1].tolist(), strict=True):
        colour = drawing.scaled(colours[int(rng.integers(len(colours)))], rng.uniform(0.6, 1.15))
        if boxes:
            corners = cv2.boxPoints((centre, (size * rng.uniform(0.5, 2), size * rng.uniform(0.5, 3)), upright))
        else:
            bumps = rng.uniform(0.5, 1.3, 8)[:, None]
            corners = drawing.curve(drawing.ellipse(xy(*centre), (0.6 * size, 0.5 * size), samples=8) * bumps
                                    + np.array(centre) * (1 - bumps))  # fmt: skip
        corners = corners.astype(np.int32)
        cv2.fillPoly(image, [corners], colour, cv2.LINE_AA)
        if size > 10 and rng.random() < 0.6:
            edge = drawing.scaled(colour, rng.uniform(0.4, 0.9))
            cv2.polylines(image, [corners], True, edge, int(rng.integers(1, 4)), cv2.LINE_AA)
        if boxes and size > 16:  # panes, drawers, a poster's picture
            inner = (corners + (np.array(centre) - corners) * rng.uniform(0.1, 0.5)).astype(np.int32)
            cv2.fillPoly(image, [inner], drawing.scaled(colour, rng.uniform(0.5, 1.3)), cv2.LINE_AA)
    texture = 1 + rng.uniform(0, 0.25) * drawing.clouds(rng, (width, height), rng.uniform(4, 40), 3)[..., None]
    np.copyto(image, np.clip(image * texture, 0, 255).astype(np.uint8))


_SEEN_WITHIN = 1.3  # cm: a landmark on an edge counts as seen if its panel shows this near
_LEAST_PIXELS = 200  # of a garment in the photo; below it nobody would annotate it
_LOOSE_BOX = 0.03  # people draw boxes a little too large: at most this share of the size on each side
_LEAST_INSIDE = 0.2  # of its landmarks in the photo


def annotate(scene: Scene, canvas: Canvas, plan: PhotoPlan, rng: Rng) -> dict[str, Any]:
    """The raw annotation of a photo: items, source and pair_id."""
    annotation: dict[str, Any] = {"source": plan.source, "pair_id": plan.pair_id}
    items = (_item(index, garment, scene, canvas, rng) for index, garment in enumerate(scene.garments))
    shown = [item | {"style": planned.style} for planned, item in zip(plan.items, items, strict=True) if item]
    annotation |= {f"item{number}": item for number, item in enumerate(shown, start=1)}
    return annotation


def _item(index: int, garment: Garment, scene: Scene, canvas: Canvas, rng: Rng) -> dict[str, Any] | None:
    of_garment = np.array([False, *(layer.garment == index for layer in canvas.layers)])
    visible = of_garment[canvas.owner].astype(np.uint8)
    area = int(visible.sum())
    landmarks = landmark_rows(index, garment, canvas)
    polygons = _polygons(visible)
    if area < _LEAST_PIXELS or (landmarks[:, 2] > 0).mean() < _LEAST_INSIDE or not polygons:
        return None
    x, y, width, height = cv2.boundingRect(visible)
    known = landmarks[landmarks[:, 2] > 0, :2]
    low, high = np.minimum([x, y], known.min(axis=0)), np.maximum([x + width, y + height], known.max(axis=0))
    loose = rng.uniform(0, _LOOSE_BOX, 4) * np.tile(high - low, 2)
    low, high = np.maximum(low - loose[:2], 0), np.minimum(high + loose[2:], visible.shape[::-1])
    inside = landmarks[:, 2] > 0
    return {
        "segmentation": polygons,
        "scale": 1 + int(np.digitize(area / visible.size, [0.1, 0.4])),
        "viewpoint": VIEWPOINTS[scene.view],
        "zoom_in": 1 if inside.all() else 2 if inside.mean() >= 0.5 else 3,
        "landmarks": landmarks.ravel().tolist(),
        "bounding_box": np.round([*low, *high]).astype(int).tolist(),
        "category_id": garment.category_id,
        "occlusion": 1 + int(np.digitize((landmarks[inside, 2] == 1).mean(), [0.2, 0.5])),
        "category_name": category(garment.category_id).name,
    }


def landmark_rows(index: int, garment: Garment, canvas: Canvas) -> NDArray[np.int64]:
    """Rows x px, y px, v in landmark order: v 2 seen, 1 covered, 0 (with x = y = 0) outside the photo."""
    x1, y1, x2, y2 = canvas.frame
    rows = np.zeros((len(PARTS[garment.category_id]), 3), int)
    for row, part in enumerate(PARTS[garment.category_id]):
        point, panels = garment.landmarks[part]
        pixel = np.round(canvas.camera.project(point[None])[0]).astype(int)
        if not (x1 <= pixel[0] < x2 and y1 <= pixel[1] < y2):
            continue
        rows[row] = *pixel, 2 if _seen(index, point, pixel, panels, canvas) else 1
    return rows


def _seen(
    index: int, point: NDArray[np.float64], pixel: NDArray[np.int64], panels: tuple[str, ...], canvas: Canvas
) -> bool:
    radius = max(2, round(_SEEN_WITHIN * canvas.camera.scale(point)))
    x, y = pixel
    owners = np.unique(canvas.owner[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1])
    near = (canvas.layers[owner - 1] for owner in owners if owner)
    return any(layer.garment == index and layer.panel in panels for layer in near)


def _polygons(visible: Image) -> list[list[int]]:
    contours, _ = cv2.findContours(visible, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = []
    for contour in sorted(contours, key=cv2.contourArea, reverse=True):
        line = cv2.approxPolyDP(contour, 0.8, True)
        if len(line) >= 3 and cv2.contourArea(line) >= 12:
            polygons.append(line.reshape(-1).tolist())
    return polygons


_ATTEMPTS = 4  # at a picture that shows all garments of the plan


def render_photo(seed: int, split: str, index: int, plan: PhotoPlan) -> tuple[Image, dict[str, Any]]:
    """Draw photo `index` (from 0) of a split: image (H, W, 3) uint8 RGB and its raw annotation.

    The result depends on the arguments alone; coordinates are 0-indexed pixels.
    """
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([seed, SPLIT_CODES[split], index, attempt])
        image, annotation = _draw(plan, rng)
        if sum(key.startswith("item") for key in annotation) == len(plan.items):
            break
    return degrade(image, rng), annotation


def _draw(plan: PhotoPlan, rng: Rng) -> tuple[Image, dict[str, Any]]:
    scene = compose(plan, rng)
    plain = rng.random() < (0.6 if scene.view == "flat" else 0.5 if plan.source == "shop" else 0.2)
    background = random_background(scene.camera.width, scene.camera.height, rng, plain)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.1)
    canvas = Canvas(background, scene.camera, (strength * np.cos(angle), strength * np.sin(angle)), rng)
    for layer in scene.layers:
        canvas.paint(layer)
    if rng.random() < 0.1:
        sides = rng.integers(0, 60, 4) if rng.random() < 0.5 else np.repeat(rng.integers(4, 26), 4)
        canvas.add_border(*sides.tolist(), shade=int(rng.choice([255, 250, 10], p=[0.7, 0.2, 0.1])))
    return canvas.image, annotate(scene, canvas, plan, rng)


def jpeg_quality(seed: int, split: str, index: int) -> int:
    """The JPEG quality of a photo."""
    rng = np.random.default_rng([seed, SPLIT_CODES[split], index, 7])
    return int(rng.integers(55, 96))


def degrade(image: Image, rng: Rng) -> Image:
    """Light and shade, blur or sharpening, colour cast, exposure, noise, a watermark: geometry is left as it is."""
    height, width = image.shape[:2]
    image = _lit(image, rng)
    soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3))
    share = rng.choice([0.0, 1.0, -rng.uniform(0.5, 2.0)], p=[0.3, 0.25, 0.45])  # above 0 soft, below it sharpened
    image = cv2.addWeighted(image, 1 - share, soft, share, 0)
    levels = (np.arange(256)[:, None] / 255) ** rng.uniform(0.45, 1.1) * rng.uniform(0.9, 1.1)
    curve = rng.uniform(0, 0.8)  # contrast as phones and their filters add it
    levels = (1 - curve) * levels + curve * (3 * levels**2 - 2 * levels**3).clip(0, 1)
    levels = levels * (1 + rng.normal(0, 0.06, 3)) * 255 + rng.uniform(-8, 18)
    image = cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[None])
    level = rng.gamma(1.5, 2.0)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    noise = np.empty((height, width, 1), np.int16)
    cv2.randn(noise, 0, level * 8)
    noise = cv2.merge([noise[..., 0] // 8] * 3)
    image = cv2.add(image, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.12:  # a watermark
        text = "".join(rng.choice(list("abcdefghiklmnoprstuvw .-"), int(rng.integers(6, 18))))
        place = int(rng.uniform(0, 0.6) * width), int(rng.uniform(0.05, 0.98) * height)
        shade = (int(rng.choice([235, 250, 60])),) * 3
        cv2.putText(image, text, place, int(rng.integers(0, 5)), rng.uniform(0.4, 0.9), shade, 1, cv2.LINE_AA)
    return image


def _lit(image: Image, rng: Rng) -> Image:
    """The photo in a light that is not the same everywhere: from a window, through leaves, dark corners."""
    height, width = image.shape[:2]
    size = width // 8, height // 8
    waves = drawing.clouds(rng, size, rng.uniform(0.4, 1.5) * size[0], 2)
    light = 1 + rng.uniform(0, 0.3) * waves
    if rng.random() < 0.25:  # shadows with an edge
        edge = rng.uniform(4, 40) * np.clip(np.roll(waves, size[1] // 3, 0) - 0.3, -2, 2)
        light *= 1 - rng.uniform(0.15, 0.45) / (1 + np.exp(-edge))
    if rng.random() < 0.3:
        x, y = np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1])
        light *= 1 - rng.uniform(0.1, 0.35) * (x[None] ** 2 + y[:, None] ** 2)
    light = cv2.resize((light * 128).clip(0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.multiply(image, cv2.merge([light] * 3), scale=1 / 128)
