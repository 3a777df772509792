"""Garments of known shape for the tests of landmark homogeneity."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from builders import make_coco

from kps.data.coco import Instances
from kps.schema import CATEGORIES, MAX_LANDMARKS

VEST, SLING = 5, 6  # both have 15 landmarks with the same flip pairs; outlines differ at the strap tops
VEST_DRESS, SLING_DRESS = 12, 13
VESTS, SLINGS = CATEGORIES[VEST - 1].slice, CATEGORIES[SLING - 1].slice


def symmetric_shape(kind: int) -> np.ndarray:
    """(K, 2) places that are their own mirror image, the same for categories of the same numbering."""
    rng, item = np.random.default_rng(0), CATEGORIES[kind - 1]
    shape = np.column_stack([-rng.uniform(0.2, 1, MAX_LANDMARKS), rng.uniform(-1, 1, MAX_LANDMARKS)])
    shape = shape[: item.num_landmarks]
    for left, right in item.flip_pairs:
        shape[right - 1] = shape[left - 1] * (-1, 1)
    shape[item.flip_indices == np.arange(item.num_landmarks), 0] = 0
    return shape


def make_garments(kinds: tuple[int, ...] = (VEST, SLING), *, each: int = 6, noise: float = 0.0) -> Instances:
    """Garments of `symmetric_shape` under changing shift, turn and scale; all landmarks visible."""
    rng = np.random.default_rng(1)
    with TemporaryDirectory() as folder:
        instances = make_coco(Path(folder), tuple(np.repeat(kinds, each).tolist())).instances
    keypoints = np.zeros_like(instances.keypoints)
    for row, kind in enumerate(instances.category_id):
        shape = symmetric_shape(kind)
        angle, scale, shift = rng.uniform(-0.4, 0.4), rng.uniform(50, 200), rng.uniform(100, 300, 2)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        points = shape @ turn * scale + shift + rng.normal(0, noise * scale, shape.shape)
        keypoints[row, : len(shape)] = np.column_stack([points, np.full(len(points), 2)])
    return replace(instances, keypoints=keypoints)
