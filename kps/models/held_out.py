"""The held-out part of train: photos that a run does not learn from, to choose its best weights by.

Validation is never looked at for this: the paper's numbers, chosen on validation, are a little too good.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kps.data.coco import Coco
from kps.files import InputError
from kps.models.checkpoints import stored_config

SPLIT_SEED = 20200615  # fixed, so that all runs on one data set hold out the same photos


def held_out_images(coco: Coco, share: float) -> set[int]:
    """Return the ids of a random share of the photos."""
    order = np.random.default_rng(SPLIT_SEED).permutation(coco.image_ids)
    return set(order[: round(share * len(order))].tolist())


def learnt_part(coco: Coco, share: float) -> Coco:
    """Return the photos that are left to learn from."""
    return coco.subset(image_ids=set(coco.image_ids.tolist()) - held_out_images(coco, share))


def check_start(config: Mapping[str, Any]) -> None:
    """Raise InputError where the weights to start from have learnt from photos that are now to choose by."""
    share, start = _share(config), config["load_from"]
    if share and start and (before := _share(stored_config(start))) < share:
        raise InputError(
            f"{start}: trained with held_out {before}, so it has learnt from photos by which {share} would "
            "choose the epoch; train it with as much, or take less here"
        )


def _share(config: Mapping[str, Any]) -> float:
    parts = [hook["part"] for hook in config.get("custom_hooks", ()) if hook["type"] == "SelectionHook"]
    return parts[0]["share"] if parts else 0.0
