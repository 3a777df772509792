"""How sure a score is: intervals over images, alone and for the difference of two results.

What is asked is which score very many photos of this kind would give. Resamples are random halves of the
photos, whole photos since the garments of one are not independent. A half differs from all photos about as
much as all photos differ from very many, so the halves' standard deviation is that of the score.

AP of few garments is too high: recall moves by whole garments, and COCO reads the precision of each step
right after a right result, where it is highest, then takes the running maximum. This bias falls with the
number of photos to the power of 1/2 (level precision) to 2/3 (falling), so halving the photos adds about half
of it, and the middle of an interval is the score less twice what halving adds. Percentiles of a bootstrap add
such a bias instead of taking it off; docs/results.md has the coverage of each method.

A category without items in a half is left out of its mean, as COCO leaves it out: that widens the interval of
the mean but does not move it. Training is not repeated: the interval is about the choice of photos, not about
the seed of a model.

Letters: S resamples, I images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from kps.data.coco import Coco
from kps.evaluation.protocol import compare
from kps.evaluation.resampling import resampled_scores
from kps.files import InputError, without_nan
from kps.results.detections import Detections
from kps.results.predictions import Predictions
from kps.schema import NUM_CATEGORIES

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

    Raises:
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

    Far sharper than two intervals side by side, since what makes a photo hard is hard for both.

    Args:
        first, second: results, or those of several seeds, whose scores are averaged: the interval is then of
            the mean over these seeds.

    Raises:
        InputError: as `bootstrap`, or one holds landmarks and the other boxes.
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
    for column, category_id in zip(per_category.T, range(1, NUM_CATEGORIES + 1), strict=True):
        targets = comparison.of_category(category_id)[2]
        if len({row["image_id"] for row in targets if not row["ignore"]}) < MIN_PHOTOS:
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
