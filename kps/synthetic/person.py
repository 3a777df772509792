"""The person under the clothes, and what it holds or wears besides."""

import numpy as np

from kps.synthetic import drawing as layers
from kps.synthetic.body import CROTCH, Figure
from kps.synthetic.drawing import (
    Fabric,
    Layer,
    Points,
    Rng,
    curve,
    ellipse,
    join,
    plain_fabric,
    random_colour,
    scaled,
    strip,
    to_rgb,
    xy,
)
from kps.synthetic.plan import BOTTOMS


def skin_fabric(rng: Rng) -> Fabric:
    """Skin of a random tone."""
    lightness = rng.beta(3.2, 1.4)
    colour = to_rgb(rng.uniform(0.04, 0.075), 0.62 - 0.42 * lightness, 0.34 + 0.62 * lightness)
    return plain_fabric(colour)


def person_layers(figure: Figure, rng: Rng) -> list[Layer]:
    """Body, head, hair and shoes of the figure in its pose."""
    skin = skin_fabric(rng)
    painted = [*_torso(figure, skin), *_legs(figure, skin, rng)]
    for side in (-1, 1):
        painted += _arm(figure, side, skin)
    return painted + _head(figure, skin, rng)


def _torso(figure: Figure, skin: Fabric) -> list[Layer]:
    heights = np.array([7.0, 17, 28, 39, 48, 57, 66])
    half = figure.half_width(heights)
    right = np.stack([half, heights], axis=1)
    left = right * [-1, 1]
    slope = {}
    for side in (-1, 1):
        tip = figure.shoulder(side) + xy(-side * 2.0, 1.0)
        neck = np.array([[side * 5.0, -9.0], [side * 5.2, -3.5], [side * 7.6, 0.4], [side * 11.5, 2.2]])
        slope[side] = curve(np.vstack([neck * [np.cos(figure.yaw) ** 0.5, 1], tip]), 4)
    outline = join(slope[-1], left, [0, CROTCH + 2], right[::-1], slope[1][::-1])
    neck_line = np.array([[-3.5, 2.5], [0, 4.0], [3.5, 2.5]])
    torso = Layer(outline, skin, "skin", layers.Z_TORSO, shadow=0.0, relief=0.8)
    if not figure.back:
        torso.strokes.append((curve(neck_line), 0.3, "trim"))
    return [torso]


def _legs(figure: Figure, skin: Fabric, rng: Rng) -> list[Layer]:
    painted = []
    shoe = plain_fabric(random_colour(rng))
    leggings = skin if rng.random() > 0.07 else plain_fabric(scaled((45, 40, 45), 1.0))
    heel = rng.uniform(0, 5)
    for side in (-1, 1):
        painted.append(Layer(figure.leg_outline(side), leggings, "skin", layers.Z_LEG, shadow=0.2))
        ankle = figure.leg(side)[2]
        out = side * rng.uniform(1.0, 3.0) + 4 * figure.facing
        toe = ankle + np.array([out, 7.5 + heel])
        instep = np.array([[-4.4, -1.0], [-4.7, 4.0]])
        front = toe + np.array([[-3.6, 0.5], [0, 2], [3.6, 0.5]])
        sole = join(ankle + instep, front, ankle + instep[::-1] * xy(-1, 1))
        painted.append(Layer(curve(sole), shoe, "shoe", layers.Z_SHOE, shadow=0.2))
    return painted


def _arm(figure: Figure, side: int, skin: Fabric) -> list[Layer]:
    far = figure.far_arm(side)
    depth = layers.Z_FAR_ARM if far else layers.Z_ARM
    joints = figure.arm(side)
    direction = joints[2] - joints[1]
    direction = direction / max(np.linalg.norm(direction), 1e-6)
    angle = float(np.arctan2(direction[1], direction[0]))
    palm = ellipse(joints[2] + direction * 6.5, (7.5, 3.6), angle)
    hand = Layer(palm, skin, "hand", layers.Z_FAR_ARM + 0.3 if far else layers.Z_HAND, shadow=0.25)
    across = np.array([-direction[1], direction[0]])
    tip = joints[2] + direction * 13.5
    for finger in (-1.2, 0.0, 1.2):
        start = joints[2] + direction * 8.5 + across * finger
        hand.strokes.append((np.array([start, tip + across * finger]), 0.25, "trim"))
    upper = Layer(figure.arm_outline(side, above=True), skin, "skin", min(depth, layers.Z_TORSO + 0.1), shadow=0.0)
    lower = Layer(figure.arm_outline(side, above=False), skin, "skin", depth, pieces=figure.arm_pieces(side))
    return [upper, lower, hand]


def _head(figure: Figure, skin: Fabric, rng: Rng) -> list[Layer]:
    lean, turn, back = rng.normal(0, 0.1), figure.facing + rng.normal(0, 0.15), figure.back
    centre = np.array([2.0 * figure.facing + 10 * lean, -16.0])
    head = Layer(ellipse(centre, (7.6, 10.6), lean), skin, "skin", layers.Z_HEAD, shadow=0.35)
    hair = plain_fabric(to_rgb(rng.uniform(0.03, 0.1), rng.uniform(0.2, 0.65), rng.uniform(0.06, 0.42)))
    if not back:
        _face(head, centre, turn)
    hat = _hat(centre, lean, rng) if rng.random() < 0.13 else []
    return [head, *_hair(centre, turn, hair, back, rng), *hat]


def _hat(centre: Points, lean: float, rng: Rng) -> list[Layer]:
    cloth = plain_fabric(random_colour(rng))
    brim, height = rng.uniform(9.5, 17), rng.uniform(7, 10)
    crown = curve(
        centre + np.array([[-8.8, -5], [-8.2, -9], [-4, -6 - height], [4, -6 - height], [8.2, -9], [8.8, -5]])
    )
    depth = layers.Z_HEAD + 0.2
    brim_outline = ellipse(centre + xy(0, -5.0), (brim, 2.0 + 0.1 * brim), lean)
    return [Layer(brim_outline, cloth, "hat", depth, shadow=0.4), Layer(crown, cloth, "hat", depth + 0.05)]


def _face(head: Layer, centre: Points, turn: float) -> None:
    shift = 5.0 * np.clip(turn, -0.9, 0.9)
    for side in (-1, 1):
        eye = centre + xy(side * 2.9 + shift, 0.3)
        head.bands.append((ellipse(eye, (1.25, 0.65), samples=10), "seam"))
        head.strokes.append((np.array([eye + xy(-1.6, -2.1), eye + xy(1.6, -2.2)]), 0.45, "seam"))
    head.strokes.append((np.array([centre + xy(shift, 1.5), centre + xy(shift * 1.2 + 0.4, 3.8)]), 0.35, "trim"))
    head.bands.append((ellipse(centre + xy(shift * 0.95, 6.2), (2.1, 0.75), samples=10), "seam"))


def _hair(centre: Points, turn: float, hair: Fabric, back: bool, rng: Rng) -> list[Layer]:
    length = float(rng.choice([rng.uniform(-4, 2), rng.uniform(8, 32)], p=[0.42, 0.58]))
    bottom = centre[1] + 14 + length
    volume = rng.uniform(9.0, 11.5)
    shape = np.array([[-1, -1], [-0.75, -9], [0, -12.4], [0.75, -9], [1, -1]]) * xy(volume, 1)
    ends = np.array([[volume * 1.05, 0], [0, 2], [-volume * 1.05, 0]]) + xy(centre[0], bottom)
    mass = join(centre + shape, ends)
    strands = [(np.array([centre + xy(x, -9), [centre[0] + 1.4 * x, bottom]]), 0.3, "trim") for x in (-6, -2, 3, 7)]
    whole = curve(np.vstack([mass, mass[:1]]))
    if back:
        return [Layer(whole, hair, "hair", layers.Z_HAIR_FRONT, strokes=strands)]
    painted = [Layer(whole, hair, "hair", layers.Z_HAIR_BACK, strokes=strands, shadow=0.0)]
    part = centre + xy(rng.normal(0, 2) + 2 * turn, -8.6)
    around = np.array([[-6.0, -4.5], [-8.3, 1], [-7.4, -7.5], [0, -12], [7.4, -7.5], [8.3, 1], [6.0, -4.5]])
    fringe = join(centre + around, part)
    painted.append(Layer(curve(np.vstack([fringe, fringe[:1]]), 4), hair, "hair", layers.Z_HEAD + 0.1, shadow=0.2))
    if length > 8 and rng.random() < 0.55:
        for side in (-1, 1):
            if rng.random() < 0.75:
                painted.append(_lock(centre, side, bottom, hair, rng))
    return painted


def _lock(centre: Points, side: int, bottom: float, hair: Fabric, rng: Rng) -> Layer:
    """A lock of hair that falls over the shoulder."""
    x, width = side * rng.uniform(7.5, 9.5) + centre[0], rng.uniform(1.5, 3.6)
    y = np.array([centre[1] - 4, centre[1] + 8, (centre[1] + 8 + bottom) / 2, bottom])
    middle = x + side * np.array([-0.6, 0.3, 1.2, 0.4]) + rng.normal(0, 0.6, 4)
    half = width * np.array([0.5, 0.9, 1.0, 0.35])
    left, right = np.stack([middle - half, y], axis=1), np.stack([middle + half, y], axis=1)
    strokes = [(curve(np.stack([middle, y], axis=1)), 0.3, "trim")]
    return Layer(join(curve(left), curve(right[::-1])), hair, "hair", layers.Z_HAIR_FRONT, strokes=strokes)


def random_objects(figure: Figure, box: np.ndarray, rng: Rng) -> list[Layer]:
    """Objects that may cover parts of the garments, whose extent is `box` (x1, y1, x2, y2)."""
    painted: list[Layer] = []
    if figure.worn and rng.random() < 0.16:
        painted += _bag(figure, rng)
    if figure.worn and rng.random() < 0.07:
        painted.append(_phone(figure, rng))
    if rng.random() < 0.05:
        for _ in range(int(rng.integers(1, 5))):
            centre = rng.uniform(box[:2] - 6, box[2:] + 6)
            balloon = plain_fabric(random_colour(rng))
            outline = ellipse(centre, (rng.uniform(5, 10), rng.uniform(5, 11)))
            painted.append(Layer(outline, balloon, "object", layers.Z_OBJECT))
    return painted


def _bag(figure: Figure, rng: Rng) -> list[Layer]:
    side = int(rng.choice([-1, 1]))
    fabric = plain_fabric(random_colour(rng))
    wrist, shoulder = figure.arm(side)[2], figure.shoulder(-side)
    centre = wrist + xy(0, 16) if rng.random() < 0.45 else np.array([side * 17.0, rng.uniform(44, 62)])
    half = rng.uniform(7, 14), rng.uniform(6, 13)
    corners = np.array([[-0.85, -1], [0.85, -1], [1, 1], [-1, 1]]) * half + centre
    body = Layer(corners, fabric, "object", layers.Z_OBJECT, strokes=[(corners[[3, 0, 1, 2]] * 1.0, 0.5, "seam")])
    top = corners[:2].mean(axis=0)
    start = wrist if np.allclose(centre, wrist + xy(0, 16)) else shoulder * [0.6, 1] + xy(0, -1)
    path = np.array([start, (start + top) / 2 + xy(0, 0.5), top])
    strap = strip(path, np.linspace(0, float(np.linalg.norm(top - start)), 4), np.full(4, rng.uniform(0.5, 1.2)))
    return [Layer(strap, fabric, "object", layers.Z_OBJECT - 0.1, relief=0.4), body]


def _phone(figure: Figure, rng: Rng) -> Layer:
    hand = figure.arm(int(rng.choice([-1, 1])))[2]
    corners = np.array([[-3.6, -7.5], [3.6, -7.5], [3.6, 7.5], [-3.6, 7.5]]) + hand + rng.normal(0, 2, 2)
    return Layer(corners, plain_fabric(random_colour(rng)), "object", layers.Z_OBJECT)


def hanger(category_id: int, rng: Rng) -> list[Layer]:
    """A hanger behind an upper garment, sometimes; nothing for one that is laid down."""
    if category_id in BOTTOMS or rng.random() < 0.5:
        return []
    wood = plain_fabric(random_colour(rng))
    bar = curve([[-16.0, 4.5], [-6, -1], [0, -3], [6, -1], [16, 4.5]])
    outline = np.vstack([bar, bar[::-1] + xy(0, 1.6)])
    hook = curve([[0.0, -2], [0, -7], [2.4, -9.5], [0, -12], [-2, -10.5]])
    hook_outline = np.vstack([hook - xy(0.35, 0), hook[::-1] + xy(0.35, 0.2)])
    return [Layer(outline, wood, "object", layers.Z_NECK_BACK + 0.2), Layer(hook_outline, wood, "object", 0.2)]
