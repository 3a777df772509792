"""Where the landmarks of a torso lie: neckline, sides, hem and the edges of an open front."""

from __future__ import annotations

import numpy as np

from kps.synthetic.body import Figure
from kps.synthetic.look import DRESSES, LONG_SLEEVED, OUTWEAR, SHORT_SLEEVED, SLINGS, Look
from kps.synthetic.shapes import Parts
from kps.synthetic.sleeves import NAMES


def neck_points(category_id: int, look: Look, figure: Figure) -> Parts:
    """Neckline landmarks by part name, and the straps of slings."""
    cos, turn = np.cos(figure.pose.yaw), figure.facing
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
    back_dip = 1.4 if not figure.pose.back else 1.8
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
