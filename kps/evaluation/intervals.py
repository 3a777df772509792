"""How sure a score is: average precision of many random halves of the images, alone or paired.

What a result is matched to depends on its own image alone, so matching happens once. A resample is a vector
of whole weights, how often each image was drawn, and changes only the counts behind precision and recall.

Letters: S resamples, I images, D results, K right results, T thresholds.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from kps.data.coco import Coco
from kps.evaluation.matching import Comparison, Matches, compare
from kps.files import InputError, progress, without_nan
from kps.results.predictions import Results

RECALL_STEPS = np.linspace(0, 1, 101)  # COCO's
CELLS_AT_ONCE = 400_000  # of (S, D): bounds the memory, and fits the cache


def resampled_scores(comparison: Comparison, weights: np.ndarray) -> np.ndarray:
    """(2, S, 13, T) AP and recall of each resample, category and threshold; NaN where it holds no such item.

    Of weights (S, I), how often each image occurs, columns in the order of `comparison.image_ids`. Copies of an image
    stand next to each other in the order of equal scores, and so do copies of a result.
    """
    column, scores = pd.Index(comparison.image_ids), []
    for matches in progress(comparison.matches.values(), desc="scoring", unit="garment kind"):
        image = column.get_indexer(matches.image_id)
        items_on = np.bincount(column.get_indexer(matches.item_image_id), minlength=len(column))
        at_once = max(CELLS_AT_ONCE // max(len(image), len(column), 1), 1)
        starts = range(0, len(weights), at_once)
        chunks = [_score_chunk(matches, image, weights[start : start + at_once], items_on) for start in starts]
        scores.append(np.concatenate(chunks, axis=1))
    return np.stack(scores, axis=2)


def _score_chunk(matches: Matches, image: np.ndarray, weights: np.ndarray, items_on: np.ndarray) -> np.ndarray:
    """(2, S, T) AP and recall, with image (D,) and items_on (I,) as columns of weights (S, I)."""
    num_items = (weights @ items_on.astype(float))[:, None]
    seen = np.cumsum(weights.take(image, axis=1), axis=1, dtype=np.int32)
    scores = np.zeros((2, len(weights), len(matches.right)))
    for t, (right, ignored) in enumerate(zip(matches.right, matches.ignored, strict=True)):
        places, passed = np.flatnonzero(right), np.flatnonzero(ignored)
        if len(places) == 0:
            continue
        hits = np.cumsum(weights.take(image[places], axis=1), axis=1, dtype=np.int32)
        ignored_before = np.zeros((len(weights), len(passed) + 1), dtype=np.int32)
        np.cumsum(weights.take(image[passed], axis=1), axis=1, out=ignored_before[:, 1:])
        counted = seen.take(places, axis=1) - ignored_before.take(np.searchsorted(passed, places), axis=1)
        recall = hits / np.maximum(num_items, 1)
        scores[:, :, t] = _area(hits / (counted + np.spacing(1)), recall), recall[:, -1]
    return np.where(num_items == 0, np.nan, scores)


def _area(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """(S,) area under COCO's curve from precision and recall (S, K) at each right result.

    Precision need only be known there: it falls between them, and COCO's curve is its running maximum from the right,
    read at 101 recalls. Each right result is worth the recalls that it newly reaches.
    """
    best_to_come = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    nearest = np.rint(recall * (len(RECALL_STEPS) - 1)).astype(int)
    reached = nearest + (RECALL_STEPS.take(nearest) <= recall)  # sooner than by a search
    return (best_to_come * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(RECALL_STEPS)


LEVEL = 0.95
STATISTICS = ("AP", "AP50", "AP75", "AR")
MIN_PHOTOS = 3  # with items of a category; of fewer, less than two thirds of 95 % intervals hold the truth
DECIMALS = 12  # scores that differ by less are equal: their sums were rounded in another order


@dataclass(frozen=True)
class Interval:
    """A score, the ends of its interval (NaN where photos are too few), and its standard deviation."""

    estimate: float
    low: float
    high: float
    standard_error: float


@dataclass(frozen=True)
class Difference(Interval):
    """The same of second minus first, and the share of halves in which second is better."""

    share_better: float


@dataclass(frozen=True)
class Intervals:
    """Intervals of the mean over categories and of each category's AP; of two results, each is a Difference."""

    level: float
    samples: int
    num_images: int
    AP: Interval
    AP50: Interval
    AP75: Interval
    AR: Interval
    per_category: dict[int, Interval]

    def to_json(self) -> dict[str, Any]:
        """Return the values for a JSON file, NaN as None."""
        return without_nan(asdict(self))


def bootstrap(
    truth: Coco, results: Results, *, samples: int = 1000, seed: int = 0, visible_only: bool = False
) -> Intervals:
    """Score landmarks (Predictions) or boxes (Detections) with intervals.

    InputError: a result lies on an unknown image, or the samples are fewer than 2.
    """
    weights = _draw(len(truth.images), samples, seed)
    scores = _statistics(truth, results, weights, visible_only)
    return _named([_interval(column[None]) for column in scores.T], weights)


def paired_bootstrap(
    truth: Coco,
    first: Results | Sequence[Results],
    second: Results | Sequence[Results],
    *,
    samples: int = 1000,
    seed: int = 0,
    visible_only: bool = False,
) -> Intervals:
    """Compare two results on the same images: second minus first.

    Far sharper than two intervals side by side, since what makes a photo hard is hard for both. Both may be the results
    of several seeds, in the same order: the interval is then of what very many photos and seeds would give, by the
    variance over the halves, of the seeds' mean, plus that between the seeds over their number.
    InputError: as `bootstrap`, or one holds landmarks and the other boxes, or another number of seeds.
    """
    groups = [[results] if isinstance(results, Results) else list(results) for results in (first, second)]
    kinds = [[type(results).__name__ for results in group] for group in groups]
    if len({*kinds[0], *kinds[1]}) != 1 or len(kinds[0]) != len(kinds[1]):
        raise InputError(f"expected two results of one kind and as many seeds, but got {kinds[0]} and {kinds[1]}")
    weights = _draw(len(truth.images), samples, seed)
    before, after = (
        np.array([_statistics(truth, results, weights, visible_only) for results in group]) for group in groups
    )
    return _named([_difference(columns) for columns in np.moveaxis((after - before).round(DECIMALS), 2, 0)], weights)


def _draw(num_images: int, samples: int, seed: int) -> np.ndarray:
    """(1 + S, I) weights: the data as they are, then random halves of the images."""
    if samples < 2:
        raise InputError(f"expected at least 2 samples, but got {samples}")
    weights = np.ones((1 + samples, num_images), dtype=np.uint8)
    weights[1:, num_images // 2 :] = 0
    np.random.default_rng(seed).permuted(weights[1:], axis=1, out=weights[1:])
    return weights


def _statistics(truth: Coco, results: Results, weights: np.ndarray, visible_only: bool) -> np.ndarray:
    """(1 + S, 4 + 13): STATISTICS of the mean over categories, then each category's AP.

    Halves say nothing (NaN) of a category whose items lie on fewer than MIN_PHOTOS.
    """
    comparison = compare(truth, results, visible_only=visible_only)
    precision, recall = resampled_scores(comparison, weights)
    per_category = precision.mean(axis=2)
    of_mean = (per_category, precision[:, :, 0], precision[:, :, 5], recall.mean(axis=2))
    means = [_mean_present(values) for values in of_mean]
    for column, matches in zip(per_category.T, comparison.matches.values(), strict=True):
        if len(np.unique(matches.item_image_id)) < MIN_PHOTOS:
            column[1:] = np.nan
    return np.column_stack([*means, per_category])


def _mean_present(values: np.ndarray) -> np.ndarray:
    """(1 + S,) mean over the categories (1 + S, 13) that have items; NaN where none has.

    The halves are moved to where they would lie on average if absent categories kept their score.
    """
    present = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean = np.where(present, values, 0).sum(axis=1) / present.sum(axis=1)
    known = np.flatnonzero(np.isfinite(mean[1:])) + 1
    if len(known):
        mean[1:] += np.nanmean(np.where(present, values, values[0])[known]) - mean[known].mean()
    return mean


def _interval(columns: np.ndarray, lowest: float = 0) -> Interval:
    """Of (N, 1 + S) scores of N seeds in lowest..1, the first of each on all images.

    With seeds the quantile is Student's, of Satterthwaite's degrees of freedom (1946): few say little of how they vary.
    """
    column, seeds = columns.mean(axis=0), columns[:, 0]
    estimate, halves = float(column[0]), column[1:][np.isfinite(column[1:])]
    if len(halves) < 2:
        return Interval(estimate, float("nan"), float("nan"), float("nan"))
    photos, of_seeds, quantile = halves.var(ddof=1), 0.0, NormalDist().inv_cdf((1 + LEVEL) / 2)
    if len(seeds) > 1 and (of_seeds := seeds.var(ddof=1) / len(seeds)) > 0:
        from scipy.stats import t  # here, since it takes a second

        quantile = t.ppf((1 + LEVEL) / 2, (len(seeds) - 1) * (1 + photos / of_seeds) ** 2)
    reach = quantile * (error := float(np.sqrt(photos + of_seeds)))
    middle = estimate - np.clip(2 * (halves.mean() - estimate), -reach, reach)  # the estimate stays inside
    low, high = np.clip([middle - reach, middle + reach], lowest, 1).tolist()
    return Interval(estimate, low, high, error)


def _difference(columns: np.ndarray) -> Difference:
    """Of (N, 1 + S) differences of N seeds, as `_interval` has them."""
    halves = columns.mean(axis=0)[1:]
    known = halves[np.isfinite(halves)]
    share_better = float((known > 0).mean()) if len(known) else float("nan")
    return Difference(**vars(_interval(columns, -1)), share_better=share_better)


def _named(values: list[Any], weights: np.ndarray) -> Intervals:
    """Of the four intervals of the mean, then those of the 13 categories, by weights (1 + S, I)."""
    per_category = dict(enumerate(values[len(STATISTICS) :], start=1))
    return Intervals(LEVEL, len(weights) - 1, weights.shape[1], *values[: len(STATISTICS)], per_category)
