"""Things in front of the clothes (bags, phones, balloons) and the hanger of clothes that nobody wears."""

from __future__ import annotations

import numpy as np

from kps.synthetic import layers
from kps.synthetic.body import Figure
from kps.synthetic.layers import Layer
from kps.synthetic.look import BOTTOMS
from kps.synthetic.shapes import Rng, curve, ellipse, strip, xy
from kps.synthetic.texture import plain_fabric, random_colour


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
    return [
        Layer(outline, wood, "object", layers.Z_NECK_BACK + 0.2),
        Layer(hook_outline, wood, "object", 0.2),
    ]
