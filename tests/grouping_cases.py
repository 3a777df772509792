"""Distances between landmarks, for tests of kps.likeness."""

import numpy as np

from kps.aggregation import Aggregation
from kps.likeness.cues import cue
from kps.schema import NUM_LANDMARKS


def random_distance(seed: int, *, unknown: float = 0.0, skew: float = 1.0) -> np.ndarray:
    """(294, 294) symmetric noise in [0, 1], not equal under the mirror image, a share of it NaN.

    A skew above 1 makes small distances common.
    """
    rng = np.random.default_rng(seed)
    distance = rng.random((NUM_LANDMARKS, NUM_LANDMARKS)) ** skew
    distance[rng.random(distance.shape) < unknown] = np.nan
    distance = np.triu(distance, 1)
    return distance + distance.T


def noisy_distance(planted: Aggregation, *, seed: int, noise: float = 0.15) -> np.ndarray:
    """(294, 294) about 0.25 within the groups of a map and 0.75 between them."""
    rng = np.random.default_rng(seed)
    apart = planted.group[:, None] != planted.group
    noisy = np.clip(0.25 + 0.5 * apart + rng.normal(0, noise, apart.shape), 0, 1)
    return cue("noisy", noisy, "").distance
