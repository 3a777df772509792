"""Shorts, trousers and skirts."""

import numpy as np

from kps.synthetic import drawing as layers
from kps.synthetic.body import ANKLE, CROTCH, KNEE, LEG_HALF_WIDTHS, Figure
from kps.synthetic.drawing import Fabric, Garment, Layer, Parts, Points, Rng, curve, join, offsets, rounded_limb, xy
from kps.synthetic.plan import Look
from kps.synthetic.sleeves import NAMES, decorate_waist, drag_lines, hanging_folds, limb_folds

_HIP_Y = 58.0


def build_lower(category_id: int, look: Look, figure: Figure, fabric: Fabric, rng: Rng) -> Garment:
    """Shorts, trousers or a skirt on the figure."""
    points = _waist_points(look, figure)
    if category_id == 9:
        return _skirt(look, figure, fabric, points, rng)
    return _legs(category_id, look, figure, fabric, points, rng)


def _waist_points(look: Look, figure: Figure) -> Parts:
    half = float(figure.half_width(look.rise)) + 0.6
    centre = float(figure.front(0, half)) * 0.8
    dip = 0.9 if not figure.back else -0.4
    return {
        "waist_left": np.array([-half, look.rise]),
        "waist_centre": np.array([centre, look.rise + dip]),
        "waist_right": np.array([half, look.rise]),
    }


def _waist(points: Parts) -> tuple[Points, Points, Points]:
    return points["waist_left"], points["waist_centre"], points["waist_right"]


def _skirt(look: Look, figure: Figure, fabric: Fabric, points: Parts, rng: Rng) -> Garment:
    for side in (-1, 1):
        hem_y = look.hem_y + side * look.asymmetry
        hip = float(figure.half_width(_HIP_Y)) + 0.8
        hem = float(figure.turned(15.5 * figure.hips)) + look.flare
        y = look.rise + 0.42 * (hem_y - look.rise)
        if y <= _HIP_Y:
            waist = abs(points["waist_right"][0])
            x = waist + (hip - waist) * ((y - look.rise) / (_HIP_Y - look.rise)) ** 0.7
            x += max(look.flare, 0) * 0.3 * (y - look.rise) / (hem_y - look.rise)
        else:
            x = np.interp(y, [_HIP_Y, hem_y], [hip + 0.2 * max(look.flare, 0), hem])
        points[f"side_thigh_{NAMES[side]}"] = np.array([side * x, y])
        points[f"skirt_hem_corner_{NAMES[side]}"] = np.array([side * hem, hem_y])
    left, right = points["skirt_hem_corner_left"], points["skirt_hem_corner_right"]
    centre = float(figure.front(0, abs(right[0]))) * 0.6
    points["skirt_hem_centre"] = np.array([centre, (left[1] + right[1]) / 2 + look.hem_curve])
    side = ("waist", "side_thigh", "skirt_hem_corner")
    left_side, right_side = (curve([points[f"{part}_{name}"] for part in side]) for name in NAMES.values())
    hem_line = curve([left, points["skirt_hem_centre"], right])
    outline = join(curve(_waist(points)), right_side, hem_line[::-1], left_side[::-1])
    layer = Layer(outline, fabric, "skirt", layers.Z_BOTTOM)
    count = 4 + int(max(look.flare, 0) * 0.9) + (8 if look.pleats else 0)
    layer.folds = hanging_folds(rng, (points["waist_left"], points["waist_right"]), (left, right), count)
    layer.strokes += [(hem_line - xy(0, 1.6), 0.25, "seam"), (hem_line, 0.4, "seam")]
    decorate_waist(layer, _waist(points), rng.uniform(1.8, 4.0), fly=False)
    return Garment(9, [layer], {part: (point, ("skirt",)) for part, point in points.items()})


def _leg_half_width(look: Look, figure: Figure, distance: float) -> float:
    body = float(np.interp(distance / figure.legs, *LEG_HALF_WIDTHS)) * (0.5 + 0.5 * figure.girth)
    return body + 0.7 + look.leg_width * float(np.clip(distance / look.leg_length, 0.15, 1.0))


def _leg_points(long: bool, look: Look, figure: Figure, side: int, end: float) -> Parts:
    """Landmarks of one leg whose cloth ends at the distance `end` from the hip, by part name."""
    name, path = NAMES[side], rounded_limb(figure.leg(side))

    def beside(distance: float, outer: bool) -> Points:
        half_width = _leg_half_width(look, figure, distance)
        return offsets(path, distance, half_width, side if outer else -side)[0]

    hem = "ankle" if long else "leg_hem"
    points = {
        f"thigh_outer_{name}": beside(13.0 if long else max(2.0, 0.45 * end), True),
        f"{hem}_outer_{name}": beside(end, True),
        f"{hem}_inner_{name}": beside(end, False),
    }
    if long:
        knee = (KNEE - _HIP_Y) * figure.legs
        points |= {f"knee_outer_{name}": beside(knee, True), f"knee_inner_{name}": beside(knee, False)}
    return points


def _legs(category_id: int, look: Look, figure: Figure, fabric: Fabric, points: Parts, rng: Rng) -> Garment:
    long = category_id == 8
    end = min(look.leg_length, ANKLE - _HIP_Y) * figure.legs
    points["crotch"] = np.array([(figure.leg(-1)[0, 0] + figure.leg(1)[0, 0]) / 2, CROTCH + 1.0])
    parts: list[Layer] = []
    for side in (-1, 1):
        points |= _leg_points(long, look, figure, side, end)
        layer = _leg_layer(long, figure, points, side, fabric)
        _finish_leg(layer, long, look, figure, points, side, end, rng)
        parts.append(layer)
    both = ("leg_left", "leg_right")
    landmarks = {}
    for part, point in points.items():
        own = part.startswith(("knee", "ankle", "leg_hem"))
        landmarks[part] = (point, (f"leg_{part.rsplit('_', 1)[-1]}",) if own else both)
    return Garment(category_id, parts, landmarks)


def _hip(figure: Figure, side: int) -> Points:
    return np.array([side * (float(figure.half_width(_HIP_Y)) + 0.6), _HIP_Y])


def _leg_layer(long: bool, figure: Figure, points: Parts, side: int, fabric: Fabric) -> Layer:
    """One leg together with its half of the seat."""
    name, hem, path = NAMES[side], "ankle" if long else "leg_hem", figure.leg(side)
    outer = [points[f"waist_{name}"], _hip(figure, side), points[f"thigh_outer_{name}"]]
    inner = [points[f"{hem}_inner_{name}"]]
    if np.linalg.norm(outer[1] - outer[2]) < 4:
        outer.pop(1)
    if long:
        outer.append(points[f"knee_outer_{name}"])
        inner.append(points[f"knee_inner_{name}"])
    outside = curve([*outer, points[f"{hem}_outer_{name}"]])
    inside = curve([*inner, points["crotch"]])
    overlap = np.array([-side * 0.5, 0.0])
    outline = join(outside, inside, points["crotch"] + overlap, points["waist_centre"] + overlap)
    depth = layers.Z_BOTTOM + 0.01 * (side > 0)
    grain = float(np.arctan2(*(path[-1] - path[0])))
    return Layer(outline, fabric, f"leg_{name}", depth, origin=tuple(path[0]), angle=grain, shadow=0.25)


def _finish_leg(
    layer: Layer, long: bool, look: Look, figure: Figure, points: Parts, side: int, end: float, rng: Rng
) -> None:
    """Hem, cuff, waistband and folds of a leg, in place."""
    name, hem, path = NAMES[side], "ankle" if long else "leg_hem", rounded_limb(figure.leg(side))
    edge = np.array([points[f"{hem}_outer_{name}"], points[f"{hem}_inner_{name}"]])
    cuff = np.vstack([offsets(path, end - 2.2, 14.0, -1), offsets(path, end - 2.2, 14.0, 1)])
    if look.cuff == "rolled":
        past = np.vstack([offsets(path, end + 3, 14.0, 1), offsets(path, end + 3, 14.0, -1)])
        layer.bands.append((np.vstack([cuff, past]), "light"))
    layer.strokes += [(edge, 0.4, "seam"), (cuff, 0.25, "seam")]
    decorate_waist(layer, _waist(points), 3.2, fly=not figure.back)
    layer.folds = limb_folds(rng, path, 4.0, end, 8.0, KNEE - _HIP_Y)
    layer.folds += drag_lines(rng, points["crotch"], _hip(figure, side), int(rng.integers(2, 6)), 3.0)
