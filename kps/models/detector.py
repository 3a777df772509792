"""The detector: its configuration for a run, and at work on photos."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.registry import init_default_scope
from torch import nn

from kps.configs import for_run, lay_over, load_config
from kps.data.coco import MIN_BOX_SIDE, Coco
from kps.files import InputError, progress
from kps.models import detector_data
from kps.models.checkpoints import load_into, stored_config
from kps.results.detections import Detections


def detector_config(config: str | Path, *, options: Mapping[str, Any] | None = None, **run: Any) -> Config:
    """Return what `train` takes; InputError: an unknown configuration, or a value out of range.

    Args:
        config: a shipped name such as "htc_demo", or a file of one's own.
        options: overrides by dotted key; they come last.
        run: of `kps.configs.for_run`.
    """
    loaded = load_config(config, "detectors")
    for_run(loaded, **run)
    if loaded.pretrained is None and "frozen_stages" in loaded.model.backbone:  # what is frozen must have been learnt
        loaded.model.backbone.update(frozen_stages=-1, norm_eval=False)
    return lay_over(loaded, options)


def build_detector(checkpoint: Path, *, augment: bool = False) -> tuple[nn.Module, Compose]:
    """Return a trained detector, ready to predict boxes, and the transforms its photos go through.

    InputError: the checkpoint is absent, refused or not of a detector.

    Args:
        augment: test at several scales, upright and mirrored, and merge the boxes.
    """
    config = stored_config(checkpoint)
    if config.get("default_scope") != "mmdet":
        raise InputError(f"{checkpoint}: expected a detector, but got a checkpoint of {config.get('default_scope')}")
    init_default_scope("mmdet")
    model = MODELS.build(config.model)
    load_into(model, checkpoint)
    return ready(model, config, augment=augment)


def ready(model: nn.Module, config: Config, *, augment: bool = False) -> tuple[nn.Module, Compose]:
    """Return a detector made ready to predict boxes, and the transforms its photos go through.

    InputError: the configuration says nothing of testing at several scales (`tta_pipeline`).
    """
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
    checkpoint: Path | tuple[nn.Module, Compose],
    coco: Coco,
    image_dir: Path,
    *,
    augment: bool = False,
    batch_size: int = 8,
    score_threshold: float = 0.01,
    max_per_image: int = 100,
) -> Detections:
    """Find the garments on every photo of `coco`, whose instances are not looked at.

    InputError: see `build_detector`; or a photo is absent or cannot be decoded (it is named).

    Args:
        checkpoint: a final checkpoint, or what `ready` returns.
        augment: test at several scales, upright and mirrored (paper: 3 scales); many times slower.
        score_threshold: boxes below are dropped (0.01 in the paper's detections).
        max_per_image: boxes kept a photo, best first.

    Several processes (`kps.models.launch`) share the photos and all return the whole.

    Returns:
        Boxes in pixels of the original photo, clipped to it, in the order of the photos; ids count from 1.
    """
    if not isinstance(checkpoint, tuple):
        checkpoint = build_detector(checkpoint, augment=augment)
    model, pipeline = checkpoint
    rows = detector_data.photo_rows(coco, Path(image_dir))
    rank, world_size = get_dist_info()
    order = np.arange(len(rows))[rank::world_size]
    batches = [[rows[i] for i in order[k : k + batch_size]] for k in range(0, len(order), batch_size)]
    found = [(np.zeros(0), np.zeros(0), np.zeros((0, 4)), np.zeros(0))]
    for batch in progress(batches, desc="detecting garments", unit="batch"):
        for row, (boxes, labels, scores) in zip(batch, _predict(model, pipeline, batch), strict=True):
            keep = np.flatnonzero(scores >= score_threshold)[:max_per_image]
            boxes = _clip(boxes[keep], row["width"], row["height"])
            keep, boxes = keep[_has_area(boxes)], boxes[_has_area(boxes)]
            found.append((np.full(len(keep), row["img_id"]), labels[keep] + 1, boxes, scores[keep]))
    if world_size > 1:
        found = _in_order(all_gather_object(found), [row["img_id"] for row in rows])
    image_id, category_id, boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Detections(
        detection_id=np.arange(1, len(scores) + 1),
        image_id=image_id.astype(np.int64),
        category_id=category_id.astype(np.int64),
        bbox_xywh=np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1),
        score=scores.astype(np.float64),
    )


def _in_order(found: list[list[tuple]], image_ids: list[int]) -> list[tuple]:
    """Put the photos that several processes have shared into the order of the file."""
    place = {image_id: number for number, image_id in enumerate(image_ids)}
    parts = [part for of_process in found for part in of_process]
    return sorted(parts, key=lambda part: place[int(part[0][0])] if len(part[0]) else -1)


def _predict(model: nn.Module, pipeline: Compose, rows: list[dict]) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield each photo's boxes (N, 4) x1 y1 x2 y2 px, labels (N,) and scores (N,), best first."""
    inputs = pseudo_collate([pipeline(dict(row)) for row in rows])
    with torch.inference_mode():
        samples = model.test_step(inputs)
    for sample in samples:
        result = sample.pred_instances
        order = torch.argsort(result.scores, descending=True, stable=True)
        yield tuple(part[order].cpu().numpy() for part in (result.bboxes, result.labels, result.scores))


def _clip(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.clip(boxes.astype(np.float64), 0, [width, height, width, height])


def _has_area(boxes: np.ndarray) -> np.ndarray:
    """(N,) whether a box is as wide and high as a box file can hold."""
    return (boxes[:, 2:] - boxes[:, :2] >= MIN_BOX_SIDE).all(axis=1)
