"""Average linkage that never joins what may not share a group: the plain baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from kps.aggregation import Aggregation
from kps.likeness.orbits import OrbitDistances, expand

# Dwarfs every distance even when it is one of 13 x 13 in a mean: no cut below it joins a forbidden pair.
FORBIDDEN = 1e6


@dataclass(frozen=True)
class MergeTree:
    """Every merge in order of height, as SciPy's linkage matrix (O - 1, 4).

    Heights are means of distances and never fall; those above 1 belong to unions that no rule allows and only
    make the forest of allowed merges one tree.
    """

    linkage: np.ndarray
    side: np.ndarray

    def labels(self, threshold: float) -> np.ndarray:
        """(O,) clusters after all merges below the threshold."""
        return fcluster(self.linkage, np.nextafter(min(threshold, 2.0), -1), criterion="distance") - 1

    def aggregation(self, threshold: float) -> Aggregation:
        """The map after all merges below the threshold."""
        return expand(self.labels(threshold), self.side)


def merge_tree(orbits: OrbitDistances) -> MergeTree:
    """Join, again and again, the two clusters with the smallest mean distance that may share a group.

    Forbidden pairs enter SciPy's linkage at a huge distance, which is the same thing: a mean with one of them
    in it never comes first.
    """
    full = np.where(orbits.known, orbits.distance, FORBIDDEN)
    np.fill_diagonal(full, 0)
    return MergeTree(linkage(squareform(full, checks=False), method="average"), orbits.side)
