"""The score of a predicted garment (section 3 of the paper: a box detector followed by a landmark model)."""

from __future__ import annotations

import numpy as np

from kps.schema import own_landmark_mask


def instance_score(bbox_score: np.ndarray, confidence: np.ndarray, category_id: np.ndarray) -> np.ndarray:
    """Box score times the mean confidence over the landmarks that the category has.

    The winning solution averages over all channels above a threshold, also those of other categories; here
    each instance is judged by its own landmarks only.

    Args:
        bbox_score: (N,) of the detector.
        confidence: (N, 39) of own landmarks, such as heatmap maxima; padding is not read.
        category_id: (N,) 1..13.

    Returns:
        (N,) scores.
    """
    mask = own_landmark_mask()[np.asarray(category_id) - 1]
    return bbox_score * np.where(mask, confidence, 0).sum(axis=1) / mask.sum(axis=1)
