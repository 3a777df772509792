"""Scores by the challenge's protocol, and landmark accuracy on ground-truth boxes.

COCO average precision as pycocotools computes it: for landmarks OKS thresholds .50:.95 with the official 294
sigmas, at most 20 detections per image and category, area = box width x height, items without labelled
landmarks and crowds ignored, plain mean over the categories that have items.

Letters: N instances, 39 own landmarks (padded), T thresholds, R recall steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kps.coco import Coco, Instances
from kps.detections import Detections
from kps.errors import InputError
from kps.evaluation.average_precision import Row, precision_and_recall
from kps.predictions import Predictions
from kps.schema import MAX_LANDMARKS, NUM_CATEGORIES, own_landmark_mask, own_sigmas

PCK_THRESHOLDS = (0.2, 0.05)


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
        values = {name: _null(value) for name, value in vars(self).items() if name != "per_category"}
        return values | {"per_category": {str(key): _null(value) for key, value in self.per_category.items()}}


@dataclass(frozen=True)
class LandmarkAccuracy:
    """Accuracy on ground-truth boxes: mean OKS per item, and PCK by threshold as mmpose reports it."""

    mean_oks: float
    pck: dict[float, float]
    num_items: int

    def to_json(self) -> dict[str, Any]:
        """Return the values for a JSON file, NaN as None."""
        pck_values = {f"PCK@{threshold:g}": _null(value) for threshold, value in self.pck.items()}
        return {"mean_oks": _null(self.mean_oks), **pck_values, "num_items": self.num_items}


def evaluate_landmarks(ground_truth: Coco, results: Predictions, *, visible_only: bool = False) -> Scores:
    """Score landmarks by the official protocol; `visible_only` treats occluded landmarks as unlabelled.

    Raises:
        InputError: a result lies on an image that the ground truth does not have.
    """
    if visible_only:
        ground_truth = ground_truth.visible_only()
    items = ground_truth.instances
    rows = [
        {"keypoints": points, "area": area}
        for points, area in zip(results.keypoints, _submitted_area(results), strict=True)
    ]
    targets = [{"keypoints": points} for points in items.keypoints]
    ignored = items.iscrowd | (items.num_keypoints == 0)
    return _evaluate(ground_truth, targets, ignored, results, rows, "keypoints")


def evaluate_boxes(ground_truth: Coco, detections: Detections) -> Scores:
    """Score boxes by COCO's protocol: IoU .50:.95, at most 100 detections per image and category.

    Raises:
        InputError: a detection lies on an image that the ground truth does not have.
    """
    boxes = detections.bbox_xywh.tolist()
    rows = [{"bbox": box, "area": box[2] * box[3]} for box in boxes]
    targets: list[Row] = [{} for _ in range(len(ground_truth.instances))]
    return _evaluate(ground_truth, targets, ground_truth.instances.iscrowd, detections, rows, "bbox")


def oks(items: Instances, keypoints: np.ndarray) -> np.ndarray:
    """(N,) object keypoint similarity of each item to its prediction (N, 39, 2 or 3); NaN without labels."""
    sigmas = own_sigmas()[items.category_id - 1]
    squared = ((keypoints[:, :, :2] - items.keypoints[:, :, :2]) ** 2).sum(axis=2)
    similarity = np.exp(-squared / (2 * sigmas) ** 2 / (items.area[:, None] + np.spacing(1)) / 2)
    labelled = items.keypoints[:, :, 2] > 0
    with np.errstate(invalid="ignore"):
        return (similarity * labelled).sum(axis=1) / labelled.sum(axis=1)


def pck(items: Instances, keypoints: np.ndarray, threshold: float) -> float:
    """Share of labelled landmarks nearer than threshold x the longer side of the box.

    As mmpose's PCKAccuracy with norm_item="bbox": first per landmark (one of 294), then the mean over the
    landmarks that occur.
    """
    side = items.bbox_xywh[:, 2:].max(axis=1)
    distance = np.linalg.norm(keypoints[:, :, :2] - items.keypoints[:, :, :2], axis=2)
    labelled = (items.keypoints[:, :, 2] > 0) & (side > 0)[:, None]
    near = labelled & (distance < threshold * side[:, None])
    shape = (NUM_CATEGORIES, MAX_LANDMARKS)
    hits, count = np.zeros(shape), np.zeros(shape)
    np.add.at(hits, items.category_id - 1, near)
    np.add.at(count, items.category_id - 1, labelled)
    return float((hits[count > 0] / count[count > 0]).mean()) if count.any() else float("nan")


def landmark_accuracy(
    ground_truth: Coco, predictions: Predictions, *, thresholds: tuple[float, ...] = PCK_THRESHOLDS
) -> LandmarkAccuracy:
    """Score predictions made on ground-truth boxes (detection id = annotation id), item by item.

    Raises:
        InputError: an item with labelled landmarks has no prediction, or one of another category.
    """
    items = ground_truth.instances.take(
        (ground_truth.instances.num_keypoints > 0) & ~ground_truth.instances.iscrowd
    )
    rows = {number: row for row, number in enumerate(predictions.detection_id.tolist())}
    absent = [number for number in items.annotation_id.tolist() if number not in rows]
    if absent:
        raise InputError(
            f"{ground_truth.path}: expected a prediction for every item, but {len(absent)} have none, "
            f"first annotation {absent[0]}"
        )
    matched = predictions.take(
        np.array([rows[number] for number in items.annotation_id.tolist()], dtype=np.int64)
    )
    differs = (matched.category_id != items.category_id) | (matched.image_id != items.image_id)
    if differs.any():
        number = items.annotation_id[np.argmax(differs)]
        raise InputError(
            f"{ground_truth.path}: expected predictions on ground-truth boxes, but that of annotation "
            f"{number} is of another image or category"
        )
    return LandmarkAccuracy(
        mean_oks=float(oks(items, matched.keypoints).mean()) if len(items) else float("nan"),
        pck={threshold: pck(items, matched.keypoints, threshold) for threshold in thresholds},
        num_items=len(items),
    )


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
    """Place a mean shape (13, 39, 2) in each box: the baseline that looks at no pixel."""
    mask = own_landmark_mask()[detections.category_id - 1][:, :, None]
    place = (
        shape[detections.category_id - 1] * detections.bbox_xywh[:, None, 2:]
        + detections.bbox_xywh[:, None, :2]
    )
    keypoints = np.where(mask, np.concatenate([place, np.ones_like(place[:, :, :1])], axis=2), 0.0)
    return Predictions.on(detections, keypoints, detections.score)


def _evaluate(
    ground_truth: Coco,
    targets: list[Row],
    ignored: np.ndarray,
    results: Predictions | Detections,
    rows: list[Row],
    kind: str,
) -> Scores:
    """Run the evaluation category by category; `targets` and `rows` hold what the kind of score compares."""
    items = ground_truth.instances
    _check_images(ground_truth, results.image_id)
    boxes = items.bbox_xywh.tolist()
    for i, target in enumerate(targets):  # ids from 1: pycocotools reads 0 as "not matched"
        target.update(id=i + 1, image_id=int(items.image_id[i]), area=float(items.area[i]), bbox=boxes[i],
                      iscrowd=int(items.iscrowd[i]), ignore=int(ignored[i]))  # fmt: skip
    for i, row in enumerate(rows):
        row.update(id=i + 1, image_id=int(results.image_id[i]), score=float(results.score[i]))
    precision, recall = [], []
    for category_id in range(1, NUM_CATEGORIES + 1):
        curve, reached = precision_and_recall(
            kind,
            category_id,
            [targets[i] for i in np.flatnonzero(items.category_id == category_id)],
            [rows[i] for i in np.flatnonzero(results.category_id == category_id)],
        )
        precision.append(curve)
        recall.append(reached)
    table, recalls = (
        np.stack(precision, axis=2),
        np.stack(recall, axis=1),
    )  # (T, R, 13), (T, 13); -1 where no items
    return Scores(
        AP=_mean(table),
        AP50=_mean(table[0]),
        AP75=_mean(table[5]),
        AR=_mean(recalls),
        per_category={i + 1: _mean(table[:, :, i]) for i in range(NUM_CATEGORIES)},
        num_images=len(ground_truth.images),
        num_items=int((~ignored).sum()),
        num_results=len(results),
    )


def _check_images(ground_truth: Coco, image_id: np.ndarray) -> None:
    unknown = ~np.isin(image_id, ground_truth.image_ids)
    if unknown.any():
        raise InputError(
            f"{ground_truth.path}: {int(unknown.sum())} results lie on images that it does not have, "
            f"first row {int(np.argmax(unknown))} with image id {image_id[np.argmax(unknown)]}"
        )


def _submitted_area(results: Predictions) -> np.ndarray:
    """(N,) px^2, as pycocotools derives it from 882 numbers: the tight box of the landmarks and of (0, 0)."""
    low = np.minimum(results.keypoints[:, :, :2].min(axis=1, initial=0), 0)
    high = np.maximum(results.keypoints[:, :, :2].max(axis=1, initial=0), 0)
    return (high - low).prod(axis=1)


def _mean(values: np.ndarray) -> float:
    present = values[values > -1]
    return float(present.mean()) if present.size else float("nan")


def _null(value: float) -> float | None:
    return None if value != value else value
