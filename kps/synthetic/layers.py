"""What the generator paints: flat layers with a place in depth, and garments made of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kps.synthetic.shapes import Move, Points
from kps.synthetic.texture import Fabric

# Depth of the layers: larger is nearer to the camera.
Z_HAIR_BACK, Z_LINING, Z_NECK_BACK, Z_FAR_ARM = 0.0, 0.5, 1.0, 2.0
Z_LEG, Z_SHOE, Z_TORSO, Z_HEAD = 4.0, 4.2, 5.0, 5.6
Z_UNDER, Z_BOTTOM, Z_TOP, Z_DRESS, Z_OUTWEAR = 6.0, 6.5, 7.0, 7.2, 8.0
Z_ARM, Z_SLEEVE, Z_OUTER_SLEEVE, Z_HAND = 10.0, 11.0, 12.0, 12.5
Z_HAIR_FRONT, Z_OBJECT = 14.0, 16.0


@dataclass
class Layer:
    """A painted outline (N, 2) in cm. `bands`, `strokes` and `folds` are clipped by it.

    bands: (polygon, fabric role); strokes: (polyline, width cm, fabric role); folds: (polyline, width cm,
    strength -1..1).
    Fabric roles are "trim", "seam", "accent" and "light".
    """

    outline: Points
    fabric: Fabric
    panel: str
    z: float
    garment: int = -1  # index of the garment in the photo, -1 for the body and for objects
    origin: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0  # of the fabric's grain
    relief: float = 1.0  # strength of the rounded shading
    shadow: float = 0.3  # cast on what lies below
    bands: list[tuple[Points, str]] = field(default_factory=list)
    strokes: list[tuple[Points, float, str]] = field(default_factory=list)
    folds: list[tuple[Points, float, float]] = field(default_factory=list)
    pieces: list[Points] = field(default_factory=list)  # what the outline leaves out where it crosses itself

    def moved(self, move: Move) -> None:
        """Apply a displacement of points (N, 2) to everything."""
        self.outline = move(self.outline)
        self.pieces = [move(points) for points in self.pieces]
        self.bands = [(move(points), role) for points, role in self.bands]
        self.strokes = [(move(points), width, role) for points, width, role in self.strokes]
        self.folds = [(move(points), width, strength) for points, width, strength in self.folds]


@dataclass
class Garment:
    """A garment's layers and landmarks: part name -> (point (2,) cm, panels on which it can be seen)."""

    category_id: int
    layers: list[Layer]
    landmarks: dict[str, tuple[Points, tuple[str, ...]]]

    def moved(self, move: Move) -> None:
        """Apply a displacement of points (N, 2) to everything."""
        for layer in self.layers:
            layer.moved(move)
        self.landmarks = {
            part: (move(np.asarray(point, dtype=float)[None])[0], panels)
            for part, (point, panels) in self.landmarks.items()
        }
