"""The box file: a COCO list of {"image_id", "category_id", "bbox": [x, y, w, h] px, "score", "id"}.

`id` names a detection from here to the ensemble; a list of one's own may leave it out.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kps.data.coco import MIN_BOX_SIDE, Coco
from kps.data.rows import iter_json_rows
from kps.files import (
    MAX_COORDINATE,
    InputError,
    field,
    integer_field,
    number_field,
    numbers_field,
    open_file,
    write_json,
)
from kps.schema import category

MAX_BOXES = 100  # that a detector gives for a photo


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

    def take(self, rows: np.ndarray) -> "Detections":
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


def photo_boxes(
    image_id: int,
    size_wh: tuple[int, int],
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    score_threshold: float,
) -> Detections:
    """Return the MAX_BOXES best boxes of one photo of size_wh px, best first, clipped to it; none without an area.

    Boxes are (N, 4) x1, y1, x2, y2 px, labels (N,) category id - 1; those of scores (N,) below the threshold go.
    """
    order = np.argsort(-scores, kind="stable")
    keep = order[scores[order] >= score_threshold][:MAX_BOXES]
    clipped = np.clip(boxes[keep].astype(np.float64), 0, [*size_wh] * 2)
    sides = clipped[:, 2:] - clipped[:, :2]
    has_area = (sides >= MIN_BOX_SIDE).all(axis=1)
    keep, bbox_xywh = keep[has_area], np.concatenate([clipped[:, :2], sides], axis=1)[has_area]
    ids = np.full(len(keep), image_id, np.int64)
    return Detections(ids, ids, labels[keep].astype(np.int64) + 1, bbox_xywh, scores[keep].astype(np.float64))


def join_detections(parts: Sequence[Detections]) -> Detections:
    """Return the detections of all photos, numbered from 1."""
    none = photo_boxes(0, (1, 1), np.zeros((0, 4)), np.zeros(0), np.zeros(0), 0.0)
    columns = {name: np.concatenate([vars(part)[name] for part in (none, *parts)]) for name in vars(none)}
    return Detections(**{**columns, "detection_id": np.arange(1, len(columns["score"]) + 1)})


def save_detections(path: Path, detections: Detections) -> None:
    """Write a box file, coordinates rounded to 0.01 px."""
    columns = {
        "image_id": detections.image_id,
        "category_id": detections.category_id,
        "bbox": np.round(detections.bbox_xywh, 2),
        "score": detections.score,
        "id": detections.detection_id,
    }
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    write_json(path, [dict(zip(columns, row, strict=True)) for row in rows])


def load_detections(path: Path) -> Detections:
    """Read and validate a box file; where no row has an id, rows are numbered from 1.

    InputError: the file or one of its rows is malformed; the message names file and row.
    """
    integers, values = array("q"), array("d")  # they grow in place
    with open_file(path) as file:
        for number, row in iter_json_rows(file.read, str(path)):
            try:
                integers.extend((integer_field(row, "id", default=number + 1), integer_field(row, "image_id")))
                integers.append(category(field(row, "category_id")).id)
                values.extend(numbers_field(row, "bbox", 4))
                values.append(number_field(row, "score"))
            except InputError as error:
                raise InputError(f"{path}: row {number}: {error}") from None
    ids, boxes = np.asarray(integers).reshape(-1, 3), np.asarray(values).reshape(-1, 5)
    _check(path, ids, boxes)
    return Detections(ids[:, 0], ids[:, 1], ids[:, 2], boxes[:, :4], boxes[:, 4])


def _check(path: Path, integers: np.ndarray, numbers: np.ndarray) -> None:
    within = (np.abs(numbers) <= MAX_COORDINATE).all(axis=1)
    if not within.all():
        raise InputError(f"{path}: row {int(np.argmin(within))}: expected numbers within {MAX_COORDINATE:g}")
    positive = (numbers[:, 2:4] >= MIN_BOX_SIDE).all(axis=1)
    if not positive.all():
        row, expected = int(np.argmin(positive)), f"a positive width and height of at least {MIN_BOX_SIDE} px"
        raise InputError(f"{path}: row {row}: expected a bbox with {expected}")
    ids, counts = np.unique(integers[:, 0], return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{path}: expected each id once, but id {ids[np.argmax(counts)]} repeats (or is absent)")
