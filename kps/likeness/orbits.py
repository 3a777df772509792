"""Landmarks and their mirror images taken together: 163 flip orbits, and distances between them.

The mirror image of a group must be a group, so what is grouped is not landmarks but orbits {i, flip i}: 131
pairs and 32 landmarks on the axis of symmetry. Letters: O = 163 orbits.

Two pairs can join in two ways, left with left or left with right. Which landmark of a pair is the left one is
settled once for all orbits (`collapse`), so that from there on an orbit is one node and sides always agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kps.aggregation import Aggregation
from kps.files import InputError
from kps.schema import FLIP_INDICES, LANDMARK_CATEGORY, NUM_LANDMARKS

FIRST = np.flatnonzero(np.arange(NUM_LANDMARKS) <= FLIP_INDICES)  # (O,) lower-numbered landmark of each orbit
NUM_ORBITS = len(FIRST)
SELF_SYMMETRIC = FLIP_INDICES[FIRST] == FIRST
ORBIT_CATEGORY = LANDMARK_CATEGORY[FIRST]
# A landmark on the axis can join only such landmarks: with a side one it would pull that one's mirror image
# into the group as well, and so two landmarks of a category.
_ON_AXIS = np.arange(NUM_LANDMARKS) == FLIP_INDICES
MAY_SHARE = (LANDMARK_CATEGORY[:, None] != LANDMARK_CATEGORY) & (_ON_AXIS[:, None] == _ON_AXIS)  # (294, 294)
MAY_JOIN = MAY_SHARE[np.ix_(FIRST, FIRST)]
VOTE_POWER = 4  # of the likeness: the many far orbits are not to outvote the few near ones
MIN_TURN_GAIN = 0.1  # of summed votes: with less evidence the numbering decides on a pair's sides
TOLERANCE = 1e-5  # of the bounds: float32 arithmetic reaches it
for _constant in (FIRST, SELF_SYMMETRIC, ORBIT_CATEGORY, MAY_SHARE, MAY_JOIN):
    _constant.setflags(write=False)


@dataclass(frozen=True)
class OrbitDistances:
    """Distances (O, O), NaN where two orbits may not join or nobody knows; and each orbit's side.

    side: (O,) the landmark of each orbit that stands on the common side. Orbits a and b joined means that
    side[a] and side[b] share a group, and so do their mirror images.
    """

    distance: np.ndarray
    side: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(O, O) True where two orbits may join."""
        return np.isfinite(self.distance)


def symmetrised(distance: np.ndarray) -> np.ndarray:
    """(294, 294) mean of a distance, its transpose and their mirror images, as far as each is known.

    Raises:
        InputError: the array has another shape, or values outside [0, 1].
    """
    distance = np.asarray(distance, dtype=float)
    if distance.shape != (NUM_LANDMARKS, NUM_LANDMARKS):
        raise InputError(f"expected distances of shape (294, 294), but got {distance.shape}")
    outside = (distance < -TOLERANCE) | (distance > 1 + TOLERANCE)
    if outside.any():
        raise InputError(f"expected distances from 0 to 1, but got {distance[outside][0]:.4g}")
    mirrored = distance[np.ix_(FLIP_INDICES, FLIP_INDICES)]
    # Sorted, so that the four sum up in one order and the mean is symmetric to the last digit.
    views = np.sort([distance, distance.T, mirrored, mirrored.T], axis=0)
    known = np.isfinite(views).sum(0)
    return np.where(known > 0, np.nansum(views, axis=0) / np.maximum(known, 1), np.nan)


def collapse(distance: np.ndarray) -> OrbitDistances:
    """Take distances between landmarks (294, 294), NaN where unknown, to distances between orbits.

    What is not known is not joined.

    Raises:
        InputError: the array has another shape, or values outside [0, 1].
    """
    mean = symmetrised(distance)
    straight = mean[np.ix_(FIRST, FIRST)]
    crossed = mean[np.ix_(FIRST, FLIP_INDICES[FIRST])]
    turned = _turned(straight, crossed)
    of_sides = np.where(turned[:, None] == turned, straight, crossed)
    side = np.where(turned, FLIP_INDICES[FIRST], FIRST)
    return OrbitDistances(np.where(MAY_JOIN, of_sides, np.nan), side)


def _turned(straight: np.ndarray, crossed: np.ndarray) -> np.ndarray:
    """(O,) True where an orbit's higher-numbered landmark stands on the common side.

    Two orbits that are alike vote for the relative side in which they are more alike. Sides start from the
    numbering; the orbit with the most votes against it turns, until none has any worth mentioning.
    """
    vote = (1 - straight) ** VOTE_POWER - (1 - crossed) ** VOTE_POWER
    vote = np.where(MAY_JOIN & ~SELF_SYMMETRIC[:, None] & np.isfinite(vote), vote, 0.0)
    sign = np.ones(NUM_ORBITS)
    while True:
        against = -sign * (vote @ sign)
        worst = int(against.argmax())
        if against[worst] < MIN_TURN_GAIN:
            return sign < 0
        sign[worst] *= -1


def expand(labels: np.ndarray, side: np.ndarray) -> Aggregation:
    """Turn clusters of orbits (O,) with their sides (O,) into a map of landmarks to groups.

    Groups are numbered in the order of their first landmark.
    """
    group = np.empty(NUM_LANDMARKS, dtype=np.int64)
    group[side] = 2 * labels
    group[FLIP_INDICES[side]] = np.where(SELF_SYMMETRIC, 2 * labels, 2 * labels + 1)
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return Aggregation(np.argsort(np.argsort(first))[inverse])


def orbit_labels(group: np.ndarray) -> np.ndarray:
    """(O,) clusters of orbits that a flip-equivariant group vector (294,) makes, sides left aside."""
    group = np.asarray(group)
    unordered = np.minimum(group, group[FLIP_INDICES])[FIRST]
    return np.unique(unordered, return_inverse=True)[1]
