"""Contours: do two outlines, walked from collar to hem, do the same at two landmarks and around them?

At each landmark the mean outline is a star of directions to the linked neighbours: its number of rays tells
ends (the strap top of a sling), ordinary places and forks (a collar side, where neck and shoulder part), its
angles the turn and the tangent. Two half outlines are aligned by a pair hidden Markov model (Durbin et al.,
Biological Sequence Analysis, 1998, chapter 4): in order of the walk, each landmark has a counterpart or is
skipped (vests skip the sleeve); all alignments are summed up, each weighted by how alike the stars of its
counterparts are. So neighbours, and the way to both ends of the outline, decide where stars alone do not.
"""

from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kps.likeness.shapes import Shapes
from kps.schema import CATEGORIES, FLIP_INDICES, NUM_LANDMARKS, Category, own_landmark_mask

# Results hardly change with these: the area under the ROC curve moves by less than 0.01 when they are halved
# or doubled.
ANGLE_TOLERANCE = np.radians(30.0)  # rays this far apart are still much the same
SHARPNESS = 2.0  # power of a star's likeness
SKIP = 0.5  # weight of a landmark without counterpart; 1 is a counterpart as alike as two landmarks at random


def counterparts(shapes: Shapes) -> np.ndarray:
    """(294, 294) probability of being counterparts, 0 across the axis; NaN for what was never labelled."""
    walks = [walk(shapes, item) for item in CATEGORIES if shapes.count[item.id - 1].any()]
    pairs = list(combinations_with_replacement(walks, 2))
    likeness = [_likeness(a, b) for a, b in pairs]
    at_random = np.mean(np.concatenate([block[block > 0] for block in likeness])) if pairs else 1.0
    probability = np.zeros((NUM_LANDMARKS, NUM_LANDMARKS))
    for (a, b), alike in zip(pairs, likeness, strict=True):
        block = alignment_probability(alike / at_random)
        for i, j in ((a.landmarks, b.landmarks), (FLIP_INDICES[a.landmarks], FLIP_INDICES[b.landmarks])):
            probability[np.ix_(i, j)] = block
            probability[np.ix_(j, i)] = block.T
    unknown = shapes.count[own_landmark_mask()] == 0
    probability[unknown] = probability[:, unknown] = np.nan
    return probability


class Walk(NamedTuple):
    """The labelled landmarks of one side of a garment, H of them, in order from collar or waist to hem."""

    landmarks: np.ndarray  # (H,) ascending, in the 294
    on_axis: np.ndarray  # (H,) bool: its own mirror image
    stars: list[np.ndarray]  # H: radians, the directions to the linked landmarks: 1 at an end, 3 at a fork


def walk(shapes: Shapes, item: Category) -> Walk:
    """Walk along one side of a category's mean outline; the numbering goes round the garment, and so in order."""
    half, mean = half_outline(item), shapes.mean[item.id - 1] @ (1, 1j)
    half = half[np.isfinite(mean[half])]
    links = np.array(item.outline_links) - 1
    start, end = np.stack([links, links[:, ::-1]], axis=1).reshape(-1, 2).T
    edges = [mean[end[start == landmark]] - mean[landmark] for landmark in half]
    stars = [np.angle(edge[np.isfinite(edge)]) for edge in edges]
    return Walk(half + item.first_index, item.flip_indices[half] == half, stars)


def half_outline(item: Category) -> np.ndarray:
    """(H,) own landmarks from 0, ascending, of the side that holds the first landmark off the axis, and of the axis.

    A side is what links reach without crossing the axis, whichever member of a flip pair has the lower number
    (in outwear they cross over at the front edges).
    """
    on_axis = item.flip_indices == np.arange(item.num_landmarks)
    links = np.array(item.outline_links) - 1
    links = links[~on_axis[links].any(axis=1)]
    graph = coo_array((np.ones(len(links)), links.T), shape=(item.num_landmarks,) * 2)
    side = connected_components(graph, directed=False)[1]
    return np.flatnonzero(on_axis | (side == side[on_axis.argmin()]))


def _likeness(first: Walk, second: Walk) -> np.ndarray:
    """(A, B) likeness in [0, 1] of two walks' landmarks; 0 between one on the axis and one that is not."""
    own_a, own_b = ([_overlap(star, star) for star in one.stars] for one in (first, second))
    shared = np.array([[_overlap(a, b) for b in second.stars] for a in first.stars])
    alike = 2 * shared / np.maximum(np.add.outer(own_a, own_b), 1e-9)
    return np.where(first.on_axis[:, None] == second.on_axis, alike**SHARPNESS, 0)


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
