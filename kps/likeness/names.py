"""Names for groups that tell a reader where on a garment to look."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kps.aggregation import Aggregation, members
from kps.likeness.shapes import Shapes
from kps.schema import own_landmark_mask


def placed(aggregation: Aggregation, shapes: Shapes) -> Aggregation:
    """The same map with names that say where a group lies: "left, 60 % down: vest 8 · sling dress 8 · +3".

    Left and right are the picture's; 0 % is the top of a category's mean shape and 100 % its bottom, averaged
    over the group's landmarks. A group whose landmarks were never labelled keeps its name.
    """
    down, across = _relative_height(shapes), shapes.mean[..., 0][own_landmark_mask()]
    names = []
    for group, landmarks in enumerate(members(aggregation)):
        seen = landmarks[np.isfinite(across[landmarks])]
        name = aggregation.names[group]
        if len(seen):
            on_axis = aggregation.flip_indices[group] == group
            side = "centre" if on_axis else "left" if across[seen].mean() < 0 else "right"
            name = f"{side}, {100 * down[seen].mean():.0f} % down: {name}"
        names.append(name)
    return Aggregation(aggregation.group, names)


def _relative_height(shapes: Shapes) -> np.ndarray:
    """(294,) place between the top (0) and the bottom (1) of a landmark's mean shape; NaN where unknown."""
    height = pd.DataFrame(shapes.mean[..., 1].T)
    place = (height - height.min()) / (height.max() - height.min()).clip(1e-9)
    return place.to_numpy().T[own_landmark_mask()]
