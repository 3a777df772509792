"""How far a distance can be trusted: against a map, against itself on other data, cue by cue."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import mannwhitneyu, spearmanr

from kps.aggregation import Aggregation
from kps.data.coco import Instances
from kps.likeness.cue import CROSS_PAIRS
from kps.likeness.measured import Homogeneity, fuse, measure


def separation(distance: np.ndarray, aggregation: Aggregation | np.ndarray) -> float:
    """How well a distance agrees with a map: the chance that a merged pair is closer than an unmerged one.

    Over all pairs of landmarks of different categories with a known distance (area under the ROC curve: 0.5
    is chance, 1 is perfect); NaN where the map merges none of them, or all.

    Args:
        distance: (294, 294).
        aggregation: the map, or (294,) labels that are equal for landmarks that belong together.
    """
    label = aggregation.group if isinstance(aggregation, Aggregation) else np.asarray(aggregation)
    values, merged = distance[CROSS_PAIRS], np.equal(*label[list(CROSS_PAIRS)])
    near, far = (values[np.isfinite(values) & part] for part in (merged, ~merged))
    if not len(near) or not len(far):
        return float("nan")
    return float(mannwhitneyu(far, near, method="asymptotic").statistic / (len(near) * len(far)))


def leave_one_out(homogeneity: Homogeneity, score: Callable[[np.ndarray], float]) -> dict[str, float]:
    """What each cue contributes: the fused distance's score minus the score without the cue.

    Args:
        homogeneity: two cues or more.
        score: of a distance (294, 294); more is better. Such as `lambda d: separation(d, aggregation)`.
    """
    full, cues = score(homogeneity.fused), homogeneity.cues
    return {
        left_out: full - score(fuse({k: v for k, v in cues.items() if k != left_out}, homogeneity.weights))
        for left_out in cues
    }


def resampled(instances: Instances, seed: int) -> Instances:
    """A bootstrap sample: as many photos as there are, drawn with replacement, with all their instances.

    Instances of a photo drawn twice appear twice, with the same ids.
    """
    photos, photo = np.unique(instances.image_id, return_inverse=True)
    drawn = np.random.default_rng(seed).integers(0, len(photos), len(photos))
    times = np.bincount(drawn, minlength=len(photos))
    return instances.take(np.repeat(np.arange(len(instances)), times[photo]))


def halves(instances: Instances, seed: int) -> Iterator[Instances]:
    """Two random halves of the photos with their instances."""
    photos, photo = np.unique(instances.image_id, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(photos))
    for half in (order[::2], order[1::2]):
        yield instances.take(np.isin(photo, half))


def split_half(instances: Instances, *, seed: int = 0) -> float:
    """How far two random halves of the photos agree: rank correlation of their fused distances.

    Over all pairs of landmarks of different categories that both halves know; NaN where there are none.
    """
    first, second = (measure(half).fused[CROSS_PAIRS] for half in halves(instances, seed))
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any():
        return float("nan")
    return float(spearmanr(first[known], second[known]).statistic)
