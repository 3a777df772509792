"""Object keypoint similarity (OKS), landmark by landmark and item by item.

Letters: N instances, 39 own landmarks (padded), P pairs of an item and a prediction.
"""

from __future__ import annotations

import numpy as np

from kps.data.coco import Instances
from kps.schema import own_sigmas

PAIRS_AT_ONCE = 20_000  # bounds the memory


def similarity_at(squared_distance: np.ndarray, category_id: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(N, 39) OKS of each landmark alone, exp(-d^2 / (2 area (2 sigma)^2)) as in COCO's evaluation.

    Args:
        squared_distance: (N, 39) px^2 between a predicted and a true place.
        category_id: (N,) 1..13, whose sigmas are used.
        area: (N,) px^2 of the items.
    """
    variance = (2 * own_sigmas()[category_id - 1]) ** 2
    return np.exp(-squared_distance / variance / (area[:, None] + np.spacing(1)) / 2)


def oks(items: Instances, keypoints: np.ndarray) -> np.ndarray:
    """(N,) object keypoint similarity of each item to its prediction (N, 39, 2 or 3); NaN without labels."""
    rows = np.arange(len(items))
    return oks_of_pairs(items, keypoints, rows, rows)


def oks_of_pairs(items: Instances, keypoints: np.ndarray, item: np.ndarray, row: np.ndarray) -> np.ndarray:
    """(P,) OKS of the items of rows `item` (P,) to the predictions (N, 39, 2 or 3) of rows `row` (P,)."""
    values = np.zeros(len(item))
    for start in range(0, len(item), PAIRS_AT_ONCE):
        i, j = (part[start : start + PAIRS_AT_ONCE] for part in (item, row))
        truth = items.keypoints[i]
        squared = ((keypoints[j, :, :2] - truth[:, :, :2]) ** 2).sum(axis=2)
        similarity = similarity_at(squared, items.category_id[i], items.area[i])
        labelled = truth[:, :, 2] > 0
        with np.errstate(invalid="ignore"):
            values[start : start + len(i)] = (similarity * labelled).sum(axis=1) / labelled.sum(axis=1)
    return values
