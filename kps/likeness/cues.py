"""Cues: distances between the 294 landmarks and the rules that every one obeys; the distance of their places."""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np

from kps.files import InputError
from kps.likeness.shapes import Shapes
from kps.schema import CATEGORIES, FLIP_INDICES, LANDMARK_CATEGORY, LANDMARK_NAMES, NUM_LANDMARKS

TOLERANCE = 1e-5  # of symmetry and of the bounds: float32 arithmetic reaches it

# Pairs of landmarks of different categories, each once: what cues are compared and scored on.
_ROW, _COLUMN = np.triu_indices(NUM_LANDMARKS, 1)
_APART = LANDMARK_CATEGORY[_ROW] != LANDMARK_CATEGORY[_COLUMN]
CROSS_PAIRS = _ROW[_APART], _COLUMN[_APART]


@dataclass(frozen=True)
class Cue:
    """One distance between landmarks.

    InputError: the distance breaks one of these rules; the message names two landmarks at fault.

    Args:
        name: such as "position".
        distance: (294, 294) in [0, 1], symmetric, diagonal 0, NaN where unknown (also on the diagonal);
            mirrored landmarks are as far apart: d[flip i, flip j] == d[i, j]. `cue` makes one of any matrix.
        meaning: a sentence: what is measured, and in which unit before it was scaled to [0, 1].
    """

    name: str
    distance: np.ndarray
    meaning: str

    def __post_init__(self) -> None:
        distance, square = self.distance, (NUM_LANDMARKS, NUM_LANDMARKS)
        if distance.shape != square:
            raise InputError(f"cue {self.name}: expected distances of shape {square}, but got {distance.shape}")
        checks = {
            "a distance in [0, 1]": (distance < -TOLERANCE) | (distance > 1 + TOLERANCE),
            "no distance to itself": np.eye(NUM_LANDMARKS, dtype=bool) & (np.abs(distance) > TOLERANCE),
            "the same distance both ways": _differ(distance, distance.T),
            "the same distance when mirrored": _differ(distance, _mirrored(distance)),
        }
        for expected, bad in checks.items():
            for i, j in np.argwhere(bad):
                raise InputError(
                    f"cue {self.name}: expected {expected}, but got {distance[i, j]:.4g} "
                    f"between {LANDMARK_NAMES[i]!r} and {LANDMARK_NAMES[j]!r}"
                )


def _differ(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return ~np.isclose(first, second, rtol=0, atol=TOLERANCE, equal_nan=True)


def _mirrored(distance: np.ndarray) -> np.ndarray:
    """(294, 294) the distance between the mirror images of each two landmarks."""
    return distance[np.ix_(FLIP_INDICES, FLIP_INDICES)]


def cue(name: str, distance: np.ndarray, meaning: str) -> Cue:
    """Make a cue of a measured matrix (294, 294): both directions and both mirror images are averaged.

    Of the up to four numbers for a pair those that are known count. The diagonal becomes 0 where a landmark has any
    known distance, NaN elsewhere. InputError: the matrix has another shape, or numbers outside [0, 1].
    """
    distance = np.asarray(distance, float)
    within = np.isnan(distance) | (np.abs(distance - 0.5) <= 0.5 + TOLERANCE)
    if distance.shape == (NUM_LANDMARKS, NUM_LANDMARKS) and within.all():  # else Cue refuses what a mean might hide
        # Sorted, so that the four sum up in one order and the mean is symmetric to the last digit.
        views = np.sort([distance, distance.T, _mirrored(distance), _mirrored(distance).T], axis=0)
        known = np.isfinite(views).sum(0)
        distance = np.where(known > 0, np.nansum(views, axis=0) / np.maximum(known, 1), np.nan)
        np.fill_diagonal(distance, np.where(np.isfinite(distance).any(0), 0, np.nan))
    return Cue(name, distance, meaning)


SCALES = np.geomspace(0.5, 2.0, 25)  # searched sizes of one shape on another
SHIFTS = np.linspace(-1.5, 1.5, 41)  # searched vertical shifts, in radii of the second shape
MATCH_LIMIT = 0.5  # in radii: counterparts further apart than this do not pull any harder
NEGLIGIBLE = 0.02  # less likely counterparts are left out: most pairs, for speed


class Placing(NamedTuple):
    """How the first of two mean shapes lies on the second, in radii of the second."""

    scale: float
    shift: float  # downwards
    misfit: float  # root mean square distance of counterparts


def position_distance(shapes: Shapes, probability: np.ndarray) -> np.ndarray:
    """(294, 294) Hellinger distance of the landmarks' Gaussians after aligning each pair of categories.

    0: the same place with the same spread; 1: no overlap; NaN for a landmark that was never labelled.

    Args:
        shapes: the mean shapes.
        probability: (294, 294) of being `counterparts`.
    """
    distance = np.full((NUM_LANDMARKS, NUM_LANDMARKS), np.nan)
    present = [item for item in CATEGORIES if shapes.count[item.id - 1].any()]
    for first, second in combinations_with_replacement(present, 2):
        placing = Placing(1.0, 0.0, 0.0)
        if first is not second:
            placing = align(shapes, first.id, second.id, probability[first.slice, second.slice])
        a, b = np.s_[first.id - 1, : first.num_landmarks], np.s_[second.id - 1, : second.num_landmarks]
        error = placing.misfit**2 / 4 * np.eye(2)  # misfit has two coordinates, and two landmarks share it
        block = hellinger(
            shapes.mean[a] * placing.scale + (0.0, placing.shift),
            shapes.covariance[a] * placing.scale**2 + error,
            shapes.mean[b],
            shapes.covariance[b] + error,
        )
        distance[first.slice, second.slice], distance[second.slice, first.slice] = block, block.T
    return distance


def align(shapes: Shapes, first_id: int, second_id: int, probability: np.ndarray) -> Placing:
    """Scale and vertical shift that lay the first category's mean shape on the second's.

    All of a grid is tried. A placing costs the squared distance of counterparts (in the mean unit of the two
    frames, so that neither is preferred), cut at MATCH_LIMIT: what has no true counterpart should not pull.
    Weighing by the contour keeps a hem off an armpit that happens to lie there. Mirror symmetry rules out a
    turn or a side step.

    Args:
        probability: (A, B) that landmarks of the two categories are counterparts, as `counterparts` says;
            where none are, the shapes are left as they stand.
    """
    i, j = np.nonzero(np.nan_to_num(probability) > NEGLIGIBLE)
    if not len(i):
        return Placing(1.0, 0.0, MATCH_LIMIT)
    weight = probability[i, j]
    moved = shapes.mean[first_id - 1, i] * SCALES[:, None, None, None] + np.array([0, 1]) * SHIFTS[:, None, None]
    square = ((moved - shapes.mean[second_id - 1, j]) ** 2).sum(-1) / SCALES[:, None, None]
    cost = np.minimum(square, MATCH_LIMIT**2) @ weight / weight.sum()
    best = np.unravel_index(cost.argmin(), cost.shape)
    scale, shift = float(SCALES[best[0]]), float(SHIFTS[best[1]])
    return Placing(scale, shift, float(np.sqrt(cost[best] * scale)))


def hellinger(mean_a: np.ndarray, spread_a: np.ndarray, mean_b: np.ndarray, spread_b: np.ndarray) -> np.ndarray:
    """(A, B) Hellinger distances of Gaussians with means (A, 2), (B, 2), covariances (A, 2, 2), (B, 2, 2)."""
    middle = (spread_a[:, None] + spread_b[None]) / 2
    step = mean_a[:, None] - mean_b[None]
    inverse = np.linalg.inv(middle)
    exponent = np.einsum("abi,abij,abj->ab", step, inverse, step) / 8
    with np.errstate(invalid="ignore"):  # NaN for landmarks that were never labelled
        product = np.linalg.det(spread_a)[:, None] * np.linalg.det(spread_b)[None]
        overlap = product**0.25 / np.sqrt(np.linalg.det(middle)) * np.exp(-exponent)
    return np.sqrt(np.clip(1 - overlap, 0, 1))
