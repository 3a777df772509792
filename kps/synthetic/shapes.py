"""Plane geometry of the generator: smooth curves, strips along limbs and smooth displacement fields.

Lengths are centimetres, x to the picture's right and y downwards, with the origin at the base of the neck.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (N, 2)
Parts = dict[str, Points]  # points (2,) by the name of the garment's part
Move = Callable[[Points], Points]  # a displacement field
Image = NDArray[np.uint8]  # (H, W, 3) RGB, or a mask (H, W)
Rng = np.random.Generator


def xy(x: float, y: float) -> Points:
    """A point or a displacement (2,)."""
    return np.array([x, y], dtype=float)


def curve(points: Points | Sequence[Points], samples: int = 6) -> Points:
    """Catmull-Rom curve through `points` (N, 2), `samples` new points per span, ends included."""
    points = np.asarray(points, dtype=float)
    if len(points) < 3:
        return points
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    before, start, end, after = padded[:-3, None], padded[1:-2, None], padded[2:-1, None], padded[3:, None]
    t = np.linspace(0, 1, samples, endpoint=False)[None, :, None]
    spans = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return np.vstack([spans.reshape(-1, 2), points[-1]])


def join(*pieces: Points) -> Points:
    """One outline (N, 2) from curves that follow one another."""
    return np.vstack([np.atleast_2d(piece) for piece in pieces])


def along(path: Points, distance: float | NDArray[np.float64]) -> Points:
    """Points (M, 2) at the given distances from the start of a polyline, extrapolated past its end."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    position = np.concatenate([[0.0], np.cumsum(steps)])
    distance = np.atleast_1d(np.asarray(distance, dtype=float))
    inside = np.stack([np.interp(distance, position, path[:, axis]) for axis in (0, 1)], axis=1)
    beyond = np.maximum(distance - position[-1], 0)[:, None]
    return inside + beyond * (path[-1] - path[-2]) / max(steps[-1], 1e-6)


def rounded_limb(joints: Points, samples: int = 5) -> Points:
    """Centre line of a limb from its joints (3, 2), with the middle joint slightly rounded."""
    first, middle, last = joints
    before, after = middle + 0.22 * (first - middle), middle + 0.22 * (last - middle)
    t = np.linspace(0, 1, samples)[:, None]
    bend = (1 - t) ** 2 * before + 2 * t * (1 - t) * middle + t**2 * after
    return np.vstack([first, bend, last])


def offsets(
    path: Points, distance: float | NDArray[np.float64], half_width: NDArray[np.float64] | float, side: int
) -> Points:
    """Points (M, 2) beside a limb: `half_width` away from its centre line at `distance` along it.

    `side` -1 is the picture's left when the limb hangs down, +1 its right.
    """
    centre, reach, distance = along(path, distance), 1.5, np.atleast_1d(distance)
    tangent = along(path, distance + reach) - along(path, np.maximum(distance - reach, 0))
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) * side
    return centre + normal * np.broadcast_to(np.atleast_1d(half_width), (len(centre),))[:, None]


def strip(path: Points, distances: NDArray[np.float64], half_widths: NDArray[np.float64]) -> Points:
    """Closed outline (2M, 2) of a limb with the given half widths at the given distances."""
    left, right = offsets(path, distances, half_widths, -1), offsets(path, distances, half_widths, 1)
    return np.vstack([curve(left, 4), curve(right[::-1], 4)])


def ellipse(centre: Points, half_axes: tuple[float, float], angle: float = 0.0, samples: int = 28) -> Points:
    """Outline (samples, 2) of an ellipse turned by `angle` radians."""
    t = np.linspace(0, 2 * np.pi, samples, endpoint=False)
    x, y = half_axes[0] * np.cos(t), half_axes[1] * np.sin(t)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=1) + np.asarray(centre)


def wobble(rng: Rng, amplitude: float, wavelength: float, terms: int = 3) -> Move:
    """A random smooth displacement field: a function of points (N, 2) that returns moved points (N, 2)."""
    wave = rng.normal(0, 2 * np.pi / wavelength, (terms, 2))
    phase = rng.uniform(0, 2 * np.pi, (terms, 2))
    size = rng.normal(0, amplitude / np.sqrt(terms), (terms, 2))

    def move(points: Points) -> Points:
        argument = points @ wave.T  # (N, terms)
        return points + (np.sin(argument[:, :, None] + phase) * size).sum(axis=1)

    return move
