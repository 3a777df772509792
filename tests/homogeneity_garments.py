"""Garments of known shape for the tests of landmark homogeneity."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from builders import make_coco

from kps.data.coco import Instances
from kps.schema import CATEGORIES, MAX_LANDMARKS, Category

VEST, SLING = 5, 6  # both have 15 landmarks with the same flip pairs; outlines differ at the strap tops
VEST_DRESS, SLING_DRESS = 12, 13


def symmetric_shape(item: Category, half: np.ndarray) -> np.ndarray:
    """(K, 2) places that are their own mirror image, from those of one side (at least K, 2)."""
    shape = half[: item.num_landmarks].copy()
    for left, right in item.flip_pairs:
        shape[right - 1] = shape[left - 1] * (-1, 1)
    shape[item.flip_indices == np.arange(item.num_landmarks), 0] = 0
    return shape


def make_garments(
    folder: Path, kinds: tuple[int, ...] = (VEST, SLING), *, each: int = 6, seed: int = 0, noise: float = 0.0
) -> Instances:
    """Garments of the same symmetric shape under changing shift, turn and scale; all landmarks visible."""
    rng = np.random.default_rng(seed)
    half = np.column_stack([-rng.uniform(0.2, 1, MAX_LANDMARKS), rng.uniform(-1, 1, MAX_LANDMARKS)])
    instances = make_coco(folder, tuple(kind for kind in kinds for _ in range(each))).instances
    keypoints = np.zeros_like(instances.keypoints)
    for row, kind in enumerate(instances.category_id):
        item = CATEGORIES[kind - 1]
        shape = symmetric_shape(item, half)
        angle, scale, shift = rng.uniform(-0.4, 0.4), rng.uniform(50, 200), rng.uniform(100, 300, 2)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        points = shape @ turn * scale + shift + rng.normal(0, noise * scale, shape.shape)
        keypoints[row, : item.num_landmarks] = np.column_stack([points, np.full(len(points), 2)])
    return replace(instances, keypoints=keypoints)
