"""Mean shapes: where each category's landmarks lie on the garment, whatever the camera did.

Letters: N instances, C = 13 categories, K = 39 own landmarks (padded). A shape lives in its category's own
frame: centred, upright, mirror-symmetric, root mean square radius 1, y downwards. Inside this module a point
is a complex number x + iy, so that a turn with a scale is one factor.
"""

from dataclasses import dataclass

import numpy as np

from kps.data.coco import Instances
from kps.schema import CATEGORIES, MAX_LANDMARKS, NUM_CATEGORIES

MIN_LABELLED = 4  # landmarks an instance needs before its scale and rotation can be trusted
POSITION_FLOOR = 0.05  # in shape radii: no position is known better than this
PRIOR_SPREAD = 0.2  # in shape radii: a rare landmark's spread is pulled towards this,
PRIOR_COUNT = 4  # as if so many instances had it
ITERATIONS = 10  # of the generalised Procrustes analysis, at most
CONVERGED = 1e-4  # in shape radii: the mean moved less than this
CHUNK = 8192  # instances aligned at a time: what is in use stays in the processor's cache


@dataclass(frozen=True)
class Shapes:
    """Where each category's landmarks lie: mean (C, K, 2), covariance (C, K, 2, 2), instances (C, K).

    Mirror images are samples too, so a count is the mean of a landmark's and its mirror image's, rounded up.
    A landmark that was never labelled on either side has a count of 0, a mean and a covariance of NaN.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: np.ndarray


def category_shapes(instances: Instances) -> Shapes:
    """Mean shape and spread of every category.

    Every instance, and its mirror image, is laid on its category's mean by the best shift, rotation and scale
    over its labelled landmarks (generalised Procrustes), so neither camera nor cropping enters.
    """
    mean = np.full((NUM_CATEGORIES, MAX_LANDMARKS, 2), np.nan)
    covariance = np.full((NUM_CATEGORIES, MAX_LANDMARKS, 2, 2), np.nan)
    count = np.zeros((NUM_CATEGORIES, MAX_LANDMARKS), int)
    for item in CATEGORIES:
        rows = np.flatnonzero(instances.category_id == item.id)
        points, labelled = _labelled_points(instances.keypoints, rows, item.num_landmarks)
        if not len(points):
            continue
        own = np.s_[item.id - 1, : item.num_landmarks]
        mean[own], covariance[own] = _procrustes(points, labelled, item.flip_indices)
        seen = labelled.sum(0)
        count[own] = (seen + seen[item.flip_indices] + 1) // 2
    return Shapes(mean, covariance, count)


def _labelled_points(keypoints: np.ndarray, rows: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Of usable instances: points (n, number) complex64 about their centre, and which are labelled."""
    labelled = keypoints[rows, :number, 2] > 0
    rows, labelled = rows[(enough := labelled.sum(1) >= MIN_LABELLED)], labelled[enough]
    points = keypoints[rows, :number, 0] + 1j * keypoints[rows, :number, 1]
    points[~labelled] = 0
    points -= points.sum(1, keepdims=True) / labelled.sum(1, keepdims=True)
    points[~labelled] = 0
    return points.astype(np.complex64), labelled


def _procrustes(points: np.ndarray, labelled: np.ndarray, flip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (K, 2) and covariance (K, 2, 2) of centred points (N, K), 0 where not labelled (N, K).

    An instance and its mirror image are aligned alike, since the mean is symmetric: sums over mirror images
    are the mirrored sums.
    """
    mean = _sums(points, labelled, None, flip)[0]
    for _ in range(ITERATIONS):
        before, mean = mean, _sums(points, labelled, _standard(mean), flip)[0]
        if np.nanmax(np.abs(_standard(mean) - _standard(before))) < CONVERGED:
            break
    mean, square, absolute, seen = _sums(points, labelled, _standard(mean), flip)
    # E[x^2 - y^2 + 2ixy] and E[x^2 + y^2] about the mean give the three numbers of a covariance.
    square, absolute = square - mean**2, absolute - np.abs(mean) ** 2
    scatter = np.stack([absolute + square.real, square.imag, square.imag, absolute - square.real], -1) / 2
    scatter = scatter.reshape(-1, 2, 2) * seen[:, None, None] + PRIOR_COUNT * PRIOR_SPREAD**2 * np.eye(2)
    covariance = scatter / (seen + PRIOR_COUNT)[:, None, None] + POSITION_FLOOR**2 * np.eye(2)
    return np.stack([mean.real, mean.imag], -1), np.where(seen[:, None, None] > 0, covariance, np.nan)


def _sums(
    points: np.ndarray, labelled: np.ndarray, target: np.ndarray | None, flip: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means of aligned points z, of z^2 and |z|^2 over instances and mirror images, and how many there are.

    With a target (K,) instances are laid on it; without one they are only scaled to radius 1.
    """
    total = np.zeros((3, points.shape[1]), complex)
    for start in range(0, len(points), CHUNK):
        part = points[start : start + CHUNK], labelled[start : start + CHUNK]
        z = _scaled(*part) if target is None else _fit(*part, target)
        total += z.sum(0), (z * z).sum(0), (z.real**2 + z.imag**2).sum(0)
    seen = labelled.sum(0)
    both = seen + seen[flip]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (total[0] - total[0].conj()[flip]) / both  # x + iy mirrored is -conj
        square = (total[1] + total[1].conj()[flip]) / both
        absolute = (total[2] + total[2][flip]).real / both
    return mean, square, absolute, both


def _scaled(points: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Centred points (N, K) at root mean square radius 1, 0 where not labelled."""
    radius = np.sqrt((points.real**2 + points.imag**2).sum(1, keepdims=True) / labelled.sum(1, keepdims=True))
    return points / np.maximum(radius, np.float32(1e-6))


def _standard(mean: np.ndarray) -> np.ndarray:
    """A mean shape (K,) with centre 0 and radius 1 over what is known of it."""
    known = np.isfinite(mean)
    centred = mean - mean[known].mean()
    return centred / max(float(np.sqrt((np.abs(centred[known]) ** 2).mean())), 1e-9)


def _fit(points: np.ndarray, labelled: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Lay centred points (N, K) on the target (K,) by least squares over shift, rotation and scale."""
    target = np.nan_to_num(target).astype(np.complex64)
    centre = (labelled @ target / labelled.sum(1))[:, None].astype(np.complex64)
    # sum conj(p) (t - centre) = sum conj(p) t, as the points are centred over the same landmarks
    turn = (points.conj() @ target)[:, None]
    turn = turn / np.maximum((points.real**2 + points.imag**2).sum(1, keepdims=True), np.float32(1e-6))
    return np.where(labelled, turn * points + centre, 0)
