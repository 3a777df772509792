#!/usr/bin/env python
"""Time and memory of measuring landmark homogeneity on as many annotations as the paper's training split has.

The annotations are random symmetric shapes, one a category, under changing shift, turn and scale, with noise
and missing landmarks: measuring takes as long on them as on real ones. Needs no data and writes no file.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time

import numpy as np
import orjson

from kps.coco import ATTRIBUTES, Instances
from kps.homogeneity import measure
from kps.schema import CATEGORIES, MAX_LANDMARKS, Category, package_data

NOISE = 0.1  # in shape radii
LABELLED = 0.8  # part of the landmarks that have a label
CHUNK = 4096


def main() -> int:
    """Measure once and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--items", type=int, help="annotations (default: as many as the paper's)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts = np.array(orjson.loads(package_data("paper_tables.json"))["table3"]["num_train"])
    if arguments.items:
        counts = np.maximum(counts * arguments.items // counts.sum(), 1)
    instances = random_instances(counts, arguments.seed)
    before = peak_bytes()
    started = time.perf_counter()
    measure(instances)
    seconds = time.perf_counter() - started
    print(
        f"position, sigma, contour and their fusion on {len(instances):,} annotations: {seconds:.1f} s, "
        f"peak memory {peak_bytes() / 1e9:.2f} GB (annotations alone {before / 1e9:.2f} GB), "
        f"{len(os.sched_getaffinity(0))} cores, numpy threads {os.environ.get('OMP_NUM_THREADS', 'free')}"
    )
    return 0


def random_instances(counts: np.ndarray, seed: int) -> Instances:
    """Garments of each category, as many as `counts` (13,) says."""
    rng = np.random.default_rng(seed)
    total = int(counts.sum())
    category_id = np.repeat([item.id for item in CATEGORIES], counts)
    keypoints = np.zeros((total, MAX_LANDMARKS, 3))
    for item in CATEGORIES:
        rows, shape = np.flatnonzero(category_id == item.id), _symmetric_shape(item, rng)
        for part in np.split(rows, range(CHUNK, len(rows), CHUNK)):
            keypoints[part[0] : part[-1] + 1, : item.num_landmarks] = _photographed(shape, len(part), rng)
    attributes = {name: np.zeros(total, np.int64) for name in ATTRIBUTES}
    attributes["viewpoint"] = rng.choice((1, 2, 3), total, p=(0.1, 0.7, 0.2))
    return Instances(
        annotation_id=np.arange(1, total + 1),
        image_id=np.arange(1, total + 1),
        category_id=category_id,
        bbox_xywh=np.tile([0.0, 0.0, 400.0, 400.0], (total, 1)),
        area=np.full(total, 160_000.0),
        keypoints=keypoints,
        num_keypoints=(keypoints[:, :, 2] > 0).sum(1),
        iscrowd=np.zeros(total, bool),
        attributes=attributes,
        segmentation=((),) * total,
    )


def _symmetric_shape(item: Category, rng: np.random.Generator) -> np.ndarray:
    """Random own landmarks (K,), x + iy, that are their own mirror image."""
    shape = rng.uniform(-1, 1, item.num_landmarks) + 1j * rng.uniform(-1, 1, item.num_landmarks)
    return (shape - shape.conj()[item.flip_indices]) / 2


def _photographed(shape: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """(number, K, 3) own landmarks in px with visibility."""
    scale = rng.uniform(50, 200, (number, 1)) * np.exp(1j * rng.normal(0, 0.2, (number, 1)))
    noise = rng.normal(0, NOISE, (2, number, len(shape)))
    points = scale * (shape + noise[0] + 1j * noise[1]) + rng.uniform(200, 400, (number, 1)) * (1 + 1j)
    labelled = rng.random(points.shape) < LABELLED
    return np.stack([points.real, points.imag, np.full(points.shape, 2.0)], -1) * labelled[..., None]


def peak_bytes() -> int:
    """Most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main())
