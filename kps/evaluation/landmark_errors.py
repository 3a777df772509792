"""What is wrong with each landmark of a garment that was found, after Ronchi and Perona (ICCV 2017).

Their kinds, on COCO's people, carry over to garments: good (similarity from 0.85), jitter (from 0.5),
inversion (near the place of the mirrored landmark), swap (near a landmark of another garment on the photo),
miss (near nothing). Similarity is the landmark's own part of the OKS.

Letters: M garments found, 39 own landmarks (padded).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from kps.data.coco import Instances
from kps.evaluation.similarity import similarity_at
from kps.schema import own_flip_indices

GOOD, JITTER, INVERSION, SWAP, MISS = KINDS = ("good", "jitter", "inversion", "swap", "miss")
UNLABELLED = -1
NEAR, GOOD_FROM = 0.5, 0.85
PAIRS_AT_ONCE = 2_000  # of garments on one photo: each takes 39 x 39 distances


def landmark_errors(items: Instances, item: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Judge each labelled landmark of found garments: (M, 39) index into KINDS, UNLABELLED elsewhere.

    Args:
        items: all G items of the ground truth.
        item: (M,) rows of the items that were found.
        keypoints: (M, 39, 2 or 3) px, what was found.
    """
    places, truth = keypoints[:, :, :2], items.keypoints[item]
    kind, area = items.category_id[item], items.area[item]
    own = similarity_at(_squared(places, truth), kind, area)
    mirror = own_flip_indices()[kind - 1]
    mirrored = np.take_along_axis(truth, mirror[:, :, None], axis=1)
    has_mirror = (mirrored[:, :, 2] > 0) & (mirror != np.arange(mirror.shape[1]))
    inverted = np.where(has_mirror, similarity_at(_squared(places, mirrored), kind, area), 0)
    swapped = similarity_at(_squared_to_others(items, item, places), kind, area)
    found = {
        GOOD: own >= GOOD_FROM,
        JITTER: own >= NEAR,
        INVERSION: (inverted >= NEAR) & (inverted >= swapped),
        SWAP: swapped >= NEAR,
        MISS: np.ones_like(own, dtype=bool),
    }
    first = np.argmax([found[kind] for kind in KINDS], axis=0)
    return np.where(truth[:, :, 2] > 0, first, UNLABELLED).astype(np.int8)


def _squared(places: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(M, 39) px^2."""
    return ((places - truth[:, :, :2]) ** 2).sum(axis=2)


def _squared_to_others(items: Instances, item: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(M, 39) px^2 from each place to the nearest labelled landmark of another item there, or infinity."""
    nearest = np.full(places.shape[:2], np.inf)
    pairs = pd.merge(
        pd.DataFrame({"image": items.image_id[item], "found": np.arange(len(item)), "own": item}),
        pd.DataFrame({"image": items.image_id, "other": np.arange(len(items))}),
        on="image",
    )
    pairs = pairs[pairs["own"] != pairs["other"]]
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        found, other = pairs[["found", "other"]].to_numpy()[start : start + PAIRS_AT_ONCE].T
        truth = items.keypoints[other]
        squared = sum(
            (places[found][:, :, None, axis] - truth[:, None, :, axis]) ** 2 for axis in range(2)
        )  # (P, 39, 39)
        squared = np.where(truth[:, None, :, 2] > 0, squared, np.inf).min(axis=2)
        np.minimum.at(nearest, found, squared)
    return nearest
