"""Trained models as ONNX files, which `kps.exported` runs without torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
import torch.nn.functional as F
from mmdet.models import CascadeRoIHead, TwoStageDetector
from mmpose.codecs import SimCCLabel
from torch import Tensor, nn
from torchvision.ops import nms, roi_align

from kps.exported import ABOUT, DETECTOR, LANDMARKS, OF_CATEGORY
from kps.files import InputError, atomic_folder, progress
from kps.models.detector import build_detector
from kps.models.landmark_head import OwnLandmarkHead
from kps.models.landmarks import LandmarkModel
from kps.schema import MAX_LANDMARKS, NUM_CATEGORIES

OPSET = 17
INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA, "bicubic": cv2.INTER_CUBIC}


def export_models(detector: Path, landmarks: Path | dict[int, Path], out: Path) -> list[Path]:
    """Write a folder of detector.onnx and landmarks.onnx, or landmarks_01.onnx and so on where a category has its own.

    InputError: `out` exists and is no empty folder, or a checkpoint is of another kind than those below.
    """
    own = landmarks if isinstance(landmarks, dict) else {}
    files = {OF_CATEGORY.format(kind): path for kind, path in own.items()} or {LANDMARKS: landmarks}
    files[DETECTOR] = detector
    with atomic_folder(out) as folder:
        for name, checkpoint in progress(list(files.items()), desc="exporting", unit="model"):
            (export_detector if name == DETECTOR else export_landmarks)(checkpoint, folder / name)
    return [out / name for name in files]


class Landmarks(nn.Module):
    """Crops (N, 3, H, W) BGR 0..255, category ids (N,) and the scale of similarity (N, 39) in their px -> landmarks."""

    def __init__(self, model: LandmarkModel, size_wh: Sequence[int]) -> None:
        super().__init__()
        self.model, self.size_wh = model.model, tuple(size_wh)
        self.pixels = _Pixels(model.model.data_preprocessor)
        self.own_channels = torch.as_tensor(model.aggregation.own_channels)
        self.flip_indices = torch.as_tensor(model.aggregation.flip_indices)

    def forward(self, crops: Tensor, category_id: Tensor, oks_scale: Tensor) -> tuple[Tensor, ...]:
        """Return places (N, 39, 2) in px of the crops, confidence (N, 39), and (N, 13) of each category."""
        pixels = self.pixels(crops)
        both, kinds = [self.model.extract_feat(one) for one in (pixels, pixels.flip(-1))], None
        if isinstance(self.model.head, OwnLandmarkHead):
            points_xy, confidence, kinds = self.model.head.locate(both, category_id, oks_scale, self.size_wh)
        else:
            points_xy, confidence = self._of_vectors(both, category_id)
        return points_xy, confidence, crops.new_ones(crops.shape[0], NUM_CATEGORIES) if kinds is None else kinds

    def _of_vectors(self, both: Sequence, category_id: Tensor) -> tuple[Tensor, Tensor]:
        """Places and confidence off an x and a y vector of each group, as mmpose's SimCCLabel reads them."""
        (x, y), (mirrored_x, mirrored_y) = (self.model.head(one) for one in both)
        x, y = x + mirrored_x[:, self.flip_indices].flip(-1), y + mirrored_y[:, self.flip_indices]
        (height_x, place_x), (height_y, place_y) = (x / 2).max(2), (y / 2).max(2)
        confidence = torch.minimum(height_x, height_y)
        places = torch.where(confidence[..., None] > 0, torch.stack([place_x, place_y], 2), -1)
        channels = self.own_channels[category_id - 1]  # (N, 39)
        places = places.gather(1, channels[..., None].expand(-1, -1, 2))
        return places / self.model.head.decoder.simcc_split_ratio, confidence.gather(1, channels)


def export_landmarks(checkpoint: Path, out: Path) -> None:
    """Write a landmark model with the flip test; InputError: it has neither this project's head nor plain SimCC."""
    model = LandmarkModel.load(checkpoint, "cpu")
    head = model.model.head
    if not isinstance(head, OwnLandmarkHead) and (not isinstance(head.decoder, SimCCLabel) or head.decoder.use_dark):
        raise InputError(f"{checkpoint}: expected OwnLandmarkHead or SimCC without DARK, but got {type(head).__name__}")
    names = [type(one).__name__ for one in model.crop.transforms]
    if names != ["GarmentCrop", "PackPoseInputs"]:
        raise InputError(f"{checkpoint}: expected crops by GarmentCrop, then packed, but got {names}")
    crop = model.crop.transforms[0]
    width, height = crop.size_wh
    example = torch.zeros(2, 3, height, width), torch.tensor([1, 2]), torch.ones(2, MAX_LANDMARKS)
    about = {"task": "landmarks", "input_size": [width, height], "padding": crop.padding}
    inputs, outputs = ["crops", "category_id", "oks_scale"], ["points_xy", "confidence", "category_scores"]
    names = {"input_names": inputs, "output_names": outputs, "dynamic_axes": {name: {0: "crop"} for name in inputs}}
    _write(Landmarks(model, (width, height)), example, out, about, **names)


class Boxes(nn.Module):
    """A photo (1, 3, H, W) BGR 0..255 -> boxes, by a cascade of mmdet's: its way without batches, masks and training.

    mmdet's own decoding asks for the values of tensors as it goes, which no graph can hold.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.pixels = model, _Pixels(model.data_preprocessor)

    def forward(self, photo: Tensor) -> tuple[Tensor, ...]:
        """Return boxes (R, 4) x1, y1, x2, y2 px, labels (R,) from 0, and scores (R,)."""
        height, width = photo.shape[2:]
        limit = torch._shape_as_tensor(photo)[[3, 2, 3, 2]].to(photo)
        divisor = self.model.data_preprocessor.pad_size_divisor
        maps = self.model.extract_feat(F.pad(self.pixels(photo), (0, -width % divisor, 0, -height % divisor)))
        boxes, logits = self._proposals(maps, limit), []
        head = self.model.roi_head
        for extractor, stage in zip(head.bbox_roi_extractor, head.bbox_head, strict=True):
            found, moved = stage(_pooled(extractor, maps, boxes))
            logits.append(found)
            boxes = _inside(stage.bbox_coder.decode(boxes, moved), limit)
        scores = (sum(logits) / len(logits)).softmax(1)[:, :-1]
        row, label = (scores > self.model.test_cfg.rcnn.score_thr).nonzero().unbind(1)
        boxes, scores = boxes[row], scores[row, label]
        kept = _nms(boxes, scores, label, limit, self.model.test_cfg.rcnn)
        return boxes[kept], label[kept], scores[kept]

    def _proposals(self, maps: Sequence[Tensor], limit: Tensor) -> Tensor:
        head, config = self.model.rpn_head, self.model.test_cfg.rpn
        levels = []
        anchors = head.prior_generator.grid_priors([one.shape[2:] for one in maps], device="cpu")
        for number, (found, moved, own) in enumerate(zip(*head(maps), anchors, strict=True)):
            score, best = found.permute(0, 2, 3, 1).flatten().sigmoid().sort(descending=True)
            best = best[: config.nms_pre]
            boxes = head.bbox_coder.decode(own[best], moved.permute(0, 2, 3, 1).reshape(-1, 4)[best])
            levels.append((_inside(boxes, limit), score[: config.nms_pre], torch.full_like(best, number)))
        boxes, score, level = (torch.cat(parts) for parts in zip(*levels, strict=True))
        has_area = ((boxes[:, 2:] - boxes[:, :2]) > config.min_bbox_size).all(1).nonzero()[:, 0]
        boxes, score, level = boxes[has_area], score[has_area], level[has_area]
        return boxes[_nms(boxes, score, level, limit, config)]


def export_detector(checkpoint: Path, out: Path) -> None:
    """Write a detector; InputError: it is no cascade of two stages and more, or its photos go another way."""
    model, pipeline = build_detector(checkpoint)
    if not isinstance(model, TwoStageDetector) or not isinstance(model.roi_head, CascadeRoIHead):
        raise InputError(f"{checkpoint}: expected a cascade such as HTC, but got {type(model).__name__}")
    if {model.test_cfg.rpn.nms.type, model.test_cfg.rcnn.nms.type} != {"nms"}:
        raise InputError(f"{checkpoint}: expected plain NMS, but got {model.test_cfg.rcnn.nms.type}")
    head = model.roi_head
    if getattr(head, "with_semantic", False) or not all(stage.reg_class_agnostic for stage in head.bbox_head):
        raise InputError(f"{checkpoint}: expected boxes refined for all categories alike, without a semantic branch")
    names = [type(one).__name__ for one in pipeline.transforms]
    resize = pipeline.transforms[1] if names == ["LoadPhoto", "Resize", "PackDetInputs"] else None
    if resize is None or not resize.keep_ratio or resize.interpolation not in INTERPOLATIONS:
        raise InputError(f"{checkpoint}: expected photos loaded, resized in proportion and packed, but got {names}")
    scale = [int(side) for side in resize.scale]
    example = (torch.zeros(1, 3, min(scale), max(scale)),)
    about = {"task": "boxes", "scale": scale, "interpolation": INTERPOLATIONS[resize.interpolation]}
    names = {"input_names": ["photo"], "output_names": ["boxes", "labels", "scores"]}
    names["dynamic_axes"] = {"photo": {2: "height", 3: "width"}}
    _write(Boxes(model.cpu()), example, out, about, **names)


class _Pixels(nn.Module):
    """What mmdet's and mmpose's preprocessors do to pixels."""

    def __init__(self, preprocessor: nn.Module) -> None:
        super().__init__()
        self.swaps, self.mean, self.std = preprocessor._channel_conversion, preprocessor.mean, preprocessor.std

    def forward(self, pixels: Tensor) -> Tensor:
        return ((pixels.flip(1) if self.swaps else pixels) - self.mean) / self.std


def _inside(boxes: Tensor, limit: Tensor) -> Tensor:
    return torch.minimum(boxes.clamp(min=0), limit)


def _nms(boxes: Tensor, scores: Tensor, group: Tensor, limit: Tensor, config: Any) -> Tensor:
    """Rows kept, best first; boxes of different groups are moved apart."""
    apart = boxes + (group.to(boxes) * (limit.max() + 1))[:, None]
    return nms(apart, scores, config.nms.iou_threshold)[: config.max_per_img]


def _pooled(extractor: nn.Module, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Features (R, C, h, w), each box's from the map of its size, as mmdet's SingleRoIExtractor has them."""
    side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    level = (side / extractor.finest_scale + 1e-6).log2().floor().clamp(0, extractor.num_inputs - 1)
    rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)
    pooled = 0
    for number, (layer, features) in enumerate(zip(extractor.roi_layers, maps, strict=False)):
        how = (layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)
        pooled = pooled + roi_align(features, rois, *how) * (level == number)[:, None, None, None]
    return pooled


def _write(module: nn.Module, example: tuple[Tensor, ...], out: Path, about: dict[str, Any], **names: Any) -> None:
    import onnx

    with torch.inference_mode():
        # By tracing, since boxes are of any number; the newer exporter wants their number known.
        torch.onnx.export(module.eval(), example, str(out), opset_version=OPSET, dynamo=False, **names)
    graph = onnx.load(out)
    onnx.helper.set_model_props(graph, {ABOUT: json.dumps(about)})
    onnx.save(graph, out)
