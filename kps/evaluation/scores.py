"""Scores by the challenge's protocol, of subsets too, other measures of accuracy, and the mean shape as a baseline.

COCO average precision as pycocotools computes it: for landmarks OKS thresholds .50:.95 with the official 294
sigmas, at most 20 detections per image and category, area = box width x height, items without labelled
landmarks and crowds ignored, plain mean over the categories that have items.

Letters: T thresholds, R recall steps.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kps.data.coco import Coco, Instances
from kps.evaluation.intervals import resampled_scores
from kps.evaluation.matching import Comparison, check_images, compare, oks
from kps.files import InputError, without_nan
from kps.results.detections import Detections
from kps.results.predictions import Predictions
from kps.schema import MAX_LANDMARKS, NUM_CATEGORIES, own_landmark_mask


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

    InputError: a result lies on an image that the ground truth does not have.
    """
    return score(compare(ground_truth, results, visible_only=visible_only))


def evaluate_boxes(ground_truth: Coco, detections: Detections) -> Scores:
    """Score boxes by COCO's protocol: IoU .50:.95, at most 100 detections per image and category.

    InputError: a detection lies on an image that the ground truth does not have.
    """
    return score(compare(ground_truth, detections))


def score(comparison: Comparison) -> Scores:
    """Average precision and recall of a comparison, as each image occurs once."""
    precision, recall = (rows[0] for rows in resampled_scores(comparison, np.ones((1, len(comparison.image_ids)), int)))
    return Scores(
        AP=_mean(precision),
        AP50=_mean(precision[:, 0]),
        AP75=_mean(precision[:, 5]),
        AR=_mean(recall),
        per_category={i + 1: _mean(row) for i, row in enumerate(precision)},
        num_images=len(comparison.image_ids),
        num_items=comparison.num_items,
        num_results=comparison.num_results,
    )


def _mean(values: np.ndarray) -> float:
    present = values[np.isfinite(values)]
    return float(present.mean()) if present.size else float("nan")


SOURCE = "source"
SOURCES = ("shop", "user")
ITEM_SUBSETS = {  # labels of the values 1, 2, 3
    "scale": ("small", "moderate", "large"),
    "occlusion": ("slight", "medium", "heavy"),
    "zoom_in": ("no", "medium", "large"),
    "viewpoint": ("no wear", "frontal", "side or back"),
}
SUBSETS = (*ITEM_SUBSETS, SOURCE)


def known_subsets(ground_truth: Coco) -> list[str]:
    """Return those of SUBSETS that at least one item or image of the data has a value of."""
    attributes = ground_truth.instances.attributes
    known = [name for name in ITEM_SUBSETS if attributes[name].any()]
    return known + [SOURCE] * any(row.source for row in ground_truth.images)


def evaluate_subsets(
    ground_truth: Coco, results: Predictions | Detections, *, by: str, visible_only: bool = False
) -> dict[str, Scores]:
    """Score landmarks (Predictions) or boxes (Detections) on each subset by one of SUBSETS.

    InputError: `by` is no such attribute, the data do not know it, or a result lies on an unknown image.

    Returns:
        Label of the subset -> scores, NaN where it holds no item that counts.
    """
    if by not in SUBSETS:
        raise InputError(f"expected subsets by one of {', '.join(SUBSETS)}, but got {by!r}")
    check_images(ground_truth, results.image_id)
    items = ground_truth.instances
    if by == SOURCE:
        of_image = np.array([row.source for row in ground_truth.images], dtype=object)
        images = {label: ground_truth.image_ids[of_image == label] for label in SOURCES}
        counted = dict.fromkeys(SOURCES, np.ones(len(items), dtype=bool))
    else:
        values = enumerate(ITEM_SUBSETS[by], start=1)
        counted = {label: items.attributes[by] == number for number, label in values}
        images = {label: np.unique(items.image_id[rows]) for label, rows in counted.items()}
    if not any(len(ids) for ids in images.values()):
        raise InputError(f"{ground_truth.path}: expected {by} to be known, but it is unknown everywhere")
    scores = {}
    for label, ids in images.items():
        part = ground_truth.subset(image_ids=ids.tolist()), results.take(np.isin(results.image_id, ids))
        own = counted[label][np.isin(items.image_id, ids)]
        scores[label] = score(compare(*part, visible_only=visible_only, counted=own))
    return scores


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
