"""What is sewn on: hems, collars, plackets, pockets, waistbands, buttons and chest prints."""

from __future__ import annotations

import numpy as np

from kps.synthetic.body import Figure
from kps.synthetic.layers import Layer
from kps.synthetic.look import DRESSES, SLINGS, Look
from kps.synthetic.shapes import Parts, Points, Rng, curve, ellipse, xy


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
    if figure.pose.back:
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
