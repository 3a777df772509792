"""The landmark model at work: from boxes on photos to landmarks in the photos' pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import mmpose.models  # noqa: F401  (fills the registry)
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS
from torch import Tensor, nn

from kps import schema
from kps.data.coco import Coco, ImageRow
from kps.data.photos import photo_of
from kps.files import InputError, progress
from kps.models import landmark_dataset, landmark_head  # noqa: F401  (fill the registry)
from kps.models.checkpoints import load_config, load_into
from kps.models.crops import apply_affine, crop_affine, cut_patch, invert_affine
from kps.results.detections import Detections
from kps.results.predictions import Predictions, instance_score


class LandmarkModel:
    """A trained model and the crop that it expects, as its checkpoint says.

    Args:
        config: of the training.
        device: where to run; the GPU where there is one.
    """

    def __init__(self, config: Config, device: str | None = None) -> None:
        self.size_wh = tuple(config.train_dataloader.dataset.size_wh)
        self.padding = float(config.train_dataloader.dataset.padding)
        with DefaultScope.overwrite_default_scope("mmpose"):
            self.model: nn.Module = MODELS.build(config.model)
        self.device = device or get_device()
        self.model.to(self.device).eval()

    @classmethod
    def load(cls, checkpoint: Path, device: str | None = None) -> LandmarkModel:
        """Return the model of a final checkpoint, which carries its configuration.

        Raises:
            InputError: the file is no such checkpoint.
        """
        config = load_config(checkpoint)
        if config.model.get("head", {}).get("type") != "OwnLandmarkHead":
            raise InputError(f"{checkpoint}: expected a landmark model, but it is another model's")
        model = cls(config, device)
        load_into(model.model, checkpoint)
        return model

    @torch.inference_mode()
    def locate(
        self, crops: np.ndarray, category_id: np.ndarray, oks_scale: np.ndarray, *, flip_test: bool
    ) -> np.ndarray:
        """Return own landmarks (N, 39, 3): x, y in input px and confidence 0..1; zeros on padding.

        Args:
            crops: (N, H, W, 3) uint8 RGB.
            category_id: (N,) 1..13; only this category's channels are computed.
            oks_scale: (N, 39) distance in input px at which object keypoint similarity is exp(-1/2).
            flip_test: average with the heatmaps of the mirrored crop.
        """
        kind = torch.as_tensor(category_id, device=self.device)
        maps = self._own_heatmaps(crops, kind)
        if flip_test:
            mirrored = np.ascontiguousarray(crops[:, :, ::-1])
            maps = (maps + self._own_heatmaps(mirrored, kind, flipped=True)) / 2
        stride = torch.tensor([s / m for s, m in zip(self.size_wh, maps.shape[:1:-1], strict=True)]).to(maps)
        scale = torch.as_tensor(oks_scale).to(maps) / stride.mean()
        points_xy, confidence = self.model.head.loss_module.decode(maps, scale)
        points_xy = (points_xy + 0.5) * stride - 0.5
        own = torch.cat([points_xy, confidence.clamp(0, 1)[..., None]], -1).double().cpu().numpy()
        return own * schema.own_landmark_mask()[category_id - 1][..., None]

    def _own_heatmaps(self, crops: np.ndarray, kind: Tensor, *, flipped: bool = False) -> Tensor:
        data = self.model.data_preprocessor({"inputs": torch.from_numpy(crops)}, training=False)
        head = self.model.head
        return head.loss_module.activate(
            head.own_heatmaps(self.model.extract_feat(data["inputs"]), kind, flipped=flipped)
        )


@dataclass
class _Batch:
    """Crops on their way to one model."""

    rows: list[int] = field(default_factory=list)
    crops: list[np.ndarray] = field(default_factory=list)
    to_image: list[np.ndarray] = field(default_factory=list)
    oks_scale: list[np.ndarray] = field(default_factory=list)


def predict_landmarks(
    checkpoints: Path | dict[int, Path] | LandmarkModel,
    detections: Detections,
    coco: Coco,
    image_dir: Path,
    *,
    flip_test: bool = True,
    batch_size: int = 32,
) -> Predictions:
    """Locate the landmarks of every detection, in the detections' order.

    Every photo is decoded once; its crops wait, as bytes, until a batch of their model is full. Several
    processes (`kps.models.launch`) share the photos and all return the whole.

    Args:
        checkpoints: one final checkpoint, or one for each category id, or a model in memory.
        detections: boxes in px with category and score, from a detector or the ground truth.
        coco: names the photos.
        image_dir: their folder.
        flip_test: average with the mirrored crop (paper, Table 2).
        batch_size: crops a forward pass.

    Raises:
        InputError: a photo that is absent or no image, an image id that is not in `coco`, a category without
            a checkpoint, or a file that is no checkpoint of this model.
    """
    models = _load_models(checkpoints, detections)
    area = detections.bbox_xywh[:, 2:].prod(axis=1)  # as the protocol has it
    scales = 2 * schema.own_sigmas()[detections.category_id - 1] * np.sqrt(area)[:, None]  # (N, 39) image px
    keypoints = np.zeros((len(detections), schema.MAX_LANDMARKS, 3))
    batches = {id(model): _Batch() for model in models.values()}

    def run(model: LandmarkModel, batch: _Batch) -> None:
        own = model.locate(
            np.stack(batch.crops),
            detections.category_id[batch.rows],
            np.stack(batch.oks_scale),
            flip_test=flip_test,
        )
        for row, to_image, points in zip(batch.rows, batch.to_image, own, strict=True):
            keypoints[row, :, :2] = apply_affine(to_image, points[:, :2])
            keypoints[row, :, 2] = points[:, 2]
        batches[id(model)] = _Batch()

    rank, world_size = get_dist_info()
    photos = list(_rows_by_photo(detections, coco))[rank::world_size]
    for image, rows in progress(photos, desc="locating landmarks", unit="photo"):
        photo = photo_of(image, image_dir)
        for row in rows:
            model = models[int(detections.category_id[row])]
            batch, box = batches[id(model)], detections.bbox_xywh[row]
            affine = crop_affine(box, model.size_wh, padding=model.padding)
            batch.rows.append(row)
            patch = cut_patch(photo, box, model.size_wh, model.padding)
            batch.crops.append(patch.crop(affine, model.size_wh))
            batch.to_image.append(invert_affine(affine))
            batch.oks_scale.append(scales[row] * affine[0, 0])
            if len(batch.rows) == batch_size:
                run(model, batch)
    for model in dict.fromkeys(models.values()):
        if batches[id(model)].rows:
            run(model, batches[id(model)])
    if world_size > 1:  # a detection is all zeros in every process but the one that had its photo
        keypoints = sum(all_gather_object(keypoints))
    keypoints *= schema.own_landmark_mask()[detections.category_id - 1][..., None]
    score = instance_score(detections.score, keypoints[..., 2], detections.category_id)
    return Predictions.on(detections, keypoints, score)


def _load_models(
    checkpoints: Path | dict[int, Path] | LandmarkModel, detections: Detections
) -> dict[int, LandmarkModel]:
    """Return the model of each category that occurs; the same object where the file is the same."""
    present = [int(value) for value in np.unique(detections.category_id)]
    if isinstance(checkpoints, LandmarkModel):
        return dict.fromkeys(present, checkpoints)
    if not isinstance(checkpoints, dict):
        checkpoints = dict.fromkeys(present, checkpoints)
    missing = [value for value in present if value not in checkpoints]
    if missing:
        name = schema.category(missing[0]).name
        raise InputError(f"expected a checkpoint for category {missing[0]} ({name}), but got none")
    loaded = {path: LandmarkModel.load(path) for path in dict.fromkeys(checkpoints[value] for value in present)}
    return {value: loaded[checkpoints[value]] for value in present}


def _rows_by_photo(detections: Detections, coco: Coco) -> Iterator[tuple[ImageRow, np.ndarray]]:
    """Yield each photo with its detections' rows, photos in the order of the COCO file."""
    unknown = ~np.isin(detections.image_id, coco.image_ids)
    if unknown.any():
        image_id = detections.image_id[np.argmax(unknown)]
        raise InputError(f"{coco.path}: expected image {image_id} of a detection, but it is not in the file")
    order = np.argsort(detections.image_id, kind="stable")
    for image in coco.images:
        bounds = np.searchsorted(detections.image_id, [image.id, image.id + 1], sorter=order)
        if bounds[0] < bounds[1]:
            yield image, order[bounds[0] : bounds[1]]
