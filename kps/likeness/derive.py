"""From a distance between landmarks to a map: one threshold, a family over thresholds, and which to take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.spatial.distance import squareform

from kps.aggregation import Aggregation
from kps.files import InputError, progress
from kps.likeness.average_link import merge_tree
from kps.likeness.exact import Solution
from kps.likeness.local_search import gain
from kps.likeness.map_scores import pairwise_rand
from kps.likeness.multicut import multicut, pair_weights
from kps.likeness.orbits import collapse, expand
from kps.schema import NUM_LANDMARKS

Method = Literal["multicut", "average_link"]
METHODS: tuple[Method, ...] = ("multicut", "average_link")
MAX_ALONE = 0.5  # share of the landmarks without a group to share
THRESHOLDS = tuple(np.round(np.arange(0.05, 0.951, 0.05), 2).tolist())


@dataclass(frozen=True)
class Derived:
    """A map derived from a distance.

    objective: summed `threshold - distance` over the joined pairs of orbits, as the multicut counts it (for
        either method, so they can be compared).
    bound: no map at this threshold has a larger objective; infinite for the baseline, which seeks none.
    proved_optimal: whether the objective meets the bound.
    """

    aggregation: Aggregation
    threshold: float
    objective: float
    bound: float
    proved_optimal: bool


def derive_map(
    distance: np.ndarray, threshold: float, *, method: Method = "multicut", time_limit_s: float = 120.0
) -> Derived:
    """Derive a map from distances between landmarks.

    Args:
        distance: (294, 294) in [0, 1], NaN where unknown; made symmetric and equal under the mirror image.
        threshold: from 0 (nothing is joined: 294 groups) to 1.
        method: "multicut", or the baseline "average_link".
        time_limit_s: of the proof that the multicut is optimal; 0 for local search alone.

    Raises:
        InputError: another shape, a distance or threshold outside [0, 1], or an unknown method.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"expected a threshold from 0 to 1, but got {threshold}")
    if method not in METHODS:
        raise InputError(f"expected a method out of {', '.join(METHODS)}, but got {method!r}")
    orbits = collapse(distance)
    weights = pair_weights(orbits, threshold)
    labels = merge_tree(orbits).labels(threshold)
    if method == "average_link":
        found = Solution(labels, gain(weights, labels), math.inf)
    else:
        found = multicut(weights, labels, seconds=time_limit_s)
    aggregation = expand(found.labels, orbits.side)
    return Derived(aggregation, float(threshold), found.gain, found.bound, found.proved_optimal)


def family(distance: np.ndarray, *, time_limit_s: float = 120.0) -> list[Derived]:
    """Maps over THRESHOLDS, from many groups to as few as the rules allow."""
    return [
        derive_map(distance, threshold, time_limit_s=time_limit_s)
        for threshold in progress(THRESHOLDS, desc="deriving maps", unit="threshold")
    ]


@dataclass(frozen=True)
class Choice:
    """A threshold and the table behind it: threshold, groups, alone, stability and its standard_error."""

    threshold: float
    table: pd.DataFrame


def choose_threshold(
    replicates: Sequence[np.ndarray],
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    required: bool = True,
) -> Choice:
    """Choose the threshold at which resampled data agree on the map, without looking at any known map.

    A map is derived from each replicate by local search. Stability is the mean adjusted Rand index between
    the maps of two replicates. Among the thresholds whose stability is within one standard error of the best
    (the rule of Breiman et al., 1984, for the size of a tree) the largest is taken: equally sure, it shares
    the most. Thresholds at which some replicate leaves most landmarks alone are passed over where there are
    others: the few surest merges always agree, but are no aggregation.

    Args:
        replicates: distances (294, 294) measured on resampled instances, at least 3.
        thresholds: to choose from.
        required: False chooses 0, at which nothing is merged, where no threshold will do.

    Raises:
        InputError: too few replicates, or thresholds at which nothing is merged.
    """
    if len(replicates) < 3:
        raise InputError(f"expected at least 3 replicates to choose a threshold, but got {len(replicates)}")
    rows = []
    for threshold in progress(sorted(thresholds), desc="choosing a threshold", unit="threshold"):
        maps = [derive_map(distance, threshold, time_limit_s=0).aggregation for distance in replicates]
        of_each = squareform(pairwise_rand(maps)).sum(1) / (len(maps) - 1)  # mean over the other maps
        rows.append(
            {
                "threshold": threshold,
                "groups": np.mean([map_.num_groups for map_ in maps]),
                "alone": max((np.bincount(map_.group) == 1).sum() for map_ in maps) / NUM_LANDMARKS,
                "stability": of_each.mean(),
                "standard_error": of_each.std(ddof=1) / np.sqrt(len(maps)),
            }
        )
    table = pd.DataFrame(rows)
    if table["stability"].isna().all():
        if not required:
            return Choice(0.0, table)
        raise InputError(f"expected thresholds that merge something, but got {sorted(thresholds)}")
    usual = table[table["alone"] <= MAX_ALONE]
    allowed = usual if usual["stability"].notna().any() else table
    best = allowed.loc[allowed["stability"].idxmax()]
    stable = allowed["stability"] >= best["stability"] - best["standard_error"]
    return Choice(float(allowed["threshold"][stable].max()), table)
