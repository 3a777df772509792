"""The held-out part of train: photos that a run does not learn from, to choose its best weights by.

Validation is never looked at for this: the paper's numbers, chosen on validation, are a little too good.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from torch import Tensor

from kps.data.coco import Coco, load_coco
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


def score(config: Config, weights: dict[str, Tensor], part: dict) -> float:
    """Return the average precision of a run's weights on the held-out part; -1 where nothing in it counts.

    `part` holds "coco_file", "image_dir", "share", and "category_id" (or None).
    """
    from kps.evaluation.scores import evaluate
    from kps.models.detector import detect, new_detector
    from kps.models.landmarks import LandmarkModel, predict_landmarks
    from kps.results.detections import ground_truth_detections

    whole, photos = load_coco(Path(part["coco_file"])), Path(part["image_dir"])
    truth = whole.subset(image_ids=held_out_images(whole, part["share"]), category_id=part["category_id"])
    if config.default_scope == "mmpose":
        model = LandmarkModel(config)
        model.model.load_state_dict(weights)
        found = predict_landmarks(model, ground_truth_detections(truth), truth, photos, flip_test=False)
        value = evaluate(truth, found).AP
    else:
        value = evaluate(truth, detect(new_detector(config, weights), truth, photos)).AP
    return value if value == value else -1.0
