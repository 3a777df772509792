"""The detector: its data in mmdet's registry, its configuration for a run, and at work on photos."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS, MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from kps.configs import for_run, lay_over, load_config
from kps.data.coco import Coco, learnt_part, load_coco
from kps.data.photos import broadened, read_photo
from kps.files import InputError, progress
from kps.models import backbones  # noqa: F401  (fills the registry)
from kps.models.checkpoints import load_into, load_weights, stored_config
from kps.results.detections import Detections, join_detections, photo_boxes
from kps.schema import CATEGORIES


@DATASETS.register_module()
class GarmentBoxes(BaseDetDataset):
    """Photos with their garments; label = category id - 1, whatever the file calls the categories.

    mmdet's own COCO data set finds categories by name, and names differ between copies of DeepFashion2.
    """

    METAINFO = {"classes": tuple(category.name for category in CATEGORIES)}  # noqa: RUF012

    def __init__(self, held_out: float = 0.0, **kwargs: Any) -> None:
        self.held_out = held_out
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """Return a row per photo, in training only of those that hold a garment; InputError: no garment, or malformed.

        Boxes are x1, y1, x2, y2 px, clipped to the photo; where there is no polygon, the box stands in.
        """
        coco = learnt_part(load_coco(Path(self.ann_file)), self.held_out)
        rows = photo_rows(coco, Path(self.data_prefix["img"]))
        by_id, garments = {row["img_id"]: row for row in rows}, coco.instances
        for i in range(len(garments)):
            row = by_id[int(garments.image_id[i])]
            x, y, w, h = garments.bbox_xywh[i]
            (x1, x2), (y1, y2) = np.clip([x, x + w], 0, row["width"]), np.clip([y, y + h], 0, row["height"])
            if x2 - x1 < 1 or y2 - y1 < 1:
                continue
            polygons = [polygon for polygon in garments.segmentation[i] if len(polygon) >= 6 and len(polygon) % 2 == 0]
            garment = {"bbox": [float(x1), float(y1), float(x2), float(y2)], "ignore_flag": int(garments.iscrowd[i])}
            garment["bbox_label"] = int(garments.category_id[i]) - 1
            garment["mask"] = polygons or [[x1, y1, x2, y1, x2, y2, x1, y2]]
            row["instances"].append(garment)
        if not any(row["instances"] for row in rows):
            raise InputError(f"{self.ann_file}: expected garments to train on, but it holds none")
        return rows if self.test_mode else [row for row in rows if row["instances"]]


def photo_rows(coco: Coco, image_dir: Path) -> list[dict]:
    """Return a row per photo in mmdet's notation, without garments."""
    return [
        {"img_id": image.id, "img_path": str(image_dir / image.file_name), "height": image.height, "width": image.width}
        | {"upright": image.upright, "instances": []}
        for image in coco.images
    ]


@TRANSFORMS.register_module()
class LoadPhoto(BaseTransform):
    """Decode a photo to (H, W, 3) BGR; black is put below or beside narrow strips."""

    def transform(self, results: dict) -> dict:
        """Add the pixels; InputError: see `kps.data.photos.read_photo`."""
        size_wh, path = (results["width"], results["height"]), Path(results["img_path"])
        image = broadened(read_photo(path, upright=results["upright"], size_wh=size_wh, bgr=True))
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results


@TRANSFORMS.register_module()
class Remembered(BaseTransform):
    """Run transforms that draw nothing by lot once a photo, and keep their results in memory from then on.

    For small inputs: decoding and scaling would take longer than training on them.
    """

    def __init__(self, transforms: list[dict]) -> None:
        self.transforms = Compose(transforms)
        self.results: dict[int, dict] = {}

    def transform(self, results: dict) -> dict:
        """Return the transformed photo; the caller may change it in place."""
        key = results["img_id"]
        if key not in self.results:
            self.results[key] = self.transforms(results)
            self.results[key].pop("instances", None)
        return copy.deepcopy(self.results[key])


def detector_config(config: str | Path, *, options: Mapping[str, Any] | None = None, **run: Any) -> Config:
    """Return what `train` takes, of a shipped name or a file; `run` as for `for_run`, `options` by dotted key at last.

    InputError: an unknown configuration, or a value out of range.
    """
    loaded = load_config(config, "detectors")
    for_run(loaded, **run)
    if loaded.pretrained is None and "frozen_stages" in loaded.model.backbone:  # what is frozen must have been learnt
        loaded.model.backbone.update(frozen_stages=-1, norm_eval=False)
    return lay_over(loaded, options)


Ready = tuple[nn.Module, Compose]  # a detector, and the transforms that its photos go through


def build_detector(checkpoint: Path, *, augment: bool = False) -> Ready:
    """Return a trained detector; InputError: the checkpoint is absent, refused or not of a detector."""
    config = stored_config(checkpoint)
    if config.get("default_scope") != "mmdet":
        raise InputError(f"{checkpoint}: expected a detector, but got a checkpoint of {config.get('default_scope')}")
    return new_detector(config, load_weights(checkpoint), augment=augment, where=checkpoint)


def new_detector(
    config: Config, weights: dict[str, Tensor], *, augment: bool = False, where: Path | str = "weights"
) -> Ready:
    """Return a detector of its training's configuration, ready to predict; `where` names the weights in messages.

    InputError: the weights are not of this model, or with `augment` it says nothing of several scales (`tta_pipeline`).
    """
    init_default_scope("mmdet")
    model = MODELS.build(config.model)
    load_into(model, where, weights)
    if getattr(model, "with_mask", False):
        model.roi_head.mask_head = None  # masks help in training; nothing downstream reads them
    pipeline = config.test_dataloader.dataset.pipeline
    if augment:
        if "tta_model" not in config:
            raise InputError("expected tta_model and tta_pipeline to test at several scales, but the model has none")
        model, pipeline = MODELS.build({**config.tta_model, "module": model}), config.tta_pipeline
    loads = [{"type": "LoadPhoto"} if one["type"] == "LoadImageFromFile" else one for one in pipeline]
    return model.to(get_device()).eval(), Compose(loads)


def detect(
    checkpoint: Path | Ready,
    coco: Coco,
    image_dir: Path,
    *,
    augment: bool = False,
    batch_size: int = 8,
    score_threshold: float = 0.01,
) -> Detections:
    """Find the garments on every photo of `coco`, whose instances are not looked at.

    Several processes (`kps.models.launch`) share the photos and all return the whole: boxes in pixels of the original
    photo, clipped to it, in the order of the photos; ids count from 1. InputError: see `build_detector`; or a photo is
    absent or cannot be decoded (it is named).

    Args:
        checkpoint: a final checkpoint, or what `new_detector` returns.
        augment: test at several scales, upright and mirrored (paper: 3 scales); many times slower.
        score_threshold: boxes below are dropped (0.01 in the paper's detections).
    """
    model, pipeline = checkpoint if isinstance(checkpoint, tuple) else build_detector(checkpoint, augment=augment)
    rows = photo_rows(coco, Path(image_dir))
    rank, world_size = get_dist_info()
    order = np.arange(len(rows))[rank::world_size]
    batches = [[rows[i] for i in order[k : k + batch_size]] for k in range(0, len(order), batch_size)]
    found = []
    for batch in progress(batches, desc="detecting garments", unit="batch"):
        with torch.inference_mode():
            samples = model.test_step(pseudo_collate([pipeline(dict(row)) for row in batch]))
        for row, sample in zip(batch, samples, strict=True):
            result = sample.pred_instances
            boxes = (part.cpu().numpy() for part in (result.bboxes, result.labels, result.scores))
            found.append(photo_boxes(row["img_id"], (row["width"], row["height"]), *boxes, score_threshold))
    if world_size > 1:
        parts = all_gather_object(found)
        found = [parts[i % world_size][i // world_size] for i in range(len(rows))]
    return join_detections(found)
