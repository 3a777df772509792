"""What to repair for each lost point of AP: oracle corrections one after another.

In the manner of Ronchi and Perona ("Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", ICCV
2017), extended to several categories. One cause after another, in the order of the table, is repaired with
knowledge of the truth, and the official AP is computed anew; its rise is the cause's loss. So the losses and
the AP sum to 1, for each category and for the mean. A loss depends on what was repaired before, as in every
such analysis; where garments of a category overlap so that the scorer takes one for the other, a repair can
cost a little.

| cause | repair |
|---|---|
| scoring, first part | on each item the best-fitting result gets the highest confidence of those there |
| duplicate | further results on an item go |
| background | results on nothing go, and those on items that do not count |
| wrong category | results whose box fits only an item of another category go; on an item that has no other, the best takes its category and true landmarks |
| scoring, second part | the confidences of a category are dealt out anew: the better the fit, the higher |
| miss, swap, inversion, jitter | landmarks of that kind (kps.evaluation.landmark_errors) move to the truth |
| small offset | all other landmarks (similarity from 0.85) move to the truth |
| missed box | items that no result is near are found |

From there on confidences follow the fit, so that the repair of a landmark is not spoilt by their order.

Letters: D results, G items, 39 own landmarks (padded).
"""  # noqa: E501 - a table

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kps.data.coco import Coco, Instances, category_counts
from kps.evaluation import association as found
from kps.evaluation.association import Association, associate
from kps.evaluation.baseline import mean_shape
from kps.evaluation.landmark_errors import KINDS, UNLABELLED, landmark_errors
from kps.evaluation.metrics import evaluate_landmarks
from kps.evaluation.protocol import check_images
from kps.evaluation.repairs import REPAIRS, in_strict_order, repairs
from kps.files import progress, without_nan
from kps.results.predictions import Predictions, top_rows
from kps.schema import CATEGORIES, LANDMARK_CATEGORY, NUM_LANDMARKS, own_indices

MISSED_BOX = "missed box"
CAUSES = (*REPAIRS[1:], MISSED_BOX)
MEAN = "mean"
NAMES = [item.name for item in CATEGORIES]


@dataclass(frozen=True)
class Causes:
    """Where AP is lost; columns of categories without items that count are NaN."""

    AP: pd.Series  # as evaluated: mean, then 13 categories
    loss: pd.DataFrame  # CAUSES x (mean, 13 categories)
    counts: pd.DataFrame  # results of each kind and missed items x 13 categories
    landmarks: pd.DataFrame  # 294 rows: category_id, category, landmark, labelled, share of each of KINDS
    shape: np.ndarray  # (13, 39, 2) symmetric mean shape, its longer side 1; NaN where never labelled

    def to_json(self) -> dict[str, Any]:
        """Return the values for a JSON file, NaN as None."""
        return {
            "AP": without_nan(self.AP.to_dict()),
            "loss": without_nan(self.loss.to_dict("index")),
            "counts": {kind: row.to_dict() for kind, row in self.counts.iterrows()},
            "landmarks": [without_nan(row) for row in self.landmarks.to_dict("records")],
        }


def analyse_causes(ground_truth: Coco, results: Predictions, *, visible_only: bool = False) -> Causes:
    """Find what each lost point of AP is lost by; takes about six evaluations.

    Raises:
        InputError: a result lies on an image that the ground truth does not have.
    """
    check_images(ground_truth, results.image_id)
    if visible_only:
        ground_truth = ground_truth.visible_only()
    items = ground_truth.instances
    results = in_strict_order(results.take(top_rows(results)))
    counted = items.counted
    joined = associate(items, counted, results)
    errors = np.full(results.keypoints.shape[:2], UNLABELLED, dtype=np.int8)
    own = np.flatnonzero(joined.kind == found.OWN)
    errors[own] = landmark_errors(items, joined.item[own], results.keypoints[own])
    worlds = repairs(items, joined, errors, results)
    reached = []
    for _, repaired in progress(worlds, desc="causes", total=1 + len(REPAIRS), unit="evaluation"):
        scores = evaluate_landmarks(ground_truth, repaired)
        values = [scores.AP, *scores.per_category.values()]
        reached.append(pd.Series(values, index=[MEAN, *NAMES], name="AP"))
    reached.append(reached[0] * 0 + 1)  # nothing is left to repair
    rise = pd.DataFrame(reached).diff().iloc[1:].set_axis([*REPAIRS, MISSED_BOX])
    return Causes(
        AP=reached[0],
        loss=rise.groupby(level=0).sum(min_count=1).loc[list(CAUSES)],
        counts=_counts(items, counted, joined, results),
        landmarks=_landmark_table(items, joined, errors, own),
        shape=_shape(ground_truth),
    )


def _counts(items: Instances, counted: np.ndarray, joined: Association, results: Predictions) -> pd.DataFrame:
    """Results of each kind, by predicted category, and missed items x 13 categories."""
    kinds = (found.OWN, found.DUPLICATE, found.WRONG_CATEGORY, found.BACKGROUND)
    category_ids = {kind: results.category_id[joined.kind == kind] for kind in kinds}
    category_ids[MISSED_BOX] = items.category_id[counted & (joined.result < 0)]
    return pd.DataFrame.from_dict(
        {kind: category_counts(ids) for kind, ids in category_ids.items()}, orient="index", columns=NAMES
    )


def _landmark_table(items: Instances, joined: Association, errors: np.ndarray, own: np.ndarray) -> pd.DataFrame:
    """294 rows: how many of each landmark were labelled on found items, and the share of each of KINDS."""
    index = own_indices()[items.category_id[joined.item[own]] - 1]  # (M, 39) of the 294
    count = np.stack([np.bincount(index[errors[own] == i], minlength=NUM_LANDMARKS) for i in range(len(KINDS))], axis=1)
    labelled = count.sum(axis=1)
    table = pd.DataFrame(
        {
            "category_id": LANDMARK_CATEGORY,
            "category": np.array(NAMES)[LANDMARK_CATEGORY - 1],
            "landmark": np.concatenate([np.arange(1, item.num_landmarks + 1) for item in CATEGORIES]),
            "labelled": labelled,
        }
    )
    with np.errstate(invalid="ignore"):
        table[list(KINDS)] = count / labelled[:, None]
    return table


def _shape(ground_truth: Coco) -> np.ndarray:
    """(13, 39, 2) mean of the mean shape and its mirror image, stretched to the mean box; NaN if unknown."""
    items = ground_truth.instances
    shape = mean_shape(ground_truth)
    for place, item in zip(shape, CATEGORIES, strict=True):
        rows = items.category_id == item.id
        labelled = (items.keypoints[rows, :, 2] > 0).any(axis=0)
        size = items.bbox_xywh[rows, 2:].mean(axis=0) if rows.any() else np.ones(2)
        place[~labelled] = np.nan
        own = place[: item.num_landmarks]
        mirrored = own[item.flip_indices] * [-1, 1] + [1, 0]
        seen = np.isfinite([own, mirrored])
        own[:] = np.where(seen, [own, mirrored], 0).sum(axis=0) / np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
        place *= size / max(size.max(), 1)
    return shape
