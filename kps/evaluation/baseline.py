"""The baseline that looks at no pixel: a category's mean shape, placed in each box.

Letters: N instances, 39 own landmarks (padded).
"""

from __future__ import annotations

import numpy as np

from kps.data.coco import Coco
from kps.results.detections import Detections
from kps.results.predictions import Predictions
from kps.schema import MAX_LANDMARKS, NUM_CATEGORIES, own_landmark_mask


def mean_shape(train: Coco) -> np.ndarray:
    """(13, 39, 2) mean position of each own landmark in its box (0..1); the centre where never labelled."""
    items = train.instances.take((train.instances.bbox_xywh[:, 2:] > 0).all(axis=1))
    place = (items.keypoints[:, :, :2] - items.bbox_xywh[:, None, :2]) / items.bbox_xywh[:, None, 2:]
    labelled = items.keypoints[:, :, 2:] > 0
    total = np.zeros((NUM_CATEGORIES, MAX_LANDMARKS, 2))
    count = np.zeros((NUM_CATEGORIES, MAX_LANDMARKS, 1))
    np.add.at(total, items.category_id - 1, np.where(labelled, place, 0))
    np.add.at(count, items.category_id - 1, labelled)
    return np.where(count > 0, total / np.maximum(count, 1), 0.5)


def mean_shape_predictions(shape: np.ndarray, detections: Detections) -> Predictions:
    """Place a mean shape (13, 39, 2) in each box."""
    mask = own_landmark_mask()[detections.category_id - 1][:, :, None]
    place = shape[detections.category_id - 1] * detections.bbox_xywh[:, None, 2:] + detections.bbox_xywh[:, None, :2]
    keypoints = np.where(mask, np.concatenate([place, np.ones_like(place[:, :, :1])], axis=2), 0.0)
    return Predictions.on(detections, keypoints, detections.score)
