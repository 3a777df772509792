"""Maps that know nothing of likeness: what a derived map must beat."""

from __future__ import annotations

import numpy as np

from kps.aggregation import Aggregation
from kps.likeness.orbits import FIRST, ORBIT_CATEGORY, SELF_SYMMETRIC, expand, orbit_labels
from kps.schema import CATEGORIES

TRADES = 1000  # between two categories each; 13 categories mix within some tens


def same_number() -> np.ndarray:
    """(294,) landmarks with the same number in their category: 39 groups.

    No valid map (mirror images go astray). Its adjusted Rand index against the hand map is 0.42 as `scores`
    counts, 0.38 over all pairs of landmarks.
    """
    return np.concatenate([np.arange(item.num_landmarks) for item in CATEGORIES])


def random_map(sizes_like: Aggregation, seed: int) -> Aggregation:
    """A random valid map with the group sizes of a given one.

    Categories trade the groups that only one of two has (the curveball walk of Strona et al., 2014, which
    reaches every filling of the groups equally often); then each category's orbits change places. Left stays
    with left by the landmarks' numbering.
    """
    rng = np.random.default_rng(seed)
    labels = orbit_labels(sizes_like.group)
    for on_axis in (False, True):
        of_kind = on_axis == SELF_SYMMETRIC
        kinds = np.unique(ORBIT_CATEGORY[of_kind])
        nodes = {kind: np.flatnonzero(of_kind & (kind == ORBIT_CATEGORY)) for kind in kinds}
        held = {kind: labels[nodes[kind]] for kind in kinds}
        for _ in range(TRADES):
            a, b = rng.choice(kinds, 2, replace=False)
            common = np.intersect1d(held[a], held[b])
            pool = rng.permutation(np.setxor1d(held[a], held[b]))
            of_a = len(held[a]) - len(common)
            held[a], held[b] = np.r_[common, pool[:of_a]], np.r_[common, pool[of_a:]]
        for kind in kinds:
            labels[nodes[kind]] = rng.permutation(held[kind])
    return expand(labels, FIRST)
