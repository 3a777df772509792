"""What sits on garments: folds, collars, buttons and pockets, and sleeves with their landmarks."""

import numpy as np

from kps.synthetic import drawing as layers
from kps.synthetic.body import UPPER_ARM, Figure
from kps.synthetic.drawing import (
    Fabric,
    Layer,
    Parts,
    Points,
    Rng,
    along,
    curve,
    ellipse,
    join,
    offsets,
    rounded_limb,
    xy,
)
from kps.synthetic.plan import DRESSES, LONG_SLEEVED, OUTWEAR, SLINGS, Look

Fold = tuple[Points, float, float]  # polyline (N, 2) cm, width cm, strength -1..1


def drag_lines(rng: Rng, start: Points, end: Points, count: int, spread: float = 5.0) -> list[Fold]:
    """Folds that run roughly from one place to another."""
    folds = []
    for _ in range(count):
        a, b = start + rng.normal(0, spread, 2), end + rng.normal(0, spread, 2)
        middle = (a + b) / 2 + rng.normal(0, 0.12 * np.linalg.norm(b - a) + 0.3, 2)
        folds.append((curve([a, middle, b], 4), rng.uniform(0.5, 1.6), rng.uniform(-1, 1)))
    return folds


def hanging_folds(rng: Rng, top: tuple[Points, Points], bottom: tuple[Points, Points], count: int) -> list[Fold]:
    """Folds that fall from a line (left, right) to another, as in a skirt."""
    folds = []
    for share in np.sort(rng.uniform(0.04, 0.96, count)):
        start = top[0] + (top[1] - top[0]) * share
        end = bottom[0] + (bottom[1] - bottom[0]) * np.clip(share + rng.normal(0, 0.03), 0, 1)
        start = start + (end - start) * rng.uniform(0, 0.45)
        middle = (start + end) / 2 + rng.normal(0, 1.0, 2)
        line = curve([start, middle, end], 4)
        folds.append((line, rng.uniform(0.8, 2.2), rng.uniform(0.3, 1.0) * rng.choice([-1, 1])))
    return folds


def limb_folds(rng: Rng, path: Points, start: float, end: float, half_width: float, bend: float) -> list[Fold]:
    """Folds across a sleeve or a trouser leg, denser at its bend and its end."""
    folds = []
    for _ in range(int(rng.integers(3, 8))):
        centre = bend + rng.normal(0, 4) if rng.random() < 0.5 else rng.uniform(start, end)
        if not start + 2 < centre < end - 1:
            continue
        here, there = along(path, centre)[0], along(path, centre + 2)[0]
        tangent = (there - here) / max(np.linalg.norm(there - here), 1e-6)
        across = np.array([-tangent[1], tangent[0]]) * half_width * rng.choice([-1, 1])
        line = np.array(
            [here + across * 1.1, here + tangent * rng.normal(0, 1.5), here - across * rng.uniform(-0.4, 1)]
        )
        folds.append((curve(line, 4), rng.uniform(0.4, 1.1), rng.uniform(-1, 1)))
    return folds


def decorate_torso(layer: Layer, category_id: int, look: Look, figure: Figure, points: Parts, rng: Rng) -> None:
    """Seams, trims and prints of a torso panel, in place."""
    hem_part = "skirt_hem" if category_id in DRESSES else "hem"
    left, right = points[f"{hem_part}_corner_left"], points[f"{hem_part}_corner_right"]
    middle = points.get(f"{hem_part}_centre", (left + right) / 2 + xy(0, look.hem_curve))
    hem = curve([left, middle, right])
    layer.strokes += [(hem - xy(0, 1.8), 0.25, "seam"), (hem, 0.4, "seam")]
    if layer.panel != "torso":
        _front_edge(layer, look, points)
        return
    if category_id in DRESSES and look.waist_seam:
        waist = np.array([points["side_waist_left"], points["side_waist_right"]])
        layer.strokes.append((waist, 0.4, "seam"))
        if look.pleats:
            layer.bands.append((np.vstack([waist - xy(0, 1.4), waist[::-1] + xy(0, 1.4)]), "trim"))
    if figure.back:
        neck = [points[name] for name in ("neck_left", "neck_back", "neck_right") if name in points]
        if len(neck) == 3:
            layer.strokes.append((curve(neck), 1.0, "trim"))
        return
    _front(layer, category_id, look, points, rng)


def _front(layer: Layer, category_id: int, look: Look, points: Parts, rng: Rng) -> None:
    base = "strap_base" if category_id in SLINGS else "neck"
    names = [f"{base}_left", "neckline_left", "neck_front", "neckline_right", f"{base}_right"]
    line = np.array([points[name] for name in names])
    line = curve(line) if look.neck_shape == "round" else line
    layer.strokes.append((line, 2.2 if look.collar == "band" else 0.5, "trim" if look.collar == "band" else "seam"))
    front = points["neck_front"]
    if look.placket or look.collar == "shirt":
        end = look.hem_y if look.collar == "shirt" else front[1] + 12
        layer.strokes.append((np.array([front, [front[0], end]]), 0.3, "seam"))
        for y in np.arange(front[1] + 3, end - 2, 7.0):
            layer.bands.append((ellipse(np.array([front[0] + 0.8, y]), (0.55, 0.55), samples=8), "light"))
    if look.collar == "shirt" and category_id not in SLINGS:
        for name in ("left", "right"):
            corner = points[f"neck_{name}"]
            tip = front + (corner - front) * 0.45 + np.array([np.sign(corner[0]) * 3.5, 3.0])
            layer.bands.append((np.array([corner, front, tip]), "trim"))
            layer.strokes.append((np.array([corner, tip, front]), 0.35, "seam"))
    if look.print_size:
        _chest_print(layer, front + xy(0, 4 + look.print_size), look.print_size, rng)


def _chest_print(layer: Layer, centre: Points, size: float, rng: Rng) -> None:
    centre = np.array([centre[0], max(centre[1], 18.0)])
    if rng.random() < 0.45:
        _lettering(layer, centre, size, rng)
        return
    for _ in range(int(rng.integers(2, 7))):
        where = centre + rng.normal(0, size * 0.4, 2)
        axes = size * rng.uniform(0.15, 0.6), size * rng.uniform(0.1, 0.4)
        role = str(rng.choice(["accent", "trim", "light"]))
        shape = ellipse(where, axes, rng.uniform(0, np.pi), int(rng.choice([4, 6, 16])))
        layer.bands.append((shape, role))


def _lettering(layer: Layer, centre: Points, size: float, rng: Rng) -> None:
    """Rows of letter-like strokes."""
    height, role = size * rng.uniform(0.3, 0.6), str(rng.choice(["accent", "light", "seam"]))
    for row in range(int(rng.integers(1, 4))):
        for place in np.arange(-size, size, height * 0.9):
            corners = np.array([[0, 0], [0.5, 0], [0, 0.5], [0.5, 0.5], [0, 1], [0.5, 1]]) * height
            letter = corners[rng.permutation(6)[: int(rng.integers(3, 6))]]
            layer.strokes.append((letter + centre + xy(place, row * height * 1.3), 0.16 * height, role))


def _front_edge(layer: Layer, look: Look, points: Parts) -> None:
    name = layer.panel.removeprefix("torso_")
    edge = curve([points[f"front_{part}_{name}"] for part in ("top", "upper", "lower", "hem")])
    layer.strokes.append((edge, 2.4 if look.placket else 0.5, "trim" if look.placket else "seam"))
    corner, neckline, top = (points[f"{part}_{name}"] for part in ("neck", "neckline", "front_top"))
    side = 1.0 if name == "right" else -1.0
    layer.strokes.append((curve([corner, neckline, top]), 0.6, "seam"))
    if look.collar in {"lapel", "shirt"}:
        reach = 6.5 if look.collar == "lapel" else 4.0
        notch = neckline + np.array([side * reach, -0.5])
        layer.bands.append((np.array([corner, notch, top, neckline]), "trim"))
        layer.strokes.append((np.array([corner, notch, top]), 0.4, "seam"))
    if look.opening < 0.5 and name == "right":
        for y in np.linspace(top[1] + 2, look.hem_y - 8, 5):
            button = np.array([np.interp(y, edge[:, 1], edge[:, 0]) + 1.6, y])
            layer.bands.append((ellipse(button, (0.8, 0.8), samples=10), "light" if look.pleats else "seam"))
    pocket_y = min(look.hem_y - 12, 50.0)
    inner, outer = side * 6.5, side * 13.5
    layer.strokes.append((np.array([[inner, pocket_y], [outer, pocket_y - 1.5]]), 0.5, "seam"))


def decorate_waist(layer: Layer, waist: tuple[Points, Points, Points], height: float, fly: bool) -> None:
    """A waistband below the line left, centre, right, with belt loops or a fly."""
    line = curve(waist)
    layer.bands.append((np.vstack([line, line[::-1] + xy(0, height)]), "trim"))
    layer.strokes += [(line + xy(0, height), 0.35, "seam"), (line, 0.35, "seam")]
    if fly:
        centre = waist[1]
        layer.strokes.append((np.array([centre, centre + xy(0, 13.0)]), 0.35, "seam"))
        layer.bands.append((ellipse(centre + xy(0, height / 2), (0.7, 0.7), samples=8), "light"))
        for side, corner in ((-1, waist[0]), (1, waist[2])):
            start = centre + (corner - centre) * 0.6 + xy(0, height)
            end = corner + xy(side * 0.8, height + 7.5)
            layer.strokes.append((curve([start, (start + end) / 2 + xy(-side * 0.6, 1.6), end]), 0.35, "seam"))


NAMES = {-1: "left", 1: "right"}


def sleeve_points(category_id: int, look: Look, figure: Figure, side: int) -> Parts:
    """Points (2,) of a sleeve by part name without the side: shoulder, outside, cuff, inside."""
    path = rounded_limb(figure.arm(side))
    girth = figure.girth**0.7
    at_top = (5.4 + 0.55 * look.ease) * girth
    at_cuff = max(look.cuff_width, 3.2) * girth

    def half_width(distance: float) -> float:
        share = np.clip(distance / look.sleeve, 0, 1)
        return at_top + (at_cuff - at_top) * share

    def beside(distance: float, outer: bool) -> Points:
        return offsets(path, distance, half_width(distance), side if outer else -side)[0]

    points = {
        "shoulder": shoulder_point(look, figure, side),
        "armpit": armpit_point(look, figure, side, beside(13.0, False)),
        "cuff_outer": beside(look.sleeve, True),
        "cuff_inner": beside(look.sleeve, False),
    }
    if category_id not in LONG_SLEEVED:
        points["upper_arm_outer"] = beside(0.52 * look.sleeve, True)
        points["upper_arm_inner"] = (points["armpit"] + points["cuff_inner"]) / 2
        return points
    below = UPPER_ARM + (look.sleeve - UPPER_ARM) * 0.5
    points |= {"upper_arm_outer": beside(14, True), "elbow_outer": beside(UPPER_ARM, True)}
    points |= {"forearm_outer": beside(below, True), "forearm_inner": beside(below, False)}
    points |= {"elbow_inner": beside(UPPER_ARM, False), "upper_arm_inner": beside(20, False)}
    return points


def shoulder_point(look: Look, figure: Figure, side: int) -> Points:
    """Where the shoulder seam ends (2,): on the shoulder, down the arm if dropped, inwards if negative."""
    tip = figure.shoulder(side)
    if look.shoulder_drop >= 0:
        path = rounded_limb(figure.arm(side))
        half_width = 4.6 + 0.35 * look.ease
        dropped = offsets(path, 2.0 + look.shoulder_drop, half_width, side)[0]
        return tip * 0.35 + dropped * 0.65 + np.array([0, -0.3 * look.ease])
    x = tip[0] + side * max(look.shoulder_drop, -0.5 * abs(tip[0])) * np.cos(figure.yaw)
    return np.array([x, figure.shoulder_y(x)])


def armpit_point(look: Look, figure: Figure, side: int, sleeve_inside: Points) -> Points:
    """The armpit of the garment (2,), between body and sleeve when the arm hangs."""
    body = figure.armpit(side) + np.array([side * 0.5 * look.ease, 0.7 * look.ease])
    hanging = np.clip(1 - figure.upper_arm[(side + 1) // 2] / 0.7, 0, 1) * 0.55
    return body * (1 - hanging) + sleeve_inside * hanging


def sleeve_layer(
    category_id: int, look: Look, figure: Figure, side: int, fabric: Fabric, rng: Rng
) -> tuple[Layer, Parts]:
    """The painted sleeve of one side and its points by part name without the side."""
    points = sleeve_points(category_id, look, figure, side)
    long = category_id in LONG_SLEEVED
    outer = ["upper_arm_outer", *(["elbow_outer", "forearm_outer"] if long else []), "cuff_outer"]
    inner = ["cuff_inner", *(["forearm_inner", "elbow_inner"] if long else []), "upper_arm_inner", "armpit"]
    outside = curve([points["shoulder"], *(points[name] for name in outer)])
    inside = curve([points[name] for name in inner])
    inward = xy(-side * 1.2 * np.cos(figure.yaw), 0.3)  # the sleeve is sewn over the torso's edge
    outline = join(outside, inside, points["armpit"] + inward, points["shoulder"] + inward)
    path = rounded_limb(figure.arm(side))
    angle = float(np.arctan2(*(path[-1] - path[0])))
    depth = layers.Z_OUTER_SLEEVE if category_id in OUTWEAR else layers.Z_SLEEVE
    if figure.far_arm(side):
        depth = layers.Z_FAR_ARM + depth / 100
    layer = Layer(outline, fabric, f"sleeve_{NAMES[side]}", depth, origin=tuple(path[0]), angle=angle, shadow=0.35)
    if long:
        upper = ("shoulder", "upper_arm_outer", "elbow_outer", "elbow_inner", "upper_arm_inner", "armpit")
        lower = ("elbow_outer", "forearm_outer", "cuff_outer", "cuff_inner", "forearm_inner", "elbow_inner")
        layer.pieces = [np.array([points[name] for name in names]) for names in (upper, lower)]
    _finish_cuff(layer, look, path, points, side)
    if look.shoulder_drop >= 0:
        layer.strokes.append((np.array([points["shoulder"], points["armpit"]]), 0.35, "seam"))
    half_width = (points["cuff_outer"] - points["cuff_inner"]) / 2
    layer.folds = limb_folds(rng, path, 8.0, look.sleeve, float(np.linalg.norm(half_width)) + 1, UPPER_ARM)
    return layer, points


def _finish_cuff(layer: Layer, look: Look, path: Points, points: Parts, side: int) -> None:
    height = {"plain": 1.6, "band": 3.0, "rolled": 3.4, "elastic": 4.0}[look.cuff]
    width = max(look.cuff_width, 3.2) + 1.5
    upper = [offsets(path, look.sleeve - height, width, way)[0] for way in (side, -side)]
    end = points["cuff_outer"], points["cuff_inner"]
    past = path[-1] - path[-2]
    past = past / max(np.linalg.norm(past), 1e-6)
    if look.cuff != "plain":
        layer.bands.append((np.array([upper[0], upper[1], end[1] + past, end[0] + past]), "trim"))
    layer.strokes += [(np.array(upper), 0.3, "seam"), (np.array(end), 0.35, "seam")]
