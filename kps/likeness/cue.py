"""A cue: one distance between the 294 landmarks, and the rules that every such distance obeys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kps.files import InputError
from kps.schema import FLIP_INDICES, LANDMARK_CATEGORY, LANDMARK_NAMES, NUM_LANDMARKS

TOLERANCE = 1e-5  # of symmetry and of the bounds: float32 arithmetic reaches it

# Pairs of landmarks of different categories, each once: what cues are compared and scored on.
_ROW, _COLUMN = np.triu_indices(NUM_LANDMARKS, 1)
_APART = LANDMARK_CATEGORY[_ROW] != LANDMARK_CATEGORY[_COLUMN]
CROSS_PAIRS = _ROW[_APART], _COLUMN[_APART]


@dataclass(frozen=True)
class Cue:
    """One distance between landmarks.

    Args:
        name: such as "position".
        distance: (294, 294) in [0, 1], symmetric, diagonal 0, NaN where unknown (also on the diagonal);
            mirrored landmarks are as far apart: d[flip i, flip j] == d[i, j]. `cue` makes one of any matrix.
        meaning: a sentence: what is measured, and in which unit before it was scaled to [0, 1].

    Raises:
        InputError: the distance breaks one of these rules; the message names two landmarks at fault.
    """

    name: str
    distance: np.ndarray
    meaning: str

    def __post_init__(self) -> None:
        distance = self.distance
        if distance.shape != (NUM_LANDMARKS, NUM_LANDMARKS):
            raise InputError(
                f"cue {self.name}: expected distances of shape {(NUM_LANDMARKS, NUM_LANDMARKS)}, "
                f"but got {distance.shape}"
            )
        diagonal = np.where(np.eye(NUM_LANDMARKS, dtype=bool), np.nan_to_num(distance), 0)
        checks = {
            "a distance in [0, 1]": (distance < -TOLERANCE) | (distance > 1 + TOLERANCE),
            "no distance to itself": np.abs(diagonal) > TOLERANCE,
            "the same distance both ways": _differ(distance, distance.T),
            "the same distance when mirrored": _differ(distance, mirrored(distance)),
        }
        for expected, bad in checks.items():
            if bad.any():
                i, j = np.unravel_index(np.argmax(bad), bad.shape)
                raise InputError(
                    f"cue {self.name}: expected {expected}, but got {distance[i, j]:.4g} "
                    f"between {LANDMARK_NAMES[i]!r} and {LANDMARK_NAMES[j]!r}"
                )


def _differ(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return ~np.isclose(first, second, rtol=0, atol=TOLERANCE, equal_nan=True)


def mirrored(distance: np.ndarray) -> np.ndarray:
    """(294, 294) the distance between the mirror images of each two landmarks."""
    return distance[np.ix_(FLIP_INDICES, FLIP_INDICES)]


def cue(name: str, distance: np.ndarray, meaning: str) -> Cue:
    """Make a cue of a measured matrix (294, 294): both directions and both mirror images are averaged.

    Of the up to four numbers for a pair those that are known count. The diagonal becomes 0 where a landmark
    has any known distance, NaN elsewhere.

    Raises:
        InputError: the matrix has another shape, or numbers outside [0, 1].
    """
    distance = np.asarray(distance, float)
    if distance.shape == (NUM_LANDMARKS, NUM_LANDMARKS):
        views = np.stack([distance, distance.T, mirrored(distance), mirrored(distance).T])
        known = np.isfinite(views)
        with np.errstate(invalid="ignore"):
            distance = np.where(known, views, 0).sum(0) / known.sum(0)
        np.fill_diagonal(distance, np.where(np.isfinite(distance).any(0), 0, np.nan))
    return Cue(name, distance, meaning)
