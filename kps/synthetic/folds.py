"""Folds: lines of relief that pull, hang or bunch as cloth does."""

from __future__ import annotations

import numpy as np

from kps.synthetic.shapes import Points, Rng, along, curve

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
