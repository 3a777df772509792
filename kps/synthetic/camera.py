"""The camera: a projective map from the figure's centimetres to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kps.synthetic.shapes import Points, Rng, xy


@dataclass
class Camera:
    """`matrix` (3, 3) maps homogeneous cm to px; width and height of the photo in px."""

    matrix: NDArray[np.float64]
    width: int
    height: int

    def project(self, points: Points) -> Points:
        """Pixels (N, 2) of points (N, 2) in cm."""
        mapped = np.asarray(points, dtype=float) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return mapped[:, :2] / np.maximum(mapped[:, 2:], 1e-3)

    def local(self, point: Points) -> NDArray[np.float64]:
        """The affine map (2, 3) that agrees with the projection at a point (2,) in cm."""
        point = np.asarray(point, dtype=float)
        base, right, down = self.project(np.array([point, point + xy(1, 0), point + xy(0, 1)]))
        linear = np.stack([right - base, down - base], axis=1)
        return np.hstack([linear, (base - linear @ point)[:, None]])

    def scale(self, point: Points) -> float:
        """Pixels per cm at a point (2,)."""
        return float(np.sqrt(abs(np.linalg.det(self.local(point)[:, :2]))))


def framed(
    box: tuple[float, float, float, float],
    width: int,
    height: int,
    margin: float,
    rng: Rng,
    *,
    wild: float = 1.0,
    anchor: int = 0,
) -> Camera:
    """A camera that shows the box (x1, y1, x2, y2 in cm), with random roll, place and perspective.

    `margin` is the share of the frame left around the box; `wild` scales the roll and the perspective;
    `anchor` -1 puts the box at the top of the frame, 1 at its bottom.
    """
    x1, y1, x2, y2 = box
    scale = min(width / (x2 - x1), height / (y2 - y1)) * (1 - margin)
    wild = 0.5 * wild if anchor else wild
    roll = np.clip(rng.normal(0, 0.06) + (rng.random() < 0.1) * rng.normal(0, 0.25), -0.6, 0.6) * wild
    cos, sin = scale * np.cos(roll), scale * np.sin(roll)
    free = np.array([width - scale * (x2 - x1), height - scale * (y2 - y1)])
    aside = np.clip(rng.normal(0, 0.2, 2), -0.5, 0.5)
    centre = np.array([width, height]) / 2 + aside * np.maximum(free, 0.02 * width)
    if anchor:
        centre[1] = height / 2 + anchor * max(free[1], 0) / 2
    tilt = rng.normal(0, 0.00035, 2) * wild * np.array([0.6, 1.6])
    place = np.array([[1, 0, -(x1 + x2) / 2], [0, 1, -(y1 + y2) / 2], [0, 0, 1.0]])
    view = np.array([[1, 0, 0], [0, 1, 0], [tilt[0], tilt[1], 1.0]])
    turn = np.array([[cos, -sin, centre[0]], [sin, cos, centre[1]], [0, 0, 1.0]])
    return Camera(turn @ view @ place, width, height)
