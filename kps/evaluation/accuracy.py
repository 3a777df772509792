"""Landmark accuracy on ground-truth boxes: OKS, and PCK, AUC and EPE as mmpose 1.3.2 reports them.

Letters: N instances, 39 own landmarks (padded).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kps.data.coco import Coco, Instances
from kps.evaluation.similarity import oks
from kps.files import InputError, without_nan
from kps.results.predictions import Predictions
from kps.schema import MAX_LANDMARKS, NUM_CATEGORIES

PCK_THRESHOLDS = (0.2, 0.05)
AUC_PIXELS, AUC_THRESHOLDS = 30.0, 20  # defaults of mmpose's AUC metric


@dataclass(frozen=True)
class LandmarkAccuracy:
    """Accuracy on ground-truth boxes: mean OKS per item, and mmpose's PCK by threshold, AUC and EPE.

    AUC and EPE are measured in pixels of the photo, so they compare methods, not data sets.
    """

    mean_oks: float
    pck: dict[float, float]
    auc: float
    epe: float  # px
    num_items: int

    def to_json(self) -> dict[str, Any]:
        """Return the values for a JSON file, NaN as None."""
        values = {"mean_oks": self.mean_oks}
        values |= {f"PCK@{threshold:g}": value for threshold, value in self.pck.items()}
        return without_nan(values | {"AUC": self.auc, "EPE": self.epe, "num_items": self.num_items})


def landmark_accuracy(ground_truth: Coco, predictions: Predictions) -> LandmarkAccuracy:
    """Score predictions made on ground-truth boxes (detection id = annotation id), item by item.

    Raises:
        InputError: an item with labelled landmarks has no prediction, or one of another category.
    """
    items = ground_truth.instances.take(ground_truth.instances.counted)
    keypoints = _on_items(ground_truth, items, predictions).keypoints
    return LandmarkAccuracy(
        mean_oks=float(oks(items, keypoints).mean()) if len(items) else float("nan"),
        pck={threshold: pck(items, keypoints, threshold) for threshold in PCK_THRESHOLDS},
        auc=auc(items, keypoints),
        epe=epe(items, keypoints),
        num_items=len(items),
    )


def pck(items: Instances, keypoints: np.ndarray, threshold: float) -> float:
    """Share of labelled landmarks nearer than threshold x the longer side of the box.

    As mmpose's PCKAccuracy with norm_item="bbox": first per landmark (one of 294), then the mean over the
    landmarks that occur.
    """
    side = items.bbox_xywh[:, 2:].max(axis=1)
    labelled = (items.keypoints[:, :, 2] > 0) & (side > 0)[:, None]
    near = labelled & (_distance(items, keypoints) < threshold * side[:, None])
    return _mean_over_landmarks(items, near, labelled)


def auc(items: Instances, keypoints: np.ndarray) -> float:
    """Area under the curve of landmarks nearer than 0 .. 28.5 px, as mmpose's AUC (30 px in 20 steps).

    The share at each distance is that of `pck`: per landmark (one of 294), then their mean.
    """
    labelled = items.keypoints[:, :, 2] > 0
    normed = _distance(items, keypoints) / AUC_PIXELS
    steps = np.arange(AUC_THRESHOLDS) / AUC_THRESHOLDS
    # How many of the thresholds a landmark passes, as a share: the mean over thresholds is taken first.
    passed = 1 - np.searchsorted(steps, normed, side="right") / AUC_THRESHOLDS
    return _mean_over_landmarks(items, np.where(labelled, passed, 0), labelled)


def epe(items: Instances, keypoints: np.ndarray) -> float:
    """Mean distance in px over all labelled landmarks, as mmpose's EPE."""
    labelled = items.keypoints[:, :, 2] > 0
    return float(_distance(items, keypoints)[labelled].mean()) if labelled.any() else float("nan")


def _distance(items: Instances, keypoints: np.ndarray) -> np.ndarray:
    """(N, 39) px."""
    return np.linalg.norm(keypoints[:, :, :2] - items.keypoints[:, :, :2], axis=2)


def _mean_over_landmarks(items: Instances, value: np.ndarray, labelled: np.ndarray) -> float:
    """Mean over the landmarks (of 294) that occur of the mean of `value` (N, 39) over their items."""
    total, count = np.zeros((2, NUM_CATEGORIES, MAX_LANDMARKS))
    np.add.at(total, items.category_id - 1, value)
    np.add.at(count, items.category_id - 1, labelled)
    return float((total[count > 0] / count[count > 0]).mean()) if count.any() else float("nan")


def _on_items(ground_truth: Coco, items: Instances, predictions: Predictions) -> Predictions:
    """Return the prediction of each item, in the items' order."""
    rows = {number: row for row, number in enumerate(predictions.detection_id.tolist())}
    absent = [number for number in items.annotation_id.tolist() if number not in rows]
    if absent:
        raise InputError(
            f"{ground_truth.path}: expected a prediction for every item, but {len(absent)} have none, "
            f"first annotation {absent[0]}"
        )
    order = [rows[number] for number in items.annotation_id.tolist()]
    matched = predictions.take(np.array(order, dtype=np.int64))
    differs = (matched.category_id != items.category_id) | (matched.image_id != items.image_id)
    if differs.any():
        number = items.annotation_id[np.argmax(differs)]
        raise InputError(
            f"{ground_truth.path}: expected predictions on ground-truth boxes, but that of annotation "
            f"{number} is of another image or category"
        )
    return matched
