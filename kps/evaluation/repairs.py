"""Oracle corrections of results, one on top of the other; kps.evaluation.causes says what each means.

Letters: D results, G items, 39 own landmarks (padded).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kps.data.coco import Instances
from kps.evaluation.association import BACKGROUND, DUPLICATE, OWN, WRONG_CATEGORY, Association
from kps.evaluation.landmark_errors import INVERSION, JITTER, KINDS, MISS, SWAP, UNLABELLED
from kps.evaluation.similarity import oks_of_pairs
from kps.results.predictions import Predictions
from kps.schema import CATEGORIES

SCORING, SMALL_OFFSET = "scoring", "small offset"
LANDMARK_CAUSES = (MISS, SWAP, INVERSION, JITTER, SMALL_OFFSET)
# Scoring comes twice: which of the results on an item leads, and which item is surer than which.
REPAIRS = (SCORING, DUPLICATE, BACKGROUND, WRONG_CATEGORY, SCORING, *LANDMARK_CAUSES)


def in_strict_order(results: Predictions) -> Predictions:
    """Replace scores by places (the best gets the highest) in the order in which pycocotools breaks ties."""
    order = np.lexsort((results.image_id, -results.score))
    place = np.empty(len(order))
    place[order] = np.arange(len(order), 0, -1)
    return replace(results, score=place)


def repairs(
    items: Instances, joined: Association, errors: np.ndarray, results: Predictions
) -> Iterator[tuple[str, Predictions]]:
    """Yield the results as they are under the name "", then after each of REPAIRS.

    Args:
        items: G items.
        joined: who stands for whom.
        errors: (D, 39) kind of each landmark of results that are OWN, UNLABELLED elsewhere.
        results: D results in strict order.
    """
    yield "", results
    results = _best_fit_leads(joined, results)
    yield SCORING, results
    keep = joined.kind != DUPLICATE
    yield DUPLICATE, results.take(keep)
    keep &= joined.kind != BACKGROUND
    yield BACKGROUND, results.take(keep)
    stands = (joined.item >= 0) & (joined.kind != DUPLICATE)
    results, item, errors = results.take(stands), joined.item[stands], errors[stands]
    results = _with_right_category(items, item, results)
    yield WRONG_CATEGORY, results
    results = _deal_scores(items, item, results)
    yield SCORING, results
    for cause in LANDMARK_CAUSES:
        wrong = errors == KINDS.index(cause) if cause in KINDS else errors != UNLABELLED
        results = _deal_scores(items, item, _with_true_landmarks(items, item, results, wrong))
        yield cause, results


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


def _with_right_category(items: Instances, item: np.ndarray, results: Predictions) -> Predictions:
    """Give results that stand for an item (D,) of another category its category and true landmarks."""
    wrong = np.flatnonzero(results.category_id != items.category_id[item])
    keypoints = results.keypoints.copy()
    keypoints[wrong] = items.keypoints[item[wrong]]
    return replace(results, category_id=items.category_id[item], keypoints=keypoints)


def _deal_scores(items: Instances, item: np.ndarray, results: Predictions) -> Predictions:
    """Deal the scores within each category out anew, by the OKS of each result to its item (D,)."""
    fit = oks_of_pairs(items, results.keypoints, item, np.arange(len(item)))
    score = results.score.copy()
    for garment in CATEGORIES:
        rows = np.flatnonzero(results.category_id == garment.id)
        best_first = rows[np.argsort(-fit[rows], kind="stable")]
        score[best_first] = np.sort(score[rows])[::-1]
    return replace(results, score=score)


def _with_true_landmarks(items: Instances, item: np.ndarray, results: Predictions, wrong: np.ndarray) -> Predictions:
    """Move the landmarks of the mask (D, 39) to their places on the items (D,)."""
    rows, landmarks = np.nonzero(wrong)
    keypoints = results.keypoints.copy()
    keypoints[rows, landmarks] = items.keypoints[item[rows], landmarks]
    return replace(results, keypoints=keypoints)
