"""Builders of small valid inputs; a test overrides only what it is about."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kps.data.coco import Coco, coco_annotation, coco_head, load_coco
from kps.files import write_json
from kps.results.detections import Detections
from kps.results.predictions import Predictions
from kps.schema import CATEGORIES, MAX_LANDMARKS, NUM_LANDMARKS, category, own_landmark_mask
from kps.workspace import REPOSITORY

BESIDE = REPOSITORY.parent / "shared" / "deepfashion2" / "sample"
REAL_SAMPLE = Path(os.environ.get("KPS_REAL_SAMPLE") or BESIDE)  # 16 photos that may not be shipped
needs_real_sample = pytest.mark.skipif(
    not (REAL_SAMPLE / "train_coco.json").is_file(),
    reason=f"no real photos in {REAL_SAMPLE}; KPS_REAL_SAMPLE names another folder",
)


def make_item(
    category_id: int = 1, *, box: tuple[float, ...] = (100, 50, 300, 350), seed: int = 0, **changes: Any
) -> dict:
    """A raw DeepFashion2 item with visible and occluded landmarks inside its box."""
    rng = np.random.default_rng(seed)
    count = category(category_id).num_landmarks
    x1, y1, x2, y2 = box
    landmarks = np.column_stack(
        [rng.integers(x1, x2 + 1, count), rng.integers(y1, y2 + 1, count), rng.integers(1, 3, count)]
    )
    item = {
        "category_id": category_id,
        "category_name": category(category_id).name,
        "bounding_box": list(box),
        "landmarks": landmarks.ravel().tolist(),
        "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
        "scale": 2,
        "occlusion": 1,
        "zoom_in": 1,
        "viewpoint": 2,
        "style": 1,
    }
    return {**item, **changes}


def plain(polygons: list[np.ndarray]) -> list[list[float]]:
    """The polygons of one loaded instance as lists."""
    return [polygon.tolist() for polygon in polygons]


def make_image_row(image_id: int = 1, width: int = 468, height: int = 624) -> dict:
    """A COCO image row."""
    return {"id": image_id, "file_name": f"{image_id:06d}.jpg", "width": width, "height": height}


def save_coco(path: Path, images: list[dict], annotations: list[dict]) -> None:
    """Write a COCO-294 file of the given rows."""
    write_json(path, coco_head("builder") | {"images": images, "annotations": annotations})


def make_coco(folder: Path, categories: tuple[int, ...] = tuple(c.id for c in CATEGORIES), *, seed: int = 0) -> Coco:
    """One photo for each category given, with one item each, saved and loaded."""
    images = [make_image_row(number) for number in range(1, len(categories) + 1)]
    annotations = [
        coco_annotation(make_item(kind, seed=seed + number), annotation_id=number, image_id=number, where="builder")
        for number, kind in enumerate(categories, start=1)
    ]
    save_coco(folder / "coco.json", images, annotations)
    return load_coco(folder / "coco.json")


def make_raw_folder(
    root: Path, items: dict[str, dict] | None = None, *, split: str = "train", image_id: int = 1
) -> Path:
    """A raw data root with one photo of a split; returns the annotation file."""
    import cv2

    annos, images = root / split / "annos", root / split / "image"
    annos.mkdir(parents=True, exist_ok=True)
    images.mkdir(parents=True, exist_ok=True)
    path = annos / f"{image_id:06d}.json"
    value = {"source": "user", "pair_id": 1, **({"item1": make_item()} if items is None else items)}
    path.write_text(json.dumps(value))
    photo = np.random.default_rng(image_id).integers(0, 255, (624, 468, 3), dtype=np.uint8)
    cv2.imwrite(str(images / f"{image_id:06d}.jpg"), photo)
    return path


def iter_results(predictions: Predictions) -> Iterator[dict[str, Any]]:
    """Yield public rows: 882 numbers, coordinates rounded to 0.01 px, v = 1, foreign slots integer 0."""
    mask = own_landmark_mask()
    for row in range(len(predictions)):
        item = category(int(predictions.category_id[row]))
        own = predictions.keypoints[row, mask[item.id - 1]]
        triples = np.column_stack([np.round(own[:, :2], 2), np.ones(len(own))])
        keypoints: list[float] = [0] * (3 * NUM_LANDMARKS)
        keypoints[3 * item.first_index : 3 * item.first_index + triples.size] = triples.ravel().tolist()
        yield {
            "image_id": int(predictions.image_id[row]),
            "category_id": item.id,
            "keypoints": keypoints,
            "score": float(predictions.score[row]),
        }


def make_predictions(count: int = 5, *, seed: int = 0, **changes: np.ndarray) -> Predictions:
    """Predictions on distinct images with random categories and landmarks."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(1, len(CATEGORIES) + 1, count)
    keypoints = rng.uniform(0, 400, (count, MAX_LANDMARKS, 3)) * own_landmark_mask()[kind - 1][:, :, None]
    keypoints[:, :, 2] /= 400
    values = {
        "detection_id": np.arange(1, count + 1),
        "image_id": np.arange(1, count + 1),
        "category_id": kind,
        "bbox_xywh": np.tile([10.0, 20.0, 300.0, 400.0], (count, 1)),
        "bbox_score": rng.uniform(0.1, 1, count),
        "score": rng.uniform(0.1, 1, count),
        "keypoints": keypoints,
    }
    return Predictions(**{**values, **changes})


def together(*parts: Predictions) -> Predictions:
    """All predictions, in the given order."""
    return Predictions(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def wait_until(condition: Callable[[], object], *, limit: float = 600.0) -> None:
    """Wait for what has to come, however slow the machine; the limit (s) only ends a test that would hang."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def make_detections(count: int = 5, *, seed: int = 0, **changes: np.ndarray) -> Detections:
    """Boxes on distinct images."""
    rng = np.random.default_rng(seed)
    values = {
        "detection_id": np.arange(1, count + 1),
        "image_id": np.arange(1, count + 1),
        "category_id": rng.integers(1, len(CATEGORIES) + 1, count),
        "bbox_xywh": np.column_stack([rng.uniform(0, 50, (count, 2)), rng.uniform(60, 300, (count, 2))]).round(2),
        "score": rng.uniform(0, 1, count),
    }
    return Detections(**{**values, **changes})
