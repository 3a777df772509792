"""Models that `kps export` wrote, run by onnxruntime: nothing here imports torch."""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kps.data.coco import Coco
from kps.data.crops import apply_affine, crop_affine, cut_patch, invert_affine
from kps.data.photos import broadened, photo_of
from kps.files import InputError, available_cores, progress
from kps.results.detections import Detections, join_detections, photo_boxes
from kps.results.locating import locate_all, per_category, scored
from kps.results.predictions import Predictions
from kps.schema import own_landmark_mask, own_sigmas

DETECTOR, LANDMARKS = "detector.onnx", "landmarks.onnx"  # the second for all categories, or one for each:
OF_CATEGORY = "landmarks_{:02d}.onnx"
ABOUT = "kps"  # the file's property that says how it is fed: a task, and for each
FED = {"boxes": {"scale": list, "interpolation": int}, "landmarks": {"input_size": list, "padding": float}}


def exported_landmarks(root: Path) -> Path | dict[int, Path]:
    """Return the landmark models of a folder: one, or one for each category id; InputError: there is none."""
    found = {int(m[1]): path for path in root.iterdir() if (m := re.fullmatch(r"landmarks_(\d\d)\.onnx", path.name))}
    if not found and not (root / LANDMARKS).is_file():
        raise InputError(f"{root}: expected {LANDMARKS} beside {DETECTOR}, but there is none")
    return found or root / LANDMARKS


class OnnxModel:
    """A model of a file; `about` says how it is fed. InputError: the file is absent or none of `kps export`."""

    def __init__(self, path: Path, task: str) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise InputError(f"{path}: expected the package onnxruntime to run it, but it is not installed") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = available_cores(), 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            self.about: dict[str, Any] = json.loads(self._session.get_modelmeta().custom_metadata_map[ABOUT])
            got = self.about["task"]
        except Exception as error:  # onnxruntime's own kinds share no base
            raise InputError(f"{path}: expected a model of kps export, but {str(error).splitlines()[0]}") from None
        if got != task:
            raise InputError(f"{path}: expected a model of {task}, but it is one of {got}")
        if any(not isinstance(self.about.get(name), kind) for name, kind in FED[task].items()):
            raise InputError(f"{path}: expected its property {ABOUT} with {', '.join(FED[task])}, but got {self.about}")

    def __call__(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """Return the outputs, in the file's order; a graph lacks inputs that its model has no use for."""
        return self._session.run(None, {one.name: inputs[one.name] for one in self._session.get_inputs()})


def open_detector(path: Path) -> OnnxModel:
    """Return the detector of a file; InputError: see `OnnxModel`."""
    return OnnxModel(path, "boxes")


def detect(model: Path | OnnxModel, coco: Coco, image_dir: Path, *, score_threshold: float = 0.01) -> Detections:
    """As `kps.models.detector.detect`."""
    onnx, found = open_detector(model) if isinstance(model, Path) else model, []
    for row in progress(coco.images, desc="detecting garments", unit="photo"):
        photo = broadened(photo_of(row, image_dir, bgr=True))
        sides, most = np.array(photo.shape[1::-1]), np.array(onnx.about["scale"])
        factor = min(most.max() / sides.max(), most.min() / sides.min())
        size = tuple((sides * factor + 0.5).astype(int).tolist())
        small = cv2.resize(photo, size, interpolation=onnx.about["interpolation"])
        boxes, labels, scores = onnx(photo=small.transpose(2, 0, 1)[None].astype(np.float32))
        boxes = boxes / np.tile(size / sides, 2)
        found.append(photo_boxes(row.id, (row.width, row.height), boxes, labels, scores, score_threshold))
    return join_detections(found)


class OnnxLandmarks:
    """A landmark model as `kps.results.locating.Locator`."""

    def __init__(self, path: Path) -> None:
        self._model, self.meta = OnnxModel(path, "landmarks"), {}
        self._path, about = path, self._model.about
        self._size, self._padding = tuple(about["input_size"]), about["padding"]

    def crop(self, item: dict) -> tuple[np.ndarray, np.ndarray, int, float]:
        """Return the crop (3, H, W), where it lies (an affine photo -> crop), the category and its box's side px."""
        x1, y1, x2, y2 = item["bbox"][0]
        box = np.array([x1, y1, x2 - x1, y2 - y1])
        affine = crop_affine(box, self._size, padding=self._padding)
        pixels = cut_patch(item["img"], box, self._size, self._padding).crop(affine, self._size)
        return pixels.transpose(2, 0, 1), affine, item["category_id"], float(np.sqrt(box[2] * box[3]))

    def locate(self, crops: list, *, flip_test: bool) -> tuple[np.ndarray, np.ndarray]:
        """As `Locator.locate`; InputError: not the flip test, which is part of the graph."""
        if not flip_test:
            raise InputError(f"{self._path}: expected the flip test, which an exported model cannot do without")
        pixels, affines, kinds, sides = (np.array(part) for part in zip(*crops, strict=True))
        kind, zoom = kinds - 1, affines[:, 0, 0]
        oks_scale = 2 * np.where(own_landmark_mask()[kind], own_sigmas()[kind], 0) * (sides * zoom)[:, None]
        given = {"crops": pixels.astype(np.float32), "category_id": kinds, "oks_scale": oks_scale.astype(np.float32)}
        points_xy, confidence, likely = self._model(**given)
        back = map(invert_affine, affines)
        on_photo = [apply_affine(affine, own) for affine, own in zip(back, points_xy.astype(float), strict=True)]
        own = np.concatenate([np.array(on_photo), confidence[..., None]], 2)
        return own * own_landmark_mask()[kind][..., None], likely[np.arange(len(kinds)), kind]


def predict_landmarks(
    models: Path | OnnxLandmarks | dict[int, Path | OnnxLandmarks],
    detections: Detections,
    coco: Coco,
    image_dir: Path,
    *,
    flip_test: bool = True,
    **how: Any,
) -> Predictions:
    """As `kps.models.landmarks.predict_landmarks`; `how` as for `locate_all`."""
    loaded = per_category(models, detections, OnnxLandmarks)
    return scored(detections, *locate_all(loaded, detections, coco, image_dir, flip_test=flip_test, **how))
