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

from kps.data.coco import Coco
from kps.evaluation.matching import Comparison, Matches, compare
from kps.files import InputError, progress, without_nan
from kps.results.detections import Detections
from kps.results.predictions import Predictions
from kps.schema import NUM_CATEGORIES

RECALL_STEPS = np.linspace(0, 1, 101)  # COCO's
CELLS_AT_ONCE = 4_000_000  # of (S, D): bounds the memory


def resampled_scores(comparison: Comparison, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AP and recall of each resample, category and threshold: two arrays (S, 13, T).

    Values are NaN where a resample holds no item of the category. Copies of an image stand next to each other
    in the order of equal scores, and so do copies of a result.

    Args:
        comparison: ground truth beside results.
        weights: (S, I) how often each image occurs, columns in the order of `comparison.image_ids`.
    """
    kinds = progress(comparison.matches.values(), desc="scoring", unit="garment kind")
    per_category = [weighted_average_precision(matches, comparison.image_ids, weights) for matches in kinds]
    return np.stack([ap for ap, _ in per_category], axis=1), np.stack([ar for _, ar in per_category], axis=1)


def weighted_average_precision(
    matches: Matches, image_ids: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """AP and recall of one category: two arrays (S, T)."""
    order = np.argsort(image_ids)
    image = order[np.searchsorted(image_ids, matches.image_id, sorter=order)]
    item_image = order[np.searchsorted(image_ids, matches.item_image_id, sorter=order)]
    items_on = np.bincount(item_image, minlength=len(image_ids))
    at_once = max(CELLS_AT_ONCE // max(len(image), len(image_ids), 1), 1)
    parts = [
        _score_chunk(matches, image, weights[start : start + at_once], items_on)
        for start in range(0, len(weights), at_once)
    ]
    return np.concatenate([ap for ap, _ in parts]), np.concatenate([recall for _, recall in parts])


def _score_chunk(
    matches: Matches, image: np.ndarray, weights: np.ndarray, items_on: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(S, T) AP and recall, with image (D,) and items_on (I,) as columns of weights (S, I)."""
    num_items = (weights @ items_on.astype(float))[:, None]
    num_items[num_items == 0] = np.nan
    seen = np.cumsum(weights[:, image], axis=1, dtype=np.int32)
    shape = len(weights), len(matches.right)
    precision_area, recall = np.zeros(shape), np.zeros(shape)
    for t, (right, ignored) in enumerate(zip(matches.right, matches.ignored, strict=True)):
        places, passed = np.flatnonzero(right), np.flatnonzero(ignored)
        if len(places) == 0:
            continue
        hits = np.cumsum(weights[:, image[places]], axis=1, dtype=np.int32)
        ignored_before = np.zeros((len(weights), len(passed) + 1), dtype=np.int32)
        np.cumsum(weights[:, image[passed]], axis=1, out=ignored_before[:, 1:])
        counted = seen[:, places] - ignored_before[:, np.searchsorted(passed, places)]
        precision_area[:, t] = _area(hits, counted, num_items)
        recall[:, t] = hits[:, -1]
    nothing = np.where(np.isnan(num_items), np.nan, 0)
    return precision_area + nothing, recall / num_items


def _area(hits: np.ndarray, counted: np.ndarray, num_items: np.ndarray) -> np.ndarray:
    """(S,) area under COCO's curve from right (S, K) and counted (S, K) results up to each right one.

    Precision need only be known at right results: it falls between them, and COCO's curve is its running
    maximum from the right, read at 101 recalls. Each right result is worth the recalls that it newly reaches.
    """
    precision = hits / (counted + np.spacing(1))
    best_to_come = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALL_STEPS, hits / num_items, side="right")
    gained = np.diff(reached, axis=1, prepend=0)
    return (best_to_come * gained).sum(axis=1) / len(RECALL_STEPS)


Results = Predictions | Detections
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
    """Intervals of the mean over categories and of each category's AP."""

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


@dataclass(frozen=True)
class PairedDifference(Intervals):
    """Second minus first on the same halves of the images, as Intervals."""

    AP: Difference
    AP50: Difference
    AP75: Difference
    AR: Difference
    per_category: dict[int, Difference]


def bootstrap(
    ground_truth: Coco,
    results: Predictions | Detections,
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    visible_only: bool = False,
) -> Intervals:
    """Score landmarks (Predictions) or boxes (Detections) with intervals.

    InputError: a result lies on an unknown image, or samples or level make no sense.
    """
    weights = _draw(len(ground_truth.images), samples, seed, level)
    scores = _statistics(ground_truth, results, weights, visible_only)
    intervals = [Interval(*_summary(column, level, lowest=0)) for column in scores.T]
    return Intervals(level, samples, len(ground_truth.images), *_named(intervals))


def paired_bootstrap(
    ground_truth: Coco,
    first: Results | Sequence[Results],
    second: Results | Sequence[Results],
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    visible_only: bool = False,
) -> PairedDifference:
    """Compare two results on the same images: second minus first.

    Far sharper than two intervals side by side, since what makes a photo hard is hard for both. InputError: as
    `bootstrap`, or one holds landmarks and the other boxes.

    Args:
        first, second: results, or those of several seeds, whose scores are averaged: the interval is then of
            the mean over these seeds.
    """
    groups = [[results] if isinstance(results, Results) else list(results) for results in (first, second)]
    if len({type(results) for group in groups for results in group}) != 1:
        raise InputError("expected two results of one kind, but got landmarks and boxes, or none")
    weights = _draw(len(ground_truth.images), samples, seed, level)
    before, after = (
        np.mean([_statistics(ground_truth, results, weights, visible_only) for results in group], axis=0)
        for group in groups
    )
    differences = [
        Difference(*_summary(column, level, lowest=-1), share_better=_share_above_zero(column[1:]))
        for column in (after - before).round(DECIMALS).T
    ]
    return PairedDifference(level, samples, len(ground_truth.images), *_named(differences))


def _draw(num_images: int, samples: int, seed: int, level: float) -> np.ndarray:
    """(1 + S, I) weights: the data as they are, then random halves of the images."""
    if samples < 2 or not 0 < level < 1:
        raise InputError(f"expected at least 2 samples and a level between 0 and 1, but got {samples} and {level}")
    weights = np.ones((1 + samples, num_images), dtype=np.uint8)
    weights[1:, num_images // 2 :] = 0
    np.random.default_rng(seed).permuted(weights[1:], axis=1, out=weights[1:])
    return weights


def _statistics(
    ground_truth: Coco, results: Predictions | Detections, weights: np.ndarray, visible_only: bool
) -> np.ndarray:
    """(1 + S, 4 + 13): STATISTICS of the mean over categories, then each category's AP.

    Halves say nothing (NaN) of a category whose items lie on fewer than MIN_PHOTOS.
    """
    comparison = compare(ground_truth, results, visible_only=visible_only)
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


def _summary(column: np.ndarray, level: float, lowest: float) -> tuple[float, float, float, float]:
    """Estimate, low, high and standard error of (1 + S,) scores in lowest..1, the first on all images."""
    estimate, halves = float(column[0]), column[1:][np.isfinite(column[1:])]
    if len(halves) < 2:
        return estimate, float("nan"), float("nan"), float("nan")
    error = float(halves.std(ddof=1))
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    middle = estimate - np.clip(2 * (halves.mean() - estimate), -reach, reach)  # the estimate stays inside
    low, high = np.clip([middle - reach, middle + reach], lowest, 1)
    return estimate, float(low), float(high), error


def _share_above_zero(differences: np.ndarray) -> float:
    known = differences[np.isfinite(differences)]
    return float((known > 0).mean()) if len(known) else float("nan")


def _named(values: list[Any]) -> tuple[Any, ...]:
    """The four of the mean, then a dict of the 13 categories."""
    names = range(1, NUM_CATEGORIES + 1)
    return *values[: len(STATISTICS)], dict(zip(names, values[len(STATISTICS) :], strict=True))
