"""The main algorithm: match contours between every two categories, then cluster all matches at once.

Two steps. An assignment between each pair of categories says which landmarks correspond; then the partition
of all orbits is sought that gains most, where joining two orbits gains `threshold - distance`. What the
assignment leaves apart attracts nobody, so a near miss (the elbow of a long sleeve near the cuff of a short
one) does not pull two clusters together. Letters: O = 163 orbits.
"""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
from scipy.sparse.csgraph import connected_components

from kps.likeness import exact, local_search
from kps.likeness.orbits import NUM_ORBITS, ORBIT_CATEGORY, SELF_SYMMETRIC, OrbitDistances
from kps.schema import CATEGORIES


def assign(orbits: OrbitDistances, threshold: float) -> np.ndarray:
    """(O, O) True for the matches of the best one-to-one assignment between every two categories.

    A match costs its distance; to opt out costs the threshold, so matches are nearer than that. Landmarks are
    numbered along the outline, so two outlines correspond in order: a match may not cross another one.

    Args:
        orbits: distances between orbits.
        threshold: distance from which on orbits stay apart.
    """
    saved = np.where(orbits.known, np.maximum(threshold - np.nan_to_num(orbits.distance), 0), 0)
    matched = np.zeros((NUM_ORBITS, NUM_ORBITS), bool)
    for a, b in combinations(CATEGORIES, 2):
        for on_axis in (False, True):
            rows = np.flatnonzero((a.id == ORBIT_CATEGORY) & (on_axis == SELF_SYMMETRIC))
            columns = np.flatnonzero((b.id == ORBIT_CATEGORY) & (on_axis == SELF_SYMMETRIC))
            row, column = _ordered_matches(saved[np.ix_(rows, columns)])
            row, column = rows[row], columns[column]
            near = saved[row, column] > 0
            matched[row[near], column[near]] = matched[column[near], row[near]] = True
    return matched


def _ordered_matches(saved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, both rising, of the matches that save most (global alignment of two sequences)."""
    rows, columns = saved.shape
    total = np.zeros((rows + 1, columns + 1))
    for i in range(rows):
        best = np.maximum(total[i, 1:], total[i, :-1] + saved[i])
        total[i + 1, 1:] = np.maximum.accumulate(best)
    matches, j = [], columns
    for i in range(rows, 0, -1):
        while j and total[i, j] == total[i, j - 1]:
            j -= 1
        if j and total[i, j] > total[i - 1, j]:
            j -= 1
            matches.append((i - 1, j))
    row, column = np.array(matches[::-1], dtype=int).reshape(-1, 2).T
    return row, column


def pair_weights(orbits: OrbitDistances, threshold: float) -> np.ndarray:
    """(O, O) what joining two orbits gains: `FORBIDDEN` where they may not join, 0 on the diagonal."""
    weights = threshold - np.where(orbits.known, orbits.distance, 0)
    weights = np.where(assign(orbits, threshold), weights, np.minimum(weights, 0))
    weights = np.where(orbits.known, weights, local_search.FORBIDDEN)
    np.fill_diagonal(weights, 0)
    return weights


def multicut(weights: np.ndarray, start: np.ndarray, *, seconds: float) -> exact.Solution:
    """Cluster orbits by their pair weights (O, O), beginning with labels (O,); exactly, if time allows.

    Orbits that no chain of positive weights connects never gain by being joined, so each connected part is a
    problem of its own. Small parts come first and leave the rest of the time to the large ones.

    Args:
        weights: as `pair_weights` makes them.
        start: a partition that the result gains at least as much as.
        seconds: limit of time of the exact part; 0 for local search alone.
    """
    deadline = time.monotonic() + seconds
    starts = (local_search.contract(weights), start)
    best = max(
        (local_search.improve(weights, labels) for labels in starts),
        key=lambda labels: local_search.gain(weights, labels),
    )
    part = connected_components(weights > 0, directed=False)[1]
    labels, bound = np.empty(NUM_ORBITS, dtype=np.int64), 0.0
    for index in np.argsort(np.bincount(part), kind="stable"):
        nodes = np.flatnonzero(part == index)
        found = exact.solve(
            weights[np.ix_(nodes, nodes)],
            ORBIT_CATEGORY[nodes],
            best[nodes],
            seconds=deadline - time.monotonic(),
        )
        labels[nodes] = nodes[0] * NUM_ORBITS + found.labels  # parts never share a label
        bound += found.bound
    labels = np.unique(labels, return_inverse=True)[1]
    return exact.Solution(labels, local_search.gain(weights, labels), bound)
