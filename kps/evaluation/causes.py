"""What costs points: each landmark's error, and oracle corrections one after another.

In the manner of Ronchi and Perona ("Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", ICCV 2017),
extended to several categories. One cause after another, in the order of the table, is repaired with knowledge of the
truth, and the official AP is computed anew; its rise is the cause's loss. So the losses and the AP sum to 1, for each
category and for the mean. A loss depends on what was repaired before, as in every such analysis; where garments of a
category overlap so that the scorer takes one for the other, a repair can cost a little.

| cause | repair |
|---|---|
| scoring, first part | on each item the best-fitting result gets the highest confidence of those there |
| duplicate | further results on an item go |
| background | results on nothing go, and those on items that do not count |
| wrong category | results whose box fits only an item of another category go; on an item that has no other, the best takes its category and true landmarks |
| scoring, second part | the confidences of a category are dealt out anew: the better the fit, the higher |
| miss, swap, inversion, jitter | landmarks of that kind (kps.evaluation.causes) move to the truth |
| small offset | all other landmarks (similarity from 0.85) move to the truth |
| missed box | items that no result is near are found |

From there on confidences follow the fit, so that the repair of a landmark is not spoilt by their order.

Letters: D results, G items, 39 own landmarks (padded).
"""  # noqa: E501

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from kps.data.coco import Coco, Instances, category_counts
from kps.evaluation.matching import (
    BACKGROUND,
    DUPLICATE,
    OWN,
    WRONG_CATEGORY,
    Association,
    associate,
    check_images,
    oks_of_pairs,
    same_image,
    similarity_at,
)
from kps.evaluation.scores import evaluate
from kps.files import progress, without_nan
from kps.results.predictions import Predictions, top_rows
from kps.schema import CATEGORIES, NUM_LANDMARKS, own_flip_indices, own_indices

GOOD, JITTER, INVERSION, SWAP, MISS = KINDS = ("good", "jitter", "inversion", "swap", "miss")  # the first that fits
UNLABELLED = -1
NEAR, GOOD_FROM = 0.5, 0.85
PAIRS_AT_ONCE = 2_000  # of garments on one photo: each takes 39 x 39 distances


def landmark_errors(items: Instances, item: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Judge each labelled landmark of found garments: (M, 39) index into KINDS, UNLABELLED elsewhere.

    Of all items of the ground truth, those of the rows `item` (M,) were found, at `keypoints` (M, 39, 2 or 3) px.
    """
    places, truth = keypoints[:, :, :2], items.keypoints[item]
    kind, area = items.category_id[item], items.area[item]
    mirror = own_flip_indices()[kind - 1]
    mirrored = np.take_along_axis(truth, mirror[:, :, None], axis=1)
    has_mirror = (mirrored[:, :, 2] > 0) & (mirror != np.arange(mirror.shape[1]))
    squared = [((places - at[:, :, :2]) ** 2).sum(axis=2) for at in (truth, mirrored)]
    own, inverted = similarity_at(squared[0], kind, area), similarity_at(squared[1], kind, area) * has_mirror
    swapped = similarity_at(_squared_to_others(items, item, places), kind, area)
    is_inverted = (inverted >= NEAR) & (inverted >= swapped)
    of_kinds = [own >= GOOD_FROM, own >= NEAR, is_inverted, swapped >= NEAR, np.ones_like(own, dtype=bool)]
    return np.where(truth[:, :, 2] > 0, np.argmax(of_kinds, axis=0), UNLABELLED).astype(np.int8)


def _squared_to_others(items: Instances, item: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(M, 39) px^2 from each place to the nearest labelled landmark of another item there, or infinity."""
    nearest = np.full(places.shape[:2], np.inf)
    pairs = np.stack(same_image(items.image_id[item], items.image_id))
    pairs = pairs[:, item[pairs[0]] != pairs[1]]
    for start in range(0, pairs.shape[1], PAIRS_AT_ONCE):
        found, other = pairs[:, start : start + PAIRS_AT_ONCE]
        x, y, v = items.keypoints[other].transpose(2, 0, 1)[:, :, None]
        squared = (places[found, :, None, 0] - x) ** 2 + (places[found, :, None, 1] - y) ** 2  # (P, 39, 39)
        np.minimum.at(nearest, found, np.where(v > 0, squared, np.inf).min(axis=2))
    return nearest


SCORING, SMALL_OFFSET = "scoring", "small offset"
LANDMARK_CAUSES = (MISS, SWAP, INVERSION, JITTER, SMALL_OFFSET)
# Scoring comes twice: which of the results on an item leads, and which item is surer than which.
REPAIRS = (SCORING, DUPLICATE, BACKGROUND, WRONG_CATEGORY, SCORING, *LANDMARK_CAUSES)


def in_strict_order(results: Predictions) -> Predictions:
    """Replace scores by places (the best gets the highest) in the order in which pycocotools breaks ties."""
    order = np.lexsort((results.image_id, -results.score))
    return replace(results, score=(len(order) - np.argsort(order)).astype(float))


def repairs(items: Instances, joined: Association, errors: np.ndarray, results: Predictions) -> Iterator[Predictions]:
    """Yield the results, in strict order, as they are and then after each of REPAIRS.

    `errors` (D, 39) holds the kind of each landmark of results that are OWN, UNLABELLED elsewhere.
    """
    yield results
    results = _best_fit_leads(joined, results)
    yield results
    yield results.take(joined.kind != DUPLICATE)
    yield results.take((joined.kind != DUPLICATE) & (joined.kind != BACKGROUND))
    stands = (joined.item >= 0) & (joined.kind != DUPLICATE)
    results, item, errors = results.take(stands), joined.item[stands], errors[stands]
    truth, category_id = items.keypoints[item], items.category_id[item]
    wrong = (results.category_id != category_id)[:, None, None]
    results = replace(results, category_id=category_id, keypoints=np.where(wrong, truth, results.keypoints))
    yield results
    results = _deal_scores(items, item, results)
    yield results
    for cause in LANDMARK_CAUSES:
        wrong = errors == KINDS.index(cause) if cause in KINDS else errors != UNLABELLED
        moved = replace(results, keypoints=np.where(wrong[:, :, None], truth, results.keypoints))
        results = _deal_scores(items, item, moved)
        yield results


def _best_fit_leads(joined: Association, results: Predictions) -> Predictions:
    """Exchange scores on each item, so that the result that stands for it has the highest of its item."""
    rows = np.flatnonzero(np.isin(joined.kind, (OWN, DUPLICATE)))
    rows = rows[np.argsort(results.score[rows])]
    leader = np.full(len(joined.result), -1)
    leader[joined.item[rows]] = rows  # the last written, so the highest scored
    held = np.flatnonzero((leader >= 0) & (leader != joined.result))
    first, second = leader[held], joined.result[held]
    score = results.score.copy()
    score[first], score[second] = results.score[second], results.score[first]
    return replace(results, score=score)


def _deal_scores(items: Instances, item: np.ndarray, results: Predictions) -> Predictions:
    """Deal the scores within each category out anew, by the OKS of each result to its item (D,)."""
    fit = oks_of_pairs(items, results.keypoints, item, np.arange(len(item)))
    score = np.empty_like(results.score)
    score[np.lexsort((-fit, results.category_id))] = results.score[np.lexsort((-results.score, results.category_id))]
    return replace(results, score=score)


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
    own = np.flatnonzero(joined.kind == OWN)
    errors[own] = landmark_errors(items, joined.item[own], results.keypoints[own])
    worlds = repairs(items, joined, errors, results)
    reached = []
    for repaired in progress(worlds, desc="causes", total=1 + len(REPAIRS), unit="evaluation"):
        scores = evaluate(ground_truth, repaired)
        reached.append(pd.Series({MEAN: scores.AP} | dict(zip(NAMES, scores.per_category.values(), strict=True))))
    reached.append(reached[0] * 0 + 1)  # nothing is left to repair
    rise = pd.DataFrame(reached).diff().iloc[1:].set_axis([*REPAIRS, MISSED_BOX])
    return Causes(
        AP=reached[0],
        loss=rise.groupby(level=0).sum(min_count=1).loc[list(CAUSES)],
        counts=_counts(items, counted, joined, results),
        landmarks=_landmark_table(items, joined, errors, own),
    )


def _counts(items: Instances, counted: np.ndarray, joined: Association, results: Predictions) -> pd.DataFrame:
    """Results of each kind, by predicted category, and missed items x 13 categories."""
    kinds = (OWN, DUPLICATE, WRONG_CATEGORY, BACKGROUND)
    category_ids = {kind: results.category_id[joined.kind == kind] for kind in kinds}
    category_ids[MISSED_BOX] = items.category_id[counted & (joined.result < 0)]
    counts = {kind: category_counts(ids) for kind, ids in category_ids.items()}
    return pd.DataFrame.from_dict(counts, orient="index", columns=NAMES)


def _landmark_table(items: Instances, joined: Association, errors: np.ndarray, own: np.ndarray) -> pd.DataFrame:
    """294 rows: how many of each landmark were labelled on found items, and the share of each of KINDS."""
    index = own_indices()[items.category_id[joined.item[own]] - 1]  # (M, 39) of the 294
    count = np.stack([np.bincount(index[errors[own] == i], minlength=NUM_LANDMARKS) for i in range(len(KINDS))], axis=1)
    labelled = count.sum(axis=1)
    rows = [(item.id, item.name, number + 1) for item in CATEGORIES for number in range(item.num_landmarks)]
    table = pd.DataFrame(rows, columns=["category_id", "category", "landmark"]).assign(labelled=labelled)
    with np.errstate(invalid="ignore"):
        table[list(KINDS)] = count / labelled[:, None]
    return table
