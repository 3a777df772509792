"""Scores by the challenge's protocol, of subsets too, other measures of accuracy, and the mean shape as a baseline.

COCO average precision as pycocotools computes it: for landmarks OKS thresholds .50:.95 with the official 294 sigmas, at
most 20 detections per image and category, area = box width x height, items without labelled landmarks and crowds
ignored, plain mean over the categories that have items.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from kps.data.coco import Coco, Instances
from kps.evaluation.intervals import resampled_scores
from kps.evaluation.matching import Comparison, associate, check_images, compare, oks_of_pairs
from kps.files import InputError, without_nan
from kps.results.detections import Detections
from kps.results.predictions import Predictions, Results
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


def evaluate(ground_truth: Coco, results: Results, *, visible_only: bool = False) -> Scores:
    """Score landmarks (Predictions) or boxes (Detections) by the official protocol.

    `visible_only` treats occluded landmarks as unlabelled. InputError: a result lies on an unknown image.
    """
    return score(compare(ground_truth, results, visible_only=visible_only))


def score(comparison: Comparison) -> Scores:
    """Average precision and recall of a comparison, as each image occurs once."""
    precision, recall = resampled_scores(comparison, np.ones((1, len(comparison.image_ids)), int))[:, 0]
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


def evaluate_subsets(ground_truth: Coco, results: Results, *, by: str, visible_only: bool = False) -> dict[str, Scores]:
    """Score landmarks or boxes on each subset by one of SUBSETS: by its label, NaN where no item of it counts.

    InputError: `by` is no such attribute, the data do not know it, or a result lies on an unknown image.
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
        counted = {label: items.attributes[by] == value for value, label in enumerate(ITEM_SUBSETS[by], start=1)}
        images = {label: np.unique(items.image_id[rows]) for label, rows in counted.items()}
    if not any(len(ids) for ids in images.values()):
        raise InputError(f"{ground_truth.path}: expected {by} to be known, but it is unknown everywhere")
    scores = {}
    for label, ids in images.items():
        part = ground_truth.subset(image_ids=ids.tolist()), results.take(np.isin(results.image_id, ids))
        own = counted[label][np.isin(items.image_id, ids)]
        scores[label] = score(compare(*part, visible_only=visible_only, counted=own))
    return scores


def reliability(ground_truth: Coco, results: Predictions, *, bins: int = 10) -> pd.DataFrame:
    """How far a score tells the OKS, 0 where a result is not the best on a garment of its category.

    A row for each of the bins of equal width that holds two results or more: mean score, mean OKS ("estimate") with its
    95 % interval ("low", "high"), and "results". InputError: a result lies on an unknown image.
    """
    check_images(ground_truth, results.image_id)
    oks = associate(ground_truth.instances, ground_truth.instances.counted, results).oks
    table = pd.DataFrame({"score": results.score, "oks": oks})
    groups = table.groupby(np.minimum((table["score"] * bins).astype(int), bins - 1))
    rows = groups.agg(score=("score", "mean"), estimate=("oks", "mean"), doubt=("oks", "sem"), results=("oks", "size"))
    doubt = 1.96 * rows.pop("doubt")
    return rows.assign(low=rows["estimate"] - doubt, high=rows["estimate"] + doubt)[rows["results"] > 1]


PCK_THRESHOLDS = (0.2, 0.05)


def landmark_accuracy(ground_truth: Coco, predictions: Predictions) -> dict[str, float]:
    """Score predictions made on ground-truth boxes (detection id = annotation id), item by item.

    Returns "mean_oks" of the items, "PCK@0.2" and "PCK@0.05", the mean distance "EPE" in px of the photo (all NaN where
    nothing is labelled), and "num_items". InputError: an item with labelled landmarks has no prediction, or one of
    another image or category.
    """
    items = ground_truth.instances.take(ground_truth.instances.counted)
    keypoints = _on_items(ground_truth, items, predictions).keypoints
    distance = np.linalg.norm(keypoints[:, :, :2] - items.keypoints[:, :, :2], axis=2)
    rows = np.arange(len(items))
    values = {"mean_oks": _mean(oks_of_pairs(items, keypoints, rows, rows))}
    values |= {f"PCK@{threshold:g}": pck(items, distance, threshold) for threshold in PCK_THRESHOLDS}
    return values | {"EPE": _mean(distance[items.keypoints[:, :, 2] > 0]), "num_items": len(items)}


def pck(items: Instances, distance: np.ndarray, threshold: float) -> float:
    """Share of labelled landmarks whose distance (N, 39) is below threshold x the longer side of the box.

    As mmpose's PCKAccuracy with norm_item="bbox": per landmark (one of 294), then the mean over those that occur.
    """
    side = items.bbox_xywh[:, 2:].max(axis=1)[:, None]
    labelled = (items.keypoints[:, :, 2] > 0) & (side > 0)
    return _mean(_mean_by_landmark(items, (distance < threshold * side)[:, :, None], labelled))


def _mean_by_landmark(items: Instances, values: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """(13, 39, K) mean of the values (N, 39, K) of each own landmark where labelled (N, 39); NaN where it never is."""
    total = np.zeros((NUM_CATEGORIES, *values.shape[1:]))
    count = np.zeros((NUM_CATEGORIES, MAX_LANDMARKS, 1))
    np.add.at(total, items.category_id - 1, np.where(labelled[:, :, None], values, 0))
    np.add.at(count, items.category_id - 1, labelled[:, :, None])
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _on_items(ground_truth: Coco, items: Instances, predictions: Predictions) -> Predictions:
    """Return the prediction of each item, in the items' order."""
    rows = pd.Index(predictions.detection_id).get_indexer(items.annotation_id)
    expected = f"{ground_truth.path}: expected predictions on all ground-truth boxes, but"
    if (rows < 0).any():
        first = items.annotation_id[np.argmax(rows < 0)]
        raise InputError(f"{expected} {(rows < 0).sum()} have none, first annotation {first}")
    matched = predictions.take(rows)
    differs = (matched.category_id != items.category_id) | (matched.image_id != items.image_id)
    if differs.any():
        first = items.annotation_id[np.argmax(differs)]
        raise InputError(f"{expected} that of annotation {first} is of another image or category")
    return matched


def mean_shape(train: Coco, *, unknown: float = 0.5) -> np.ndarray:
    """(13, 39, 2) mean position of each own landmark in its box (0..1); `unknown` where never labelled."""
    items = train.instances.take((train.instances.bbox_xywh[:, 2:] > 0).all(axis=1))
    place = (items.keypoints[:, :, :2] - items.bbox_xywh[:, None, :2]) / items.bbox_xywh[:, None, 2:]
    mean = _mean_by_landmark(items, place, items.keypoints[:, :, 2] > 0)
    return np.where(np.isnan(mean), unknown, mean)


def mean_shape_predictions(shape: np.ndarray, detections: Detections) -> Predictions:
    """Place a mean shape (13, 39, 2) in each box."""
    mask = own_landmark_mask()[detections.category_id - 1][:, :, None]
    place = shape[detections.category_id - 1] * detections.bbox_xywh[:, None, 2:] + detections.bbox_xywh[:, None, :2]
    keypoints = np.where(mask, np.concatenate([place, np.ones_like(place[:, :, :1])], axis=2), 0.0)
    return Predictions.on(detections, keypoints, detections.score)
