"""Predicted landmarks: own landmarks only inside the flow, the public list of 882 numbers at its edges.

Letters: N instances, 39 own landmarks (padded).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from kps.detections import Detections
from kps.errors import InputError
from kps.files import atomic_path, read_json
from kps.schema import MAX_LANDMARKS, NUM_CATEGORIES, NUM_LANDMARKS, category, own_landmark_mask

MAX_PER_IMAGE_AND_CATEGORY = 20  # the scorer reads no more (facts of the protocol)


@dataclass(frozen=True)
class Predictions:
    """N predicted garments as arrays."""

    detection_id: np.ndarray  # (N,) from the box file
    image_id: np.ndarray  # (N,)
    category_id: np.ndarray  # (N,) 1..13
    bbox_xywh: np.ndarray  # (N, 4) px
    bbox_score: np.ndarray  # (N,)
    score: np.ndarray  # (N,) of the instance
    keypoints: np.ndarray  # (N, 39, 3) x px, y px, confidence of own landmarks

    def __len__(self) -> int:
        return len(self.detection_id)

    @classmethod
    def on(cls, detections: Detections, keypoints: np.ndarray, score: np.ndarray) -> Predictions:
        """Return landmarks (N, 39, 3) and instance scores (N,) on boxes, which keep their ids and order."""
        return cls(
            detection_id=detections.detection_id,
            image_id=detections.image_id,
            category_id=detections.category_id,
            bbox_xywh=detections.bbox_xywh,
            bbox_score=detections.score,
            score=score,
            keypoints=keypoints,
        )

    def take(self, rows: np.ndarray) -> Predictions:
        """Return the predictions of the given rows (indices or a mask)."""
        return Predictions(**{name: value[rows] for name, value in vars(self).items()})

    def save(self, path: Path) -> None:
        """Write the arrays as .npz, atomically."""
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, **vars(self))

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            InputError: the file is absent, is no such archive, or its arrays do not fit together.
        """
        names = [field.name for field in fields(cls)]
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in names}
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: expected predictions ({', '.join(names)}), but {error}") from None
        predictions = cls(**arrays)
        predictions.check(str(path))
        return predictions

    def check(self, where: str) -> None:
        """Raise InputError where shapes disagree, a category is unknown, or a number is not finite."""
        count = len(self.detection_id)
        for name, tail in {"bbox_xywh": (4,), "keypoints": (MAX_LANDMARKS, 3)}.items():
            if getattr(self, name).shape != (count, *tail):
                got = getattr(self, name).shape
                raise InputError(f"{where}: expected {name} of shape {(count, *tail)}, but got {got}")
        for name in ("image_id", "category_id", "bbox_score", "score"):
            if getattr(self, name).shape != (count,):
                raise InputError(
                    f"{where}: expected {name} of shape {(count,)}, but got {getattr(self, name).shape}"
                )
        if count and not ((self.category_id >= 1) & (self.category_id <= NUM_CATEGORIES)).all():
            raise InputError(f"{where}: expected category ids from 1 to {NUM_CATEGORIES}")
        for name in ("bbox_xywh", "bbox_score", "score", "keypoints"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{where}: expected finite numbers in {name}")


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """Join predictions in the given order."""
    if not parts:
        return empty_predictions()
    return Predictions(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Predictions)
        }
    )


def empty_predictions() -> Predictions:
    """No predictions at all."""
    integers, numbers = np.zeros(0, dtype=np.int64), np.zeros(0)
    return Predictions(
        integers, integers, integers, np.zeros((0, 4)), numbers, numbers, np.zeros((0, MAX_LANDMARKS, 3))
    )


def keep_top(predictions: Predictions, count: int = MAX_PER_IMAGE_AND_CATEGORY) -> Predictions:
    """Keep the `count` best scored of each image and category; the order of rows stays."""
    return predictions.take(top_rows(predictions, count))


def top_rows(predictions: Predictions, count: int = MAX_PER_IMAGE_AND_CATEGORY) -> np.ndarray:
    """Rows of the `count` best scored of each image and category, ascending; earlier rows win ties."""
    order = np.lexsort((-predictions.score, predictions.category_id, predictions.image_id))
    image, kind = predictions.image_id[order], predictions.category_id[order]
    new = np.ones(len(order), bool)
    new[1:] = (image[1:] != image[:-1]) | (kind[1:] != kind[:-1])
    start = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    return np.sort(order[np.arange(len(order)) - start < count])


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


def load_results(path: Path) -> Predictions:
    """Read a public result list: rows of image_id, category_id, keypoints (882 numbers) and score.

    Boxes are not part of that format: the tight box of the own landmarks stands in, and the row's number
    (from 1) is the detection id.

    Raises:
        InputError: the file or one of its rows is malformed; the message names file and row.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of results, but got {type(rows).__name__}")
    if not rows:
        raise InputError(f"{path}: expected at least one result, but the list is empty")
    integers = np.zeros((len(rows), 2), dtype=np.int64)
    score = np.zeros(len(rows))
    keypoints = np.zeros((len(rows), MAX_LANDMARKS, 3))
    for index, row in enumerate(rows):
        try:
            integers[index], score[index], own = result_row(row)
        except InputError as error:
            raise InputError(f"{path}: row {index}: {error}") from None
        keypoints[index, : len(own)] = own
    low = np.where(own_landmark_mask()[integers[:, 1] - 1][:, :, None], keypoints[:, :, :2], np.inf).min(
        axis=1
    )
    high = np.where(own_landmark_mask()[integers[:, 1] - 1][:, :, None], keypoints[:, :, :2], -np.inf).max(
        axis=1
    )
    return Predictions(
        detection_id=np.arange(1, len(rows) + 1),
        image_id=integers[:, 0],
        category_id=integers[:, 1],
        bbox_xywh=np.concatenate([low, high - low], axis=1),
        bbox_score=score,
        score=score,
        keypoints=keypoints,
    )


def result_row(row: Any) -> tuple[tuple[int, int], float, np.ndarray]:
    """Validate one public result row: ((image_id, category_id), score, (n_c, 3) own landmarks).

    Raises:
        InputError: a field is absent or malformed; the caller adds file and row.
    """
    if not isinstance(row, dict) or not {"image_id", "category_id", "keypoints", "score"} <= set(row):
        raise InputError("expected an object with image_id, category_id, keypoints and score")
    image_id, score, numbers = row["image_id"], row["score"], row["keypoints"]
    item = category(row["category_id"])
    if not isinstance(image_id, int) or isinstance(image_id, bool) or not 0 <= image_id < 2**63:
        raise InputError(f"expected a whole number as image_id, but got {str(image_id)[:40]!r}")
    if not isinstance(score, int | float) or isinstance(score, bool) or not np.isfinite(score):
        raise InputError(f"expected a finite number as score, but got {str(score)[:40]!r}")
    if not isinstance(numbers, list) or len(numbers) != 3 * NUM_LANDMARKS:
        got = len(numbers) if isinstance(numbers, list) else type(numbers).__name__
        raise InputError(f"expected {3 * NUM_LANDMARKS} keypoint numbers, but got {got}")
    if not set(map(type, numbers)) <= {int, float}:  # NumPy would take "1" and true for numbers
        raise InputError("expected keypoints as numbers")
    values = np.array(numbers, dtype=float)
    if not np.isfinite(values).all():
        raise InputError("expected finite keypoints")
    return (image_id, item.id), float(score), values.reshape(-1, 3)[item.slice]
