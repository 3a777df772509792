"""The box file: a COCO list of {"image_id", "category_id", "bbox": [x, y, w, h] px, "score", "id"}.

`id` names a detection from here to the ensemble; a list of one's own may leave it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kps.coco import Coco
from kps.errors import InputError
from kps.files import read_json, write_json
from kps.schema import category


@dataclass(frozen=True)
class Detections:
    """N boxes as arrays."""

    detection_id: np.ndarray  # (N,) each once
    image_id: np.ndarray  # (N,)
    category_id: np.ndarray  # (N,) 1..13
    bbox_xywh: np.ndarray  # (N, 4) px
    score: np.ndarray  # (N,) 0..1

    def __len__(self) -> int:
        return len(self.detection_id)

    def take(self, rows: np.ndarray) -> Detections:
        """Return the detections of the given rows (indices or a mask)."""
        return Detections(**{name: value[rows] for name, value in vars(self).items()})


def ground_truth_detections(coco: Coco) -> Detections:
    """Ground-truth boxes as detections: score 1, the annotation's id, crowds left out.

    Items without landmarks stay: as with a detector, nothing tells that they are not scored.
    """
    items = coco.instances.take(~coco.instances.iscrowd)
    return Detections(
        detection_id=items.annotation_id,
        image_id=items.image_id,
        category_id=items.category_id,
        bbox_xywh=items.bbox_xywh,
        score=np.ones(len(items)),
    )


def save_detections(path: Path, detections: Detections) -> None:
    """Write a box file, coordinates rounded to 0.01 px."""
    rows = [
        {
            "image_id": int(image),
            "category_id": int(kind),
            "bbox": box,
            "score": float(score),
            "id": int(number),
        }
        for number, image, kind, box, score in zip(
            detections.detection_id,
            detections.image_id,
            detections.category_id,
            np.round(detections.bbox_xywh, 2).tolist(),
            detections.score,
            strict=True,
        )
    ]
    write_json(path, rows)


def load_detections(path: Path) -> Detections:
    """Read and validate a box file; where no row has an id, rows are numbered from 1.

    Raises:
        InputError: the file or one of its rows is malformed; the message names file and row.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of boxes, but got {type(rows).__name__}")
    integers = np.zeros((len(rows), 3), dtype=np.int64)
    numbers = np.zeros((len(rows), 5))
    for index, row in enumerate(rows):
        try:
            integers[index] = _integers(row, index + 1)
            numbers[index] = [*_four(row["bbox"]), row["score"]]
        except InputError as error:
            raise InputError(f"{path}: row {index}: {error}") from None
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{path}: row {index}: expected image_id, category_id, bbox and score ({error!r})"
            ) from None
    _check(path, integers, numbers)
    return Detections(integers[:, 0], integers[:, 1], integers[:, 2], numbers[:, :4], numbers[:, 4])


def _integers(row: dict[str, Any], default_id: int) -> tuple[int, int, int]:
    values = row.get("id", default_id), row["image_id"], row["category_id"]
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        raise InputError(f"expected whole numbers as id, image_id and category_id, but got {values}")
    return values[0], values[1], category(values[2]).id


def _four(bbox: Any) -> list[float]:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise InputError(f"expected a bbox of 4 numbers, but got {str(bbox)[:60]}")
    return bbox


def _check(path: Path, integers: np.ndarray, numbers: np.ndarray) -> None:
    finite = np.isfinite(numbers).all(axis=1)
    if not finite.all():
        raise InputError(f"{path}: row {int(np.argmin(finite))}: expected finite numbers")
    positive = (numbers[:, 2:4] > 0).all(axis=1)
    if not positive.all():
        raise InputError(
            f"{path}: row {int(np.argmin(positive))}: expected a bbox with a positive width and height"
        )
    ids, counts = np.unique(integers[:, 0], return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"{path}: expected each id once, but id {ids[np.argmax(counts)]} repeats (or is absent)"
        )
