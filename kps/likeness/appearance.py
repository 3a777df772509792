"""The appearance cue: do photos show the same at two landmarks?

Letters: M sampled places, mirrored ones with them 2M; D numbers describe each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kps.likeness.cue import Cue, cue
from kps.likeness.descriptors import Descriptors
from kps.schema import LANDMARK_CATEGORY, NUM_LANDMARKS

COMPONENTS = 64  # principal components kept
MIN_SAMPLES = 5  # places a landmark needs to be compared
CHUNK = 512  # places compared with all others at a time


@dataclass(frozen=True)
class Comparison:
    """How alike the samples of landmarks look, (294, 294) each; NaN where a landmark has too few samples.

    Attributes:
        retrieval: rate at which the place in column's category that looks most like one of the row's landmark
            is the column's landmark, photos of their own excepted.
        overlap: mean of a Gaussian kernel over pairs of places of different photos, relative to the
            landmarks' own means: the cosine of their distributions' kernel mean embeddings.
    """

    retrieval: np.ndarray
    overlap: np.ndarray


def appearance_cue(descriptors: Descriptors, *, name: str = "appearance", of: str = "gradients") -> Cue:
    """Distance of landmarks by what photos show there.

    Args:
        name: of the cue, for descriptors of another kind.
        of: what was described, for the cue's meaning.
    """
    compared = compare(descriptors)
    return cue(
        name,
        1 - (compared.retrieval + compared.overlap) / 2,
        f"1 - the mean of two likenesses of {of} at the landmarks: the rate at which the nearest place in "
        "the other category is the landmark, and the overlap of the two distributions (no unit).",
    )


def compare(descriptors: Descriptors) -> Comparison:
    """Compare every place with every other of another photo, mirror images included."""
    values, landmark, image_id = descriptors.both()
    values = _principal_components(values)
    order = np.argsort(landmark, kind="stable")  # so that landmarks and categories are slices
    values, landmark, image_id = values[order], landmark[order], image_id[order]
    original = order < len(order) // 2
    bounds = np.searchsorted(landmark, np.arange(NUM_LANDMARKS + 1))
    bandwidth = _median_distance(values)
    found, kernel, pairs = np.zeros((3, NUM_LANDMARKS, NUM_LANDMARKS))
    queries = np.flatnonzero(original)  # mirrored queries would repeat these, mirrored
    for start in range(0, len(queries), CHUNK):
        rows = queries[start : start + CHUNK]
        square = _square_distance(values[rows], values)
        other = image_id[rows, None] != image_id
        likeness = np.where(other, np.exp(-square / (2 * bandwidth**2)), 0)
        _add_by_landmark(kernel, landmark[rows], likeness, bounds)
        _add_by_landmark(pairs, landmark[rows], other, bounds)
        square[~other] = np.inf
        _add_nearest(found, landmark, rows, square)
    return _summary(found, kernel, pairs, np.diff(bounds) >= MIN_SAMPLES)


def _summary(found: np.ndarray, kernel: np.ndarray, pairs: np.ndarray, known: np.ndarray) -> Comparison:
    category = LANDMARK_CATEGORY[:, None] == np.arange(1, LANDMARK_CATEGORY.max() + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        retrieval = found / (found @ category)[:, LANDMARK_CATEGORY - 1]
        mean = kernel / pairs
        mean = (mean + mean.T) / 2
        own = np.sqrt(np.diag(mean))
        overlap = np.clip(mean / np.outer(own, own), 0, 1)
    unknown = ~np.outer(known, known)
    retrieval[unknown] = overlap[unknown] = np.nan
    return Comparison(retrieval, overlap)


def _principal_components(values: np.ndarray) -> np.ndarray:
    """(M, D) float32 -> (M, at most COMPONENTS): rotated so that the first numbers vary the most."""
    centred = values - values.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, : -COMPONENTS - 1 : -1]


def _square_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(A, D), (B, D) -> (A, B)."""
    square = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    return np.maximum(square, 0)


def _median_distance(values: np.ndarray) -> float:
    """Median distance of places, the usual bandwidth of a kernel, from an even sample of them."""
    sample = values[:: max(1, len(values) // 1000)]
    square = _square_distance(sample, sample)[np.triu_indices(len(sample), 1)]
    return max(float(np.sqrt(np.median(square))), 1e-9) if len(square) else 1.0


def _add_by_landmark(total: np.ndarray, landmark: np.ndarray, values: np.ndarray, bounds: np.ndarray) -> None:
    """Add (n, 2M) values to total (294, 294): rows by their landmark, columns by the bounds of theirs."""
    sums = np.concatenate([np.zeros((len(values), 1)), values.cumsum(1, dtype=float)], 1)
    np.add.at(total, landmark, np.diff(sums[:, bounds], axis=1))


def _add_nearest(found: np.ndarray, landmark: np.ndarray, rows: np.ndarray, square: np.ndarray) -> None:
    """Count, for each row's landmark, the landmark of the nearest place in each category."""
    category = LANDMARK_CATEGORY[landmark]  # ascending, as landmarks are
    for category_id in np.unique(category):
        low, high = np.searchsorted(category, (category_id, category_id + 1))
        nearest = square[:, low:high].argmin(1)
        reached = np.isfinite(square[np.arange(len(rows)), low + nearest])
        np.add.at(found, (landmark[rows][reached], landmark[low + nearest][reached]), 1)
