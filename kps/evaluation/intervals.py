"""How sure a score is: bootstrap intervals over images, alone and for the difference of two results.

Images are drawn with replacement, since the garments of a photo are not independent. Intervals are
percentiles of the resampled scores. A category without items in a resample is left out of that resample's
mean, as COCO leaves it out; its own interval is over the resamples that hold it. Training is not repeated:
the interval is about the choice of photos, not about the seed of a model.

Letters: S resamples, I images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kps.coco import Coco
from kps.detections import Detections
from kps.errors import InputError
from kps.evaluation.protocol import compare
from kps.evaluation.resampling import resampled_scores
from kps.predictions import Predictions
from kps.schema import NUM_CATEGORIES

Results = Predictions | Detections
STATISTICS = ("AP", "AP50", "AP75", "AR")
ROUNDING = 1e-12  # scores that differ by less are equal: their sums were rounded in another order


@dataclass(frozen=True)
class Interval:
    """A score, the percentiles between which it lies, and the standard deviation over resamples."""

    estimate: float
    low: float
    high: float
    standard_error: float


@dataclass(frozen=True)
class Difference(Interval):
    """The same of second minus first, and the share of resamples in which second is better."""

    share_better: float


@dataclass(frozen=True)
class _Resampled:
    level: float
    samples: int
    num_images: int

    def to_json(self) -> dict[str, Any]:
        """Return the values for a JSON file, NaN as None."""
        return _without_nan(asdict(self))


@dataclass(frozen=True)
class Intervals(_Resampled):
    """Intervals of the mean over categories and of each category's AP."""

    AP: Interval
    AP50: Interval
    AP75: Interval
    AR: Interval
    per_category: dict[int, Interval]


@dataclass(frozen=True)
class PairedDifference(_Resampled):
    """Second minus first on the same resampled images, as Intervals."""

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
    intervals = [Interval(*_summary(column, level)) for column in scores.T]
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
        Difference(*_summary(column, level), share_better=_share_above_zero(column[1:]))
        for column in (after - before).T
    ]
    return PairedDifference(level, samples, len(ground_truth.images), *_named(differences))


def _draw(num_images: int, samples: int, seed: int, level: float) -> np.ndarray:
    """(1 + S, I) weights: the data as they are, then the resamples."""
    if samples < 2 or not 0 < level < 1:
        raise InputError(
            f"expected at least 2 samples and a level between 0 and 1, but got {samples} and {level}"
        )
    rng = np.random.default_rng(seed)
    weights = np.ones((1 + samples, num_images), dtype=np.uint16)
    for row in weights[1:]:
        row[:] = np.bincount(rng.integers(0, max(num_images, 1), num_images), minlength=num_images)
    return weights


def _statistics(
    ground_truth: Coco, results: Predictions | Detections, weights: np.ndarray, visible_only: bool
) -> np.ndarray:
    """(S, 4 + 13): STATISTICS of the mean over categories, then each category's AP."""
    comparison = compare(ground_truth, results, visible_only=visible_only)
    precision, recall = resampled_scores(comparison, weights)
    per_category = precision.mean(axis=2)
    of_mean = (per_category, precision[:, :, 0], precision[:, :, 5], recall.mean(axis=2))
    return np.column_stack([_mean_present(values) for values in of_mean] + [per_category])


def _mean_present(values: np.ndarray) -> np.ndarray:
    """(S,) mean over the categories (S, 13) that have items; NaN where none has."""
    present = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(present, values, 0).sum(axis=1) / present.sum(axis=1)


def _summary(column: np.ndarray, level: float) -> tuple[float, float, float, float]:
    """Estimate, low, high and standard error of (1 + S,) scores, the first on the data as they are."""
    resampled = column[1:][np.isfinite(column[1:])]
    if len(resampled) < 2:
        return float(column[0]), float("nan"), float("nan"), float("nan")
    low, high = np.percentile(resampled, [50 * (1 - level), 50 * (1 + level)])
    return float(column[0]), float(low), float(high), float(resampled.std(ddof=1))


def _share_above_zero(differences: np.ndarray) -> float:
    known = differences[np.isfinite(differences)]
    return float((known > ROUNDING).mean()) if len(known) else float("nan")


def _named(values: list[Any]) -> tuple[Any, ...]:
    """The four of the mean, then a dict of the 13 categories."""
    names = range(1, NUM_CATEGORIES + 1)
    return *values[: len(STATISTICS)], dict(zip(names, values[len(STATISTICS) :], strict=True))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(part) for key, part in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
