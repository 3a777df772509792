"""The held-out part of train: photos that a run does not learn from, to choose its best weights by.

Validation is never looked at for this: the paper's numbers, chosen on validation, are a little too good.
"""

from __future__ import annotations

import numpy as np

from kps.coco import Coco

SPLIT_SEED = 20200615  # fixed, so that all runs on one data set hold out the same photos


def held_out_images(coco: Coco, share: float) -> set[int]:
    """Return the ids of a random share of the photos."""
    order = np.random.default_rng(SPLIT_SEED).permutation(coco.image_ids)
    return set(order[: round(share * len(order))].tolist())


def learnt_part(coco: Coco, share: float) -> Coco:
    """Return the photos that are left to learn from."""
    return coco.subset(image_ids=set(coco.image_ids.tolist()) - held_out_images(coco, share))
