"""The landmark model: its configuration for a run, and at work from boxes on photos to landmarks in their pixels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmpose.models  # noqa: F401  (fills the registry)
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS
from torch import Tensor, nn

from kps import schema
from kps.aggregation import Aggregation
from kps.configs import for_run, lay_over, load_config
from kps.data.coco import Coco
from kps.files import InputError
from kps.models import landmark_head  # noqa: F401  (fills the registry)
from kps.models.checkpoints import load_into, stored_config
from kps.models.landmark_data import aggregation_of
from kps.models.ops import memory_format
from kps.results.detections import Detections
from kps.results.locating import locate_all, per_category, scored
from kps.results.predictions import Predictions


def landmark_config(
    config: str | Path,
    *,
    aggregation: Aggregation,
    category_id: int | None = None,
    hflip_train: bool = False,
    options: Mapping[str, Any] | None = None,
    **run: Any,
) -> Config:
    """Return what `train` takes, of a shipped name or a file; `run` as for `for_run`, `options` by dotted key at last.

    InputError: an unknown configuration or category, or a value out of range.

    Args:
        aggregation: groups that are the model's channels; they travel in the checkpoint.
        category_id: finetune on this category only, with what the configuration's `finetune` lays over it.
        hflip_train: mirror half of the crops.
    """
    loaded = load_config(config, "landmarks")
    if category_id is not None:
        loaded.merge_from_dict(loaded.get("finetune", {}))
    groups = (aggregation.group + 1).tolist()
    for loader in (loaded.train_dataloader, loaded.val_dataloader, loaded.test_dataloader):
        loader.dataset.aggregation = groups
    dataset = loaded.train_dataloader.dataset
    dataset.category_id = None if category_id is None else schema.category(category_id).id
    loaded.model.head.out_channels = aggregation.num_groups
    if loaded.model.head.type == "OwnLandmarkHead":
        loaded.model.head.aggregation = groups
    if hflip_train:
        for transform in dataset.pipeline:
            if transform.type == "GarmentCrop":
                transform.flip = 0.5
    for_run(loaded, category_id=category_id, **run)
    return lay_over(loaded, options)


class LandmarkModel:
    """A trained model of its training's configuration, whatever its head, and the transforms that make its input."""

    def __init__(self, config: Config, device: str | None = None) -> None:
        self.aggregation = aggregation_of(config.train_dataloader.dataset.aggregation)
        with DefaultScope.overwrite_default_scope("mmpose"):
            self.model: nn.Module = MODELS.build(config.model)
            self.crop = Compose(config.test_dataloader.dataset.pipeline)
        self.meta = {"flip_indices": self.aggregation.flip_indices, "dataset_name": "garments"}
        self.model.to(device or get_device(), memory_format=memory_format()).eval()

    @classmethod
    def load(
        cls, checkpoint: Path, device: str | None = None, weights: dict[str, Tensor] | None = None
    ) -> "LandmarkModel":
        """Return the model of a final checkpoint, its `weights` exchanged if given; InputError: no such checkpoint."""
        config = stored_config(checkpoint)
        if config.get("default_scope") != "mmpose":
            raise InputError(f"{checkpoint}: expected a landmark model, but it is another model's")
        model = cls(config, device)
        load_into(model.model, checkpoint, weights)
        return model

    @torch.inference_mode()
    def locate(self, crops: list[dict], *, flip_test: bool) -> tuple[np.ndarray, np.ndarray]:
        """As `Locator.locate`, of N items of `crop`; `flip_test` averages with the mirrored crop."""
        self.model.test_cfg["flip_test"] = flip_test
        samples = self.model.test_step(pseudo_collate(crops))
        category_id = np.array([sample.category_id for sample in samples])
        found = [sample.pred_instances for sample in samples]
        grouped = [np.concatenate([one.keypoints, one.keypoint_scores[..., None]], 2) for one in found]
        own = self.aggregation.expand(category_id, np.concatenate(grouped).astype(float))
        if "category_scores" not in found[0]:
            return own, np.ones(len(own))
        kinds = np.concatenate([one.category_scores for one in found])
        return own, kinds[np.arange(len(kinds)), category_id - 1]


def predict_landmarks(
    checkpoints: Path | LandmarkModel | dict[int, Path | LandmarkModel],
    detections: Detections,
    coco: Coco,
    image_dir: Path,
    *,
    flip_test: bool = True,
    crop_scales: Sequence[float] = (1.0,),
    batch_size: int = 32,
) -> Predictions:
    """Locate the landmarks of every detection, in the detections' order.

    Where the model tells categories from crops, its word counts in the scores (`instance_score`). Several processes
    (`kps.models.launch`) share the photos and all return the whole. InputError: a photo that is absent or no image, an
    image id that is not in `coco`, a category without a checkpoint, or a file that is no checkpoint of this model.

    Args:
        checkpoints: one final checkpoint, or one for each category id; or models in memory in their place.
        detections: boxes in px with category and score, from a detector or the ground truth.
        coco: names the photos, which lie in `image_dir`.
        flip_test: average with the mirrored crop (paper, Table 2).
        crop_scales: by which boxes grow; what crops of several sizes show is averaged.
        batch_size: crops a forward pass.
    """
    models = per_category(checkpoints, detections, LandmarkModel.load)
    rank, world_size = get_dist_info()
    how = {"flip_test": flip_test, "crop_scales": crop_scales, "batch_size": batch_size}
    found = locate_all(models, detections, coco, image_dir, part=slice(rank, None, world_size), **how)
    if world_size > 1:  # a detection is all zeros in every process but the one that had its photo
        found = tuple(sum(all_gather_object(part)) for part in found)
    return scored(detections, *found)
