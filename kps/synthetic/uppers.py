"""Tops, outwear and dresses: where the landmarks of a torso lie, and its layers."""

import numpy as np

from kps.synthetic import drawing as layers
from kps.synthetic.body import Figure
from kps.synthetic.drawing import Fabric, Garment, Layer, Parts, Points, Rng, curve, join, plain_fabric, scaled, xy
from kps.synthetic.plan import DRESSES, LONG_SLEEVED, OUTWEAR, SHORT_SLEEVED, SLINGS, Look
from kps.synthetic.sleeves import (
    NAMES,
    armpit_point,
    decorate_torso,
    drag_lines,
    hanging_folds,
    shoulder_point,
    sleeve_layer,
)


def neck_points(category_id: int, look: Look, figure: Figure) -> Parts:
    """Neckline landmarks by part name, and the straps of slings."""
    cos, turn = np.cos(figure.yaw), figure.facing
    width, depth = look.neck_width, look.neck_depth
    points = {}
    if category_id in SLINGS:
        top = depth - 2.5 if look.neck_shape == "round" else depth - 5.0
        for side in (-1, 1):
            name = NAMES[side]
            base = figure.front(side * width / 15.5, figure.half_width(max(top, 12.0)))
            points[f"strap_base_{name}"] = np.array([base, max(top, 10.0)])
            strap_x = side * (width + 0.8) * cos
            points[f"strap_top_{name}"] = np.array([strap_x, figure.shoulder_y(strap_x) - 0.2])
            middle = figure.front(side * 0.5 * width / 15.5, figure.half_width(depth))
            points[f"neckline_{name}"] = np.array([middle, depth - (0.9 if look.neck_shape == "round" else 2.4)])
        points["neck_front"] = np.array([figure.front(0, figure.half_width(depth)), depth])
        points["bodice_back"] = np.array([-figure.front(0, figure.half_width(depth)), max(top, 10.0) + 1.5])
        return points
    front = np.array([float(figure.front(0, 7.0)), depth])
    shares = {"round": (0.68, 0.7), "v": (0.5, 0.5), "square": (0.92, 0.84)}[look.neck_shape]
    for side in (-1, 1):
        corner = np.array([side * width * max(cos, 0.55) + 1.2 * turn, figure.shoulder_y(width) - 0.25 * look.ease])
        points[f"neck_{NAMES[side]}"] = corner
        points[f"neckline_{NAMES[side]}"] = np.array([
            front[0] + (corner[0] - front[0]) * shares[0], corner[1] + (front[1] - corner[1]) * shares[1]
        ])  # fmt: skip
    back_dip = 1.4 if not figure.back else 1.8
    points["neck_back"] = np.array([-1.5 * turn, figure.shoulder_y(width) - 0.25 * look.ease + back_dip])
    points["neck_front"] = front
    return points


def garment_half_width(category_id: int, look: Look, figure: Figure, y: float, top: float) -> float:
    """Half width of the garment's silhouette at height y, from `top` at the armpit (y = 17) to its hem."""
    waist_y = 40.0
    waist = min(float(figure.half_width(waist_y)) + look.waist_ease, top + 2.0)
    if category_id in DRESSES:
        hip = max(float(figure.half_width(58)) + 0.8, waist + 1.0)
        hem = float(figure.turned(15.0 * figure.hips)) + look.flare
        heights, widths = [17.0, waist_y, 59.0, look.hem_y], [top, waist, hip + 0.25 * look.flare, hem]
    elif look.hem_y > 48:
        hem = max(float(figure.half_width(min(look.hem_y, 60.0))) + 0.8, waist) + look.flare
        heights, widths = [17.0, waist_y, look.hem_y], [top, waist, hem]
    else:
        heights, widths = [17.0, look.hem_y], [top, waist + max(look.flare, 0)]
    width = float(np.interp(y, heights, widths))
    return max(width, float(figure.half_width(y)) + 0.5) if y < 62 else width


def side_points(category_id: int, look: Look, figure: Figure, points: Parts) -> Parts:
    """Landmarks below the armpits on both sides and at the hem, by part name."""
    hem_part = "skirt_hem" if category_id in DRESSES else "hem"
    added: Parts = {}
    for side in (-1, 1):
        name = NAMES[side]
        armpit_y = float(points[f"armpit_{name}"][1])
        top = float(figure.half_width(17.0)) + 0.75 * look.ease
        hem_y = look.hem_y + side * look.asymmetry
        heights = {"side_chest": armpit_y + 5.0}
        if category_id in DRESSES:
            heights |= {"side_ribs": 29.5, "side_waist": 40.5, "side_thigh": 40.5 + 0.5 * (hem_y - 40.5)}
        else:
            heights["side_waist"] = armpit_y + 5.0 + 0.45 * (hem_y - armpit_y - 5.0)
        if category_id not in SHORT_SLEEVED | LONG_SLEEVED:
            heights.pop("side_chest")
        heights[f"{hem_part}_corner"] = hem_y
        for part, y in heights.items():
            x = side * garment_half_width(category_id, look, figure, y, top)
            added[f"{part}_{name}"] = np.array([x, y])
    left, right = added[f"{hem_part}_corner_left"], added[f"{hem_part}_corner_right"]
    centre = float(figure.front(0, abs(right[0]))) * 0.6
    if category_id not in OUTWEAR:
        added[f"{hem_part}_centre"] = np.array([centre, (left[1] + right[1]) / 2 + look.hem_curve])
    return added


def front_points(look: Look, figure: Figure, points: Parts) -> Parts:
    """The two edges of an open front, from the end of the neckline to the hem."""
    added: Parts = {}
    for side in (-1, 1):
        name = NAMES[side]
        start_y, hem_y = look.neck_depth, look.hem_y + look.hem_curve
        gap = np.array([0.35, 0.75, 0.95, 1.0]) * look.opening * 0.85 + (0.02 if look.opening > 0.1 else -0.05)
        gap[0] = min(gap[0] + 0.12 * (look.neck_depth < 12 and look.opening > 0.1), 0.5)
        heights = start_y + np.array([0, 0.34, 0.67, 1.0]) * (hem_y - start_y)
        for part, across, y in zip(("top", "upper", "lower", "hem"), gap, heights, strict=True):
            near = points[f"side_waist_{name}"], points[f"hem_corner_{name}"]
            silhouette = np.interp(y, [near[0][1], near[1][1]], [abs(near[0][0]), abs(near[1][0])])
            x = figure.front(side * across * 0.6, silhouette)
            added[f"front_{part}_{name}"] = np.array([x, y])
        corner, top = points[f"neck_{name}"], added[f"front_top_{name}"]
        bow = np.array([side * (0.8 if look.neck_shape == "v" else 1.6), 0.0])
        added[f"neckline_{name}"] = corner + (top - corner) * 0.5 + bow
    return added


_HIDDEN = ()  # panels of a landmark that cannot be seen


def build_upper(category_id: int, look: Look, figure: Figure, fabric: Fabric, rng: Rng) -> Garment:
    """A top, an outwear or a dress on the figure."""
    points: Parts = {}
    painted: list[Layer] = []
    for side in (-1, 1):
        if category_id in SHORT_SLEEVED | LONG_SLEEVED:
            layer, sleeve = sleeve_layer(category_id, look, figure, side, fabric, rng)
            painted.append(layer)
            points |= {f"{part}_{NAMES[side]}": point for part, point in sleeve.items()}
        else:
            inside = figure.armpit(side)
            points[f"armpit_{NAMES[side]}"] = armpit_point(look, figure, side, inside)
            points[f"shoulder_{NAMES[side]}"] = shoulder_point(look, figure, side)
    points |= neck_points(category_id, look, figure)
    points |= side_points(category_id, look, figure, points)
    if category_id in OUTWEAR:
        points |= front_points(look, figure, points)
    painted += _torso_layers(category_id, look, figure, points, fabric, rng)
    return Garment(category_id, painted, _visible_on(figure, points))


def _torso_layers(category_id: int, look: Look, figure: Figure, points: Parts, fabric: Fabric, rng: Rng) -> list[Layer]:
    dress, outwear = category_id in DRESSES, category_id in OUTWEAR
    depth = layers.Z_OUTWEAR if outwear else layers.Z_DRESS if dress else layers.Z_TOP
    inner = plain_fabric(scaled(tuple(int(v) for v in fabric.tile.reshape(-1, 3).mean(axis=0)), 0.62))
    sides = {side: _side_line(category_id, points, NAMES[side]) for side in (-1, 1)}
    neck = "strap_base" if category_id in SLINGS else "neck"
    back_part = "bodice_back" if category_id in SLINGS else "neck_back"
    back = curve([points[f"{neck}_left"], points[back_part], points[f"{neck}_right"]])
    if outwear and not figure.back:
        panels = [_front_panel(points, side, sides[side], fabric, depth) for side in (-1, 1)]
        hem = curve([sides[-1][-1], [0.0, look.hem_y - 0.5], sides[1][-1]])
        outline = join(back, sides[1], hem[::-1], sides[-1][::-1])
        parts = [Layer(outline, inner, "lining", layers.Z_LINING, shadow=0), *panels]
    else:
        hem_part = "skirt_hem" if dress else "hem"
        centre = points.get(f"{hem_part}_centre", np.array([0.0, look.hem_y + look.hem_curve]))
        hem = curve([sides[-1][-1], centre, sides[1][-1]])
        top = back if figure.back else _neckline(points, neck, look)
        outline = join(top, sides[1], hem[::-1], sides[-1][::-1])
        parts = [Layer(outline, fabric, "torso", depth)]
        if not figure.back:
            # The inside of the back, seen through the neck opening when no neck is there.
            inside = join(back, top[::-1])
            parts.append(Layer(inside, inner, "back", layers.Z_NECK_BACK, shadow=0.0, relief=0.3))
            parts[-1].strokes.append((back, 0.9, "trim"))
    if category_id in SLINGS:
        parts += _straps(look, points, fabric, depth)
    for layer in parts:
        if layer.panel.startswith("torso"):
            layer.folds = _torso_folds(category_id, look, points, rng)
            decorate_torso(layer, category_id, look, figure, points, rng)
    return parts


def _neckline(points: Parts, neck: str, look: Look) -> Points:
    names = [f"{neck}_left", "neckline_left", "neck_front", "neckline_right", f"{neck}_right"]
    line = np.array([points[name] for name in names])
    if look.neck_shape == "round":
        return curve(line)
    return line if look.neck_shape == "v" else join(curve(line[:2], 3), line[2:])


def _side_line(category_id: int, points: Parts, name: str) -> Points:
    """From the shoulder (or strap base) down to the hem corner."""
    order = ["side_chest", "side_ribs", "side_waist", "side_thigh", "hem_corner", "skirt_hem_corner"]
    below = [points[f"{part}_{name}"] for part in order if f"{part}_{name}" in points]
    armpit = points[f"armpit_{name}"]
    start = points[f"strap_base_{name}" if category_id in SLINGS else f"shoulder_{name}"]
    rise = [(points[f"neck_{name}"] + start) / 2 - xy(0, 0.5)] if f"neck_{name}" in points else []
    armhole = np.array([start, armpit])
    if category_id not in SHORT_SLEEVED | LONG_SLEEVED:
        inward = np.array([-0.08 * armpit[0], 0.08 * (armpit[1] - start[1])])
        armhole = curve([start, (start + armpit) / 2 + inward, armpit], 5)
    return join(*rise, armhole, curve([armpit, *below])[1:])


def _front_panel(points: Parts, side: int, side_line: Points, fabric: Fabric, depth: float) -> Layer:
    name = NAMES[side]
    edge = np.array([points[f"front_{part}_{name}"] for part in ("hem", "lower", "upper", "top")])
    neckline = np.array([points[f"front_top_{name}"], points[f"neckline_{name}"], points[f"neck_{name}"]])
    outline = join(points[f"neck_{name}"], side_line, curve(edge), curve(neckline))
    return Layer(outline, fabric, f"torso_{name}", depth + (0.1 if side > 0 else 0.0), shadow=0.45)


def _straps(look: Look, points: Parts, fabric: Fabric, depth: float) -> list[Layer]:
    straps = []
    for name in NAMES.values():
        base, top = points[f"strap_base_{name}"], points[f"strap_top_{name}"]
        half = np.array([look.strap, 0.0])
        outline = np.array([top - half, top + half, base + half + xy(0, 0.8), base - half + xy(0, 0.8)])
        straps.append(Layer(outline, fabric, f"strap_{name}", depth - 0.05, shadow=0.3, relief=0.4))
    return straps


def _torso_folds(category_id: int, look: Look, points: Parts, rng: Rng):
    armpits = points["armpit_left"], points["armpit_right"]
    waists = points["side_waist_left"], points["side_waist_right"]
    folds = drag_lines(rng, armpits[0], (waists[0] + waists[1]) / 2, int(rng.integers(1, 5)))
    folds += drag_lines(rng, armpits[1], (waists[0] + waists[1]) / 2, int(rng.integers(1, 5)))
    folds += drag_lines(rng, waists[0], waists[1], int(rng.integers(0, 4)), 6.0)
    if category_id in DRESSES:
        hems = points["skirt_hem_corner_left"], points["skirt_hem_corner_right"]
        folds += hanging_folds(rng, waists, hems, 3 + int(abs(look.flare) * 0.7))
    return folds


def _visible_on(figure: Figure, points: Parts):
    """Landmark points with the panels on which they can be seen."""
    torso = ("torso", "torso_left", "torso_right")
    landmarks = {}
    for part, point in points.items():
        side = part.rsplit("_", 1)[-1]
        if part in {"neck_back", "bodice_back"}:
            panels = torso if figure.back else ("back", "lining")
        elif part.startswith("strap_top"):
            panels = (f"strap_{side}",)
        elif part.startswith(("upper_arm", "elbow", "forearm", "cuff")):
            panels = (f"sleeve_{side}",)
        elif part.startswith(("shoulder", "armpit")):
            panels = (*torso, f"sleeve_{side}")
        elif figure.back and part.startswith(("neckline", "neck_front", "front_")):
            panels = _HIDDEN
        elif part.startswith("front_") and side in NAMES.values():
            panels = (f"torso_{side}",)
        else:
            panels = torso
        landmarks[part] = (point, panels)
    return landmarks
