"""How alike are two landmarks of different categories? Mean shapes, their alignment, and distances in [0, 1].

Letters: C = 13 categories, K = 39 own landmarks (padded), 294 landmarks. A shape lives in its category's own
frame: centred, upright, mirror-symmetric, root mean square radius 1, y downwards.

Two cues (the paper does this step by eye, section 2.1):
- position: a landmark's place on the garment is a Gaussian over all instances; two landmarks are as far
  apart as their Gaussians, once the mean shapes of their categories are laid on each other;
- sigma: how precisely people place the landmark, the evaluator's OKS sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr

from kps.aggregation import Aggregation
from kps.coco import Instances
from kps.errors import InputError
from kps.files import read_json, write_json
from kps.schema import (
    CATEGORIES,
    LANDMARK_CATEGORY,
    MAX_LANDMARKS,
    NUM_CATEGORIES,
    NUM_LANDMARKS,
    SIGMAS,
    own_flip_indices,
    own_landmark_mask,
)

MIN_LABELLED = 4  # landmarks an instance needs before its scale and rotation can be trusted
POSITION_FLOOR = 0.05  # in shape radii: no position is known better than this
PRIOR_SPREAD = 0.2  # in shape radii: a rare landmark's spread is pulled towards this,
PRIOR_COUNT = 4  # as if so many instances had it
SCALES = np.geomspace(0.5, 2.0, 25)  # searched sizes of one shape on another
SHIFTS = np.linspace(-1.5, 1.5, 41)  # searched vertical shifts, in radii of the second shape
MATCH_LIMIT = 0.5  # in radii: beyond this distance a landmark counts as without a counterpart


@dataclass(frozen=True)
class Shapes:
    """Where each category's landmarks lie: mean (C, K, 2), covariance (C, K, 2, 2), instances (C, K).

    A landmark that was never labelled has a mean and a covariance of NaN.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class Homogeneity:
    """Distances (294, 294) in [0, 1], NaN where a landmark was never labelled; and the shapes behind them."""

    shapes: Shapes
    position: np.ndarray
    sigma: np.ndarray
    fused: np.ndarray

    def save(self, path: Path) -> None:
        """Write as JSON, distances at 4 decimals."""
        shapes = {"mean": self.shapes.mean, "covariance": self.shapes.covariance, "count": self.shapes.count}
        distances = {"position": self.position, "sigma": self.sigma, "fused": self.fused}
        rounded = {name: np.round(value, 4) for name, value in {**shapes, **distances}.items()}
        write_json(path, rounded)

    @classmethod
    def load(cls, path: Path) -> Homogeneity:
        """Read what `save` wrote.

        Raises:
            InputError: the file is absent or holds arrays of other shapes.
        """
        value = read_json(path)
        per_landmark = (NUM_CATEGORIES, MAX_LANDMARKS)
        expected = {"mean": (*per_landmark, 2), "covariance": (*per_landmark, 2, 2), "count": per_landmark}
        expected |= dict.fromkeys(("position", "sigma", "fused"), (NUM_LANDMARKS, NUM_LANDMARKS))
        arrays = {}
        for name, shape in expected.items():
            try:
                arrays[name] = np.array(value[name], dtype=float)
            except (KeyError, TypeError, ValueError):
                raise InputError(
                    f"{path}: expected an array {name} of shape {shape}, but found none"
                ) from None
            if arrays[name].shape != shape:
                raise InputError(f"{path}: expected {name} of shape {shape}, but got {arrays[name].shape}")
        shapes = Shapes(arrays["mean"], arrays["covariance"], arrays["count"].astype(int))
        return cls(shapes, arrays["position"], arrays["sigma"], arrays["fused"])


def measure(instances: Instances) -> Homogeneity:
    """Measure how alike the landmarks are, from labelled instances (of the training split)."""
    shapes = category_shapes(instances)
    position, sigma = position_distance(shapes), sigma_distance()
    return Homogeneity(shapes, position, sigma, fuse(position, sigma))


def category_shapes(instances: Instances, *, iterations: int = 10) -> Shapes:
    """Mean shape and spread of every category, all views together.

    Every instance, and its mirror image, is laid on its category's mean by the best shift, rotation and scale
    over its labelled landmarks (generalised Procrustes), so neither camera nor cropping enters.
    """
    mean = np.full((NUM_CATEGORIES, MAX_LANDMARKS, 2), np.nan)
    covariance = np.full((NUM_CATEGORIES, MAX_LANDMARKS, 2, 2), np.nan)
    count = np.zeros((NUM_CATEGORIES, MAX_LANDMARKS), int)
    for item in CATEGORIES:
        points = instances.keypoints[instances.category_id == item.id][:, : item.num_landmarks]
        labelled = points[..., 2] > 0
        enough = labelled.sum(1) >= MIN_LABELLED
        points, labelled = points[enough, :, 0] + 1j * points[enough, :, 1], labelled[enough]
        if len(points) == 0:
            continue
        flip = item.flip_indices
        points = np.concatenate([points, -points[:, flip].conj()])  # x -> -x: mirrored instances
        labelled = np.concatenate([labelled, labelled[:, flip]])
        own = np.s_[item.id - 1, : item.num_landmarks]
        mean[own], covariance[own] = _procrustes(points, labelled, iterations)
        count[own] = labelled.sum(0) // 2
    return Shapes(mean, covariance, count)


def _procrustes(points: np.ndarray, labelled: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (K, 2) and covariance (K, 2, 2) of complex points x + iy (N, K), where labelled (N, K)."""
    aligned = _standardise(points, labelled)
    for _ in range(iterations):
        mean = _masked_mean(aligned, labelled)
        mean = _standardise(mean[None], np.isfinite(mean)[None])[0]
        aligned = _fit(points, labelled, mean)
    mean = _masked_mean(aligned, labelled)
    offset = np.where(labelled, aligned - mean, 0)
    offset = np.stack([offset.real, offset.imag], -1)
    seen = labelled.sum(0)[:, None, None]
    scatter = np.einsum("nki,nkj->kij", offset, offset) + PRIOR_COUNT * PRIOR_SPREAD**2 * np.eye(2)
    covariance = scatter / (seen + PRIOR_COUNT) + POSITION_FLOOR**2 * np.eye(2)
    return np.stack([mean.real, mean.imag], -1), np.where(seen > 0, covariance, np.nan)


def _masked_mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over the instances in the mask; NaN where there are none."""
    with np.errstate(invalid="ignore"):
        return np.where(mask, values, 0).sum(0) / mask.sum(0)


def _standardise(points: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Shift and scale each instance (N, K) to centre 0 and root mean square radius 1."""
    number = labelled.sum(1, keepdims=True)
    centred = points - np.where(labelled, points, 0).sum(1, keepdims=True) / number
    radius = np.sqrt((np.where(labelled, np.abs(centred), 0) ** 2).sum(1, keepdims=True) / number)
    return centred / np.maximum(radius, 1e-9)


def _fit(points: np.ndarray, labelled: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Lay each instance (N, K) on the mean (K,) by least squares over shift, rotation and scale."""
    target = np.where(labelled, mean, 0)
    number = labelled.sum(1, keepdims=True)
    target_centre = target.sum(1, keepdims=True) / number
    source = points - np.where(labelled, points, 0).sum(1, keepdims=True) / number
    weight = np.where(labelled, source.conj(), 0)
    turn = (weight * (target - target_centre)).sum(1, keepdims=True)
    turn = turn / np.maximum((np.abs(weight) ** 2).sum(1, keepdims=True), 1e-9)
    return turn * source + target_centre


def align(shapes: Shapes, first_id: int, second_id: int) -> tuple[float, float]:
    """Scale and vertical shift that lay the first category's mean shape on the second's.

    All of a grid is tried. A placing costs, over the landmarks of both, the squared distance to the nearest
    counterpart (in the mean unit of the two frames, so that neither is preferred), cut at MATCH_LIMIT: what
    has no counterpart (a sleeve on a vest) should not pull. Mirror symmetry rules out a turn or a side step.
    """
    (first, first_axis), (second, second_axis) = _seen(shapes, first_id), _seen(shapes, second_id)
    moved = first * SCALES[:, None, None, None] + np.array([0.0, 1.0]) * SHIFTS[:, None, None]
    distance = np.linalg.norm(moved[..., :, None, :] - second, axis=-1) / np.sqrt(SCALES)[:, None, None, None]
    distance = np.minimum(np.where(first_axis[:, None] == second_axis, distance, np.inf), MATCH_LIMIT) ** 2
    cost = distance.min(-1).mean(-1) + distance.min(-2).mean(-1)
    scale, shift = np.unravel_index(cost.argmin(), cost.shape)
    return float(SCALES[scale]), float(SHIFTS[shift])


def _seen(shapes: Shapes, category_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of a category's landmarks that were labelled, and whether each lies on the axis of symmetry."""
    seen = shapes.count[category_id - 1] > 0
    on_axis = own_flip_indices()[category_id - 1] == np.arange(MAX_LANDMARKS)
    return shapes.mean[category_id - 1][seen], on_axis[seen]


def position_distance(shapes: Shapes) -> np.ndarray:
    """(294, 294) Hellinger distance of the landmarks' Gaussians after aligning each pair of categories.

    0: the same place with the same spread; 1: no overlap.
    """
    distance = np.full((NUM_LANDMARKS, NUM_LANDMARKS), np.nan)
    own = own_landmark_mask()
    present = [item for item in CATEGORIES if shapes.count[item.id - 1].any()]
    for item in present:
        mean, spread = (
            shapes.mean[item.id - 1][own[item.id - 1]],
            shapes.covariance[item.id - 1][own[item.id - 1]],
        )
        distance[item.slice, item.slice] = hellinger(mean, spread, mean, spread)
    for first, second in combinations(present, 2):
        scale, shift = align(shapes, first.id, second.id)
        a, b = own[first.id - 1], own[second.id - 1]
        block = hellinger(
            shapes.mean[first.id - 1][a] * scale + np.array([0.0, shift]),
            shapes.covariance[first.id - 1][a] * scale**2,
            shapes.mean[second.id - 1][b],
            shapes.covariance[second.id - 1][b],
        )
        distance[first.slice, second.slice], distance[second.slice, first.slice] = block, block.T
    return distance


def hellinger(
    mean_a: np.ndarray, spread_a: np.ndarray, mean_b: np.ndarray, spread_b: np.ndarray
) -> np.ndarray:
    """(A, B) Hellinger distances of Gaussians with means (A, 2), (B, 2), covariances (A, 2, 2), (B, 2, 2)."""
    middle = (spread_a[:, None] + spread_b[None]) / 2
    step = mean_a[:, None] - mean_b[None]
    inverse = np.linalg.inv(middle)
    exponent = np.einsum("abi,abij,abj->ab", step, inverse, step) / 8
    with np.errstate(invalid="ignore"):  # NaN for landmarks that were never labelled
        product = np.linalg.det(spread_a)[:, None] * np.linalg.det(spread_b)[None]
        overlap = product**0.25 / np.sqrt(np.linalg.det(middle)) * np.exp(-exponent)
    return np.sqrt(np.clip(1 - overlap, 0, 1))


def sigma_distance() -> np.ndarray:
    """(294, 294) 1 - exp(-|log sigma_i - log sigma_j|): 0 if equal, 0.5 if one is twice the other."""
    log = np.log(SIGMAS)
    return 1 - np.exp(-np.abs(log[:, None] - log[None]))


def fuse(*distances: np.ndarray) -> np.ndarray:
    """One distance from several cues: two landmarks are as alike as the product of their likenesses."""
    return 1 - np.prod([1 - distance for distance in distances], axis=0)


def split_half(instances: Instances, *, seed: int = 0) -> float:
    """How far two random halves of the instances agree: rank correlation of their fused distances.

    Over all pairs of landmarks of different categories that both halves know; NaN where there are none.
    """
    order = np.random.default_rng(seed).permutation(len(instances))
    halves = [measure(instances.take(order[start::2])).fused for start in (0, 1)]
    row, column = np.triu_indices(NUM_LANDMARKS, 1)
    known = np.isfinite(halves[0][row, column]) & np.isfinite(halves[1][row, column])
    known &= LANDMARK_CATEGORY[row] != LANDMARK_CATEGORY[column]
    if not known.any():
        return float("nan")
    return float(spearmanr(*(half[row, column][known] for half in halves)).statistic)


def separation(distance: np.ndarray, aggregation: Aggregation) -> float:
    """How well a distance agrees with a map: the chance that a merged pair is closer than an unmerged one.

    Over all pairs of landmarks of different categories with a known distance (area under the ROC curve: 0.5
    is chance, 1 is perfect); NaN where the map merges none of them, or all.
    """
    row, column = np.triu_indices(NUM_LANDMARKS, 1)
    keep = (LANDMARK_CATEGORY[row] != LANDMARK_CATEGORY[column]) & np.isfinite(distance[row, column])
    row, column = row[keep], column[keep]
    merged = aggregation.group[row] == aggregation.group[column]
    if merged.all() or not merged.any():
        return float("nan")
    rank = rankdata(-distance[row, column])
    positives = merged.sum()
    wins = rank[merged].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * (len(merged) - positives)))
