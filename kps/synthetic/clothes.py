"""Garments on a figure: sleeves, torsos and legs with their landmarks, and what sits on them, from folds to buttons."""

import numpy as np

from kps.synthetic import drawing
from kps.synthetic.drawing import Fabric, Garment, Layer, Parts, Points, Rng, along, curve, ellipse, join, offsets, xy
from kps.synthetic.person import ANKLE, CROTCH, KNEE, LEG_HALF_WIDTHS, UPPER_ARM, Figure
from kps.synthetic.plan import DRESSES, LONG_SLEEVED, OUTWEAR, SHORT_SLEEVED, SLINGS, Look

NAMES = {-1: "left", 1: "right"}
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


def sleeve_points(category_id: int, look: Look, figure: Figure, side: int) -> Parts:
    """Points (2,) of a sleeve by part name without the side: shoulder, outside, cuff, inside."""
    path = drawing.rounded_limb(figure.arm(side))
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
        path = drawing.rounded_limb(figure.arm(side))
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
    path = drawing.rounded_limb(figure.arm(side))
    angle = float(np.arctan2(*(path[-1] - path[0])))
    depth = drawing.Z_OUTER_SLEEVE if category_id in OUTWEAR else drawing.Z_SLEEVE
    if figure.far_arm(side):
        depth = drawing.Z_FAR_ARM + depth / 100
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
    depth = drawing.Z_OUTWEAR if outwear else drawing.Z_DRESS if dress else drawing.Z_TOP
    inner = drawing.plain_fabric(drawing.scaled(tuple(int(v) for v in fabric.tile.reshape(-1, 3).mean(axis=0)), 0.62))
    sides = {side: _side_line(category_id, points, NAMES[side]) for side in (-1, 1)}
    neck = "strap_base" if category_id in SLINGS else "neck"
    back_part = "bodice_back" if category_id in SLINGS else "neck_back"
    back = curve([points[f"{neck}_left"], points[back_part], points[f"{neck}_right"]])
    if outwear and not figure.back:
        panels = [_front_panel(points, side, sides[side], fabric, depth) for side in (-1, 1)]
        hem = curve([sides[-1][-1], [0.0, look.hem_y - 0.5], sides[1][-1]])
        outline = join(back, sides[1], hem[::-1], sides[-1][::-1])
        parts = [Layer(outline, inner, "lining", drawing.Z_LINING, shadow=0), *panels]
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
            parts.append(Layer(inside, inner, "back", drawing.Z_NECK_BACK, shadow=0.0, relief=0.3))
            parts[-1].strokes.append((back, 0.9, "trim"))
    if category_id in SLINGS:
        half, low = xy(look.strap, 0), xy(0, 0.8)
        for name in NAMES.values():
            base, top = points[f"strap_base_{name}"], points[f"strap_top_{name}"]
            outline = np.array([top - half, top + half, base + half + low, base - half + low])
            parts.append(Layer(outline, fabric, f"strap_{name}", depth - 0.05, shadow=0.3, relief=0.4))
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
            panels = ()
        elif part.startswith("front_") and side in NAMES.values():
            panels = (f"torso_{side}",)
        else:
            panels = torso
        landmarks[part] = (point, panels)
    return landmarks


_HIP_Y = 58.0


def build_lower(category_id: int, look: Look, figure: Figure, fabric: Fabric, rng: Rng) -> Garment:
    """Shorts, trousers or a skirt on the figure."""
    half = float(figure.half_width(look.rise)) + 0.6
    centre = float(figure.front(0, half)) * 0.8
    dip = 0.9 if not figure.back else -0.4
    waist = xy(-half, look.rise), xy(centre, look.rise + dip), xy(half, look.rise)
    points = dict(zip(("waist_left", "waist_centre", "waist_right"), waist, strict=True))
    if category_id == 9:
        return _skirt(look, figure, fabric, points, rng)
    return _legs(category_id, look, figure, fabric, points, rng)


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
    layer = Layer(outline, fabric, "skirt", drawing.Z_BOTTOM)
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
    name, path = NAMES[side], drawing.rounded_limb(figure.leg(side))

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
    depth = drawing.Z_BOTTOM + 0.01 * (side > 0)
    grain = float(np.arctan2(*(path[-1] - path[0])))
    return Layer(outline, fabric, f"leg_{name}", depth, origin=tuple(path[0]), angle=grain, shadow=0.25)


def _finish_leg(
    layer: Layer, long: bool, look: Look, figure: Figure, points: Parts, side: int, end: float, rng: Rng
) -> None:
    """Hem, cuff, waistband and folds of a leg, in place."""
    name, hem, path = NAMES[side], "ankle" if long else "leg_hem", drawing.rounded_limb(figure.leg(side))
    edge = np.array([points[f"{hem}_outer_{name}"], points[f"{hem}_inner_{name}"]])
    cuff = np.vstack([offsets(path, end - 2.2, 14.0, -1), offsets(path, end - 2.2, 14.0, 1)])
    if look.cuff == "rolled":
        past = np.vstack([offsets(path, end + 3, 14.0, 1), offsets(path, end + 3, 14.0, -1)])
        layer.bands.append((np.vstack([cuff, past]), "light"))
    layer.strokes += [(edge, 0.4, "seam"), (cuff, 0.25, "seam")]
    decorate_waist(layer, _waist(points), 3.2, fly=not figure.back)
    layer.folds = limb_folds(rng, path, 4.0, end, 8.0, KNEE - _HIP_Y)
    layer.folds += drag_lines(rng, points["crotch"], _hip(figure, side), int(rng.integers(2, 6)), 3.0)
