"""The position cue: how far apart two landmarks are once their categories' mean shapes lie on each other."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np

from kps.data.coco import Instances
from kps.likeness.contour import counterparts
from kps.likeness.cue import Cue, cue
from kps.likeness.shapes import Shapes, category_shapes
from kps.likeness.worn_together import Placing, worn_together
from kps.schema import CATEGORIES, NUM_LANDMARKS, own_landmark_mask

FRONT, BEHIND = (0, 1, 2), (3,)  # viewpoints: unknown, no wear, front; side or back
MIN_VIEW = 20  # items that a category needs in a view for a mean shape of its own
SCALES = np.geomspace(0.5, 2.0, 25)  # searched sizes of one shape on another
SHIFTS = np.linspace(-1.5, 1.5, 41)  # searched vertical shifts, in radii of the second shape
MATCH_LIMIT = 0.5  # in radii: counterparts further apart than this do not pull any harder
NEGLIGIBLE = 0.02  # less likely counterparts are left out: most pairs, for speed


def position_cue(instances: Instances, shapes: Shapes) -> Cue:
    """Distance of landmarks' places on the garment, by viewpoint where there are enough items.

    Args:
        instances: labelled items, of the training split.
        shapes: their mean shapes, all views together: for pairs of categories that share no view.
    """
    weighted, weight = np.zeros((2, NUM_LANDMARKS, NUM_LANDMARKS))
    for viewpoints in (FRONT, BEHIND):
        of_view = category_shapes(instances, viewpoints=viewpoints, min_items=MIN_VIEW)
        count = of_view.count[own_landmark_mask()]
        distance = position_distance(of_view, worn_together(instances, of_view, viewpoints=viewpoints))
        share = np.where(np.isfinite(distance), np.sqrt(np.outer(count, count)), 0)
        weighted += np.where(share > 0, share * distance, 0)
        weight += share
    with np.errstate(invalid="ignore"):
        distance = np.where(weight > 0, weighted / weight, position_distance(shapes))
    return cue(
        "position",
        distance,
        "Hellinger distance of the landmarks' Gaussians after laying the categories' mean shapes on each "
        "other, as worn together or by outline, front and back views apart (0: same place and spread, "
        "1: no overlap; no unit).",
    )


def position_distance(shapes: Shapes, placings: Mapping[tuple[int, int], Placing] | None = None) -> np.ndarray:
    """(294, 294) Hellinger distance of the landmarks' Gaussians after aligning each pair of categories.

    0: the same place with the same spread; 1: no overlap; NaN for a landmark that was never labelled.

    Args:
        shapes: mean shapes.
        placings: by two category ids, how the first lies on the second where that was seen; else `align`.
    """
    distance = np.full((NUM_LANDMARKS, NUM_LANDMARKS), np.nan)
    probability = counterparts(shapes)
    present = [item for item in CATEGORIES if shapes.count[item.id - 1].any()]
    for first, second in combinations_with_replacement(present, 2):
        placing = Placing(1.0, 0.0, 0.0)
        if (first.id, second.id) in (placings or {}):
            placing = placings[first.id, second.id]
        elif first is not second:
            placing = align(shapes, first.id, second.id, probability[first.slice, second.slice])
        a, b = np.s_[first.id - 1, : first.num_landmarks], np.s_[second.id - 1, : second.num_landmarks]
        error = placing.misfit**2 / 4 * np.eye(2)  # misfit has two coordinates, and two landmarks share it
        block = hellinger(
            shapes.mean[a] * placing.scale + (0.0, placing.shift),
            shapes.covariance[a] * placing.scale**2 + error,
            shapes.mean[b],
            shapes.covariance[b] + error,
        )
        distance[first.slice, second.slice], distance[second.slice, first.slice] = block, block.T
    return distance


def align(shapes: Shapes, first_id: int, second_id: int, probability: np.ndarray) -> Placing:
    """Scale and vertical shift that lay the first category's mean shape on the second's.

    All of a grid is tried. A placing costs the squared distance of counterparts (in the mean unit of the two
    frames, so that neither is preferred), cut at MATCH_LIMIT: what has no true counterpart should not pull.
    Weighing by the contour keeps a hem off an armpit that happens to lie there. Mirror symmetry rules out a
    turn or a side step.

    Args:
        probability: (A, B) that landmarks of the two categories are counterparts, as `counterparts` says;
            where none are, the shapes are left as they stand.
    """
    i, j = np.nonzero(np.nan_to_num(probability) > NEGLIGIBLE)
    if not len(i):
        return Placing(1.0, 0.0, MATCH_LIMIT)
    weight = probability[i, j]
    moved = shapes.mean[first_id - 1, i] * SCALES[:, None, None, None] + np.array([0, 1]) * SHIFTS[:, None, None]
    square = ((moved - shapes.mean[second_id - 1, j]) ** 2).sum(-1) / SCALES[:, None, None]
    cost = np.minimum(square, MATCH_LIMIT**2) @ weight / weight.sum()
    best = np.unravel_index(cost.argmin(), cost.shape)
    scale, shift = float(SCALES[best[0]]), float(SHIFTS[best[1]])
    return Placing(scale, shift, float(np.sqrt(cost[best] * scale)))


def hellinger(mean_a: np.ndarray, spread_a: np.ndarray, mean_b: np.ndarray, spread_b: np.ndarray) -> np.ndarray:
    """(A, B) Hellinger distances of Gaussians with means (A, 2), (B, 2), covariances (A, 2, 2), (B, 2, 2)."""
    middle = (spread_a[:, None] + spread_b[None]) / 2
    step = mean_a[:, None] - mean_b[None]
    inverse = np.linalg.inv(middle)
    exponent = np.einsum("abi,abij,abj->ab", step, inverse, step) / 8
    with np.errstate(invalid="ignore"):  # NaN for landmarks that were never labelled
        product = np.linalg.det(spread_a)[:, None] * np.linalg.det(spread_b)[None]
        overlap = product**0.25 / np.sqrt(np.linalg.det(middle)) * np.exp(-exponent)
    return np.sqrt(np.clip(1 - overlap, 0, 1))
