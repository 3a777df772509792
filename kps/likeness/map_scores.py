"""How alike are two maps? Rand index, V-measure, and pairs merged rightly and wrongly.

What is counted are pairs of landmarks of different categories; within a category the rules decide, not the
data. A pair and its mirror image are one decision and count as one. The adjusted Rand index is the usual one
in its pair-counting form, (both - expected) / ((m1 + m2) / 2 - expected) with expected = m1 m2 / N, over
these N pairs instead of all; m1 and m2 are the pairs that each map merges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import entropy

from kps.aggregation import Aggregation
from kps.files import InputError
from kps.likeness.cue import CROSS_PAIRS
from kps.schema import FLIP_INDICES, NUM_LANDMARKS

SIDED = np.arange(NUM_LANDMARKS) != FLIP_INDICES
WEIGHT = np.where(SIDED[CROSS_PAIRS[0]] | SIDED[CROSS_PAIRS[1]], 0.5, 1.0)  # counts mirror images once


@dataclass(frozen=True)
class Scores:
    """Agreement of a map with a reference, each 1 at best.

    precision: share of the map's merged pairs that the reference merges too; recall: share of the
    reference's merged pairs that the map merges. Both are NaN where there are none.
    """

    num_groups: int
    adjusted_rand: float
    v_measure: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Stability:
    """Adjusted Rand index over all pairs of several maps."""

    mean: float
    minimum: float
    maximum: float


def score(map_: Aggregation | np.ndarray, reference: Aggregation | np.ndarray) -> Scores:
    """Compare a map with a reference; either may be group numbers (294,) that keep no rule.

    Raises:
        InputError: group numbers of another shape.
    """
    group, wanted = _group(map_), _group(reference)
    a, b = CROSS_PAIRS
    ours, theirs = group[a] == group[b], wanted[a] == wanted[b]
    total, merged, right, both = (float(WEIGHT[part].sum()) for part in (..., ours, theirs, ours & theirs))
    expected = merged * right / total
    room = (merged + right) / 2 - expected
    return Scores(
        num_groups=len(np.unique(group)),
        adjusted_rand=(both - expected) / room if room else 1.0,
        v_measure=v_measure(group, wanted),
        precision=both / merged if merged else float("nan"),
        recall=both / right if right else float("nan"),
    )


def adjusted_rand(first: Aggregation | np.ndarray, second: Aggregation | np.ndarray) -> float:
    """The adjusted Rand index alone; 1 for equal maps, about 0 for unrelated ones."""
    return score(first, second).adjusted_rand


def v_measure(first: np.ndarray, second: np.ndarray) -> float:
    """Harmonic mean of homogeneity and completeness (Rosenberg and Hirschberg, 2007).

    Over landmarks, each orbit (a landmark and its mirror image) weighing 1. Unlike pairs, this cannot leave
    categories out, so even a map that merges nothing scores high: read it beside the controls.
    """
    weight = np.where(SIDED, 0.5, 1.0)
    table = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(table, (first, second), weight)
    joint, rows, columns = entropy(table.ravel()), entropy(table.sum(1)), entropy(table.sum(0))
    shared = rows + columns - joint
    return float(2 * shared / (rows + columns)) if rows + columns else 1.0


def pairwise_rand(maps: Sequence[Aggregation]) -> np.ndarray:
    """(P,) adjusted Rand index of each two maps; NaN if one merges nothing: such maps agree for no reason."""
    unknown = any(map_.num_groups == NUM_LANDMARKS for map_ in maps)
    return np.array([np.nan if unknown else adjusted_rand(a, b) for a, b in combinations(maps, 2)])


def stability(maps: Sequence[Aggregation]) -> Stability:
    """How far maps from resampled data agree, by `pairwise_rand`.

    Raises:
        InputError: fewer than two maps.
    """
    if len(maps) < 2:
        raise InputError(f"expected at least 2 maps to compare, but got {len(maps)}")
    values = pairwise_rand(maps)
    return Stability(float(np.mean(values)), float(np.min(values)), float(np.max(values)))


def score_table(
    maps: Mapping[str, Aggregation | np.ndarray], references: Mapping[str, Aggregation | np.ndarray]
) -> pd.DataFrame:
    """Every map against every reference: a row a map, its groups, and columns (reference, score)."""
    rows = {}
    for name, map_ in maps.items():
        values: dict[tuple[str, str], float] = {}
        for label, reference in references.items():
            row = asdict(score(map_, reference))
            values[("", "groups")] = row.pop("num_groups")
            values |= {(label, key): value for key, value in row.items()}
        rows[name] = values
    return pd.DataFrame.from_dict(rows, orient="index")


def _group(map_: Aggregation | np.ndarray) -> np.ndarray:
    group = map_.group if isinstance(map_, Aggregation) else np.asarray(map_)
    if group.shape != (NUM_LANDMARKS,):
        raise InputError(f"expected groups of shape (294,), but got {group.shape}")
    return np.unique(group, return_inverse=True)[1]
