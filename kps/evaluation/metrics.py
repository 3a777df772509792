"""Scores by the challenge's protocol.

COCO average precision as pycocotools computes it: for landmarks OKS thresholds .50:.95 with the official 294
sigmas, at most 20 detections per image and category, area = box width x height, items without labelled
landmarks and crowds ignored, plain mean over the categories that have items.

Letters: T thresholds, R recall steps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kps.data.coco import Coco
from kps.evaluation.average_precision import precision_and_recall
from kps.evaluation.protocol import Comparison, compare
from kps.files import without_nan
from kps.results.detections import Detections
from kps.results.predictions import Predictions
from kps.schema import NUM_CATEGORIES


@dataclass(frozen=True)
class Scores:
    """Average precision and recall in 0..1; NaN where no item counts."""

    AP: float
    AP50: float
    AP75: float
    AR: float
    per_category: dict[int, float]  # AP of each of the 13 categories
    num_images: int
    num_items: int  # items that count: no crowds, and for landmarks at least one labelled
    num_results: int

    def to_json(self) -> dict[str, Any]:
        """Return the values for a JSON file, NaN as None."""
        return without_nan(asdict(self))


def evaluate_landmarks(ground_truth: Coco, results: Predictions, *, visible_only: bool = False) -> Scores:
    """Score landmarks by the official protocol; `visible_only` treats occluded landmarks as unlabelled.

    Raises:
        InputError: a result lies on an image that the ground truth does not have.
    """
    return score(compare(ground_truth, results, visible_only=visible_only))


def evaluate_boxes(ground_truth: Coco, detections: Detections) -> Scores:
    """Score boxes by COCO's protocol: IoU .50:.95, at most 100 detections per image and category.

    Raises:
        InputError: a detection lies on an image that the ground truth does not have.
    """
    return score(compare(ground_truth, detections))


def score(comparison: Comparison) -> Scores:
    """Run the evaluation category by category."""
    curves = [
        precision_and_recall(*comparison.of_category(category_id)) for category_id in range(1, NUM_CATEGORIES + 1)
    ]
    precision = np.stack([curve for curve, _ in curves], axis=2)  # (T, R, 13), -1 where no items
    recall = np.stack([reached for _, reached in curves], axis=1)  # (T, 13)
    return Scores(
        AP=_mean(precision),
        AP50=_mean(precision[0]),
        AP75=_mean(precision[5]),
        AR=_mean(recall),
        per_category={i + 1: _mean(precision[:, :, i]) for i in range(NUM_CATEGORIES)},
        num_images=len(comparison.image_ids),
        num_items=comparison.num_items,
        num_results=len(comparison.rows),
    )


def _mean(values: np.ndarray) -> float:
    present = values[values > -1]
    return float(present.mean()) if present.size else float("nan")
