"""Contours: do two outlines, walked from collar to hem, do the same at two landmarks and around them?

At each landmark the mean outline is a star of directions to the linked neighbours: its number of rays tells
ends (the strap top of a sling), ordinary places and forks (a collar side, where neck and shoulder part), its
angles the turn and the tangent. Two half outlines are aligned by a pair hidden Markov model (Durbin et al.,
Biological Sequence Analysis, 1998, chapter 4): in order of the walk, each landmark has a counterpart or is
skipped (vests skip the sleeve); all alignments are summed up, each weighted by how alike the stars of its
counterparts are. So neighbours, and the way to both ends of the outline, decide where stars alone do not.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import numpy as np

from kps.likeness.shapes import Shapes
from kps.schema import CATEGORIES, FLIP_INDICES, NUM_LANDMARKS, Category, category

# Results hardly change with these: the area under the ROC curve moves by less than 0.01 when they are halved
# or doubled.
ANGLE_TOLERANCE = np.radians(30.0)  # rays this far apart are still much the same
SHARPNESS = 2.0  # power of a star's likeness
SKIP = 0.5  # weight of a landmark without counterpart; 1 is a counterpart as alike as two landmarks at random


def counterparts(shapes: Shapes) -> np.ndarray:
    """(294, 294) probability of being counterparts, 0 across the axis; NaN for what was never labelled."""
    present = [item for item in CATEGORIES if shapes.count[item.id - 1].any()]
    pairs = list(combinations_with_replacement(present, 2))
    likeness = {(a.id, b.id): _likeness(shapes, a, b) for a, b in pairs}
    possible = [block[block > 0] for block in likeness.values()]
    at_random = np.mean(np.concatenate(possible)) if present else 1.0
    probability = np.zeros((NUM_LANDMARKS, NUM_LANDMARKS))
    for a, b in pairs:
        block = alignment_probability(likeness[a.id, b.id] / at_random)
        left_a, left_b = (_walk(shapes, item) + item.first_index for item in (a, b))
        for i, j in ((left_a, left_b), (FLIP_INDICES[left_a], FLIP_INDICES[left_b])):
            probability[np.ix_(i, j)] = block
            probability[np.ix_(j, i)] = block.T
    unknown = ~np.concatenate([shapes.count[c.id - 1, : c.num_landmarks] > 0 for c in CATEGORIES])
    probability[unknown] = probability[:, unknown] = np.nan
    return probability


def _walk(shapes: Shapes, item: Category) -> np.ndarray:
    """Own landmarks of the half outline that were labelled, in order."""
    landmarks = half_outline(item.id).landmarks
    return landmarks[shapes.count[item.id - 1, landmarks] > 0]


def _likeness(shapes: Shapes, first: Category, second: Category) -> np.ndarray:
    """(A, B) likeness in [0, 1] of two walks' landmarks; 0 between one on the axis and one that is not."""
    (rays_a, axis_a), (rays_b, axis_b) = _stars(shapes, first), _stars(shapes, second)
    norm_a, norm_b = ([_overlap(star, star) for star in rays] for rays in (rays_a, rays_b))
    shared = np.array([[_overlap(a, b) for b in rays_b] for a in rays_a])
    total = np.add.outer(norm_a, norm_b)
    alike = 2 * shared / np.maximum(total, 1e-9)
    return np.where(axis_a[:, None] == axis_b, alike**SHARPNESS, 0)


def _stars(shapes: Shapes, item: Category) -> tuple[list[np.ndarray], np.ndarray]:
    """Angles of the edges at each landmark of the walk, and whether it lies on the axis."""
    outline: HalfOutline = half_outline(item.id)
    mean = shapes.mean[item.id - 1] @ (1, 1j)
    stars, on_axis = [], []
    for landmark, axis, linked in zip(outline.landmarks, outline.on_axis, outline.neighbours, strict=True):
        if np.isfinite(mean[landmark]):
            edges = mean[list(linked)] - mean[landmark]
            stars.append(np.angle(edges[np.isfinite(edges)]))
            on_axis.append(axis)
    return stars, np.array(on_axis)


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Shared rays of two stars (angles): each two rays count by a von Mises kernel of their angle."""
    turn = np.cos(first[:, None] - second)
    return float(np.exp((turn - 1) / ANGLE_TOLERANCE**2).sum())


def alignment_probability(odds: np.ndarray) -> np.ndarray:
    """(A, B) probability that landmarks are counterparts, over all alignments in order.

    Args:
        odds: (A, B) weight of each pair as counterparts; 1 is as good as chance, 0 is forbidden.
    """
    forward = _alignments(odds)
    backward = _alignments(odds[::-1, ::-1])[::-1, ::-1]
    return forward[:-1, :-1] * odds * backward[1:, 1:] / forward[-1, -1]


def _alignments(odds: np.ndarray) -> np.ndarray:
    """(A + 1, B + 1) total weight of all alignments of the first i with the first j landmarks."""
    total = SKIP ** np.add.outer(np.arange(len(odds) + 1.0), np.arange(odds.shape[1] + 1.0))
    for i, row in enumerate(odds):
        for j, weight in enumerate(row):
            # what skips both is in both sums, so it is taken off once
            skipped = SKIP * (total[i, j + 1] + total[i + 1, j]) - SKIP**2 * total[i, j]
            total[i + 1, j + 1] = weight * total[i, j] + skipped
    return total


@dataclass(frozen=True)
class HalfOutline:
    """One side of a symmetric outline, H landmarks; indices are own landmarks, from 0.

    The numbering starts at the collar (or waist) and goes round the garment, so ascending order is a walk.
    """

    landmarks: np.ndarray  # (H,) ascending
    on_axis: np.ndarray  # (H,) bool: its own mirror image
    neighbours: tuple[tuple[int, ...], ...]  # linked own landmarks of each of the H: 1 at an end, 3 at a fork


@cache
def half_outline(category_id: int) -> HalfOutline:
    """The side of the outline that holds the first landmark off the axis.

    It is what links reach from there without crossing the axis, so it is one side of the garment, whichever
    member of a flip pair has the lower number (in outwear they cross over at the front edges).
    """
    item = category(category_id)
    linked: dict[int, list[int]] = {i: [] for i in range(item.num_landmarks)}
    for a, b in item.outline_links:
        linked[a - 1].append(b - 1)
        linked[b - 1].append(a - 1)
    axis = set(np.flatnonzero(item.flip_indices == np.arange(item.num_landmarks)).tolist())
    side = {min(set(linked) - axis)}
    frontier = list(side)
    while frontier:
        reached = set(linked[frontier.pop()]) - axis - side
        side |= reached
        frontier += reached
    landmarks = np.array(sorted(side | axis))
    on_axis = np.isin(landmarks, list(axis))
    return HalfOutline(landmarks, on_axis, tuple(tuple(linked[i]) for i in landmarks))
