"""Predicted landmarks: own ones inside the flow, the public list of 882 numbers at its edges, and the mean of runs.

Letters: N instances, 39 own landmarks (padded).
"""

import warnings
import zipfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from kps.data.rows import Read, iter_json_rows, own_numbers
from kps.files import (
    MAX_COORDINATE,
    MAX_RATIO,
    NPZ,
    NUMBERS,
    ZIP,
    InputError,
    atomic_path,
    field,
    integer_field,
    number_field,
    numbers_field,
    open_file,
    progress,
    reason_of,
)
from kps.results.detections import Detections
from kps.schema import MAX_LANDMARKS, NUM_CATEGORIES, NUM_LANDMARKS, category, own_landmark_mask


def instance_score(
    bbox_score: np.ndarray, confidence: np.ndarray, category_id: np.ndarray, likely: np.ndarray | float = 1.0
) -> np.ndarray:
    """(N,) box score (N,) x mean confidence (N, 39) of the landmarks that the category has x `likely` (N,).

    The winning solution averages over all channels above a threshold, also those of other categories; here each
    instance is judged by its own landmarks only. `likely` is the probability that the crop shows this category.
    """
    mask = own_landmark_mask()[np.asarray(category_id) - 1]
    return bbox_score * likely * np.where(mask, confidence, 0).sum(axis=1) / mask.sum(axis=1)


MAX_PER_IMAGE_AND_CATEGORY = 20  # the scorer reads no more (facts of the protocol)
_PADDING = [0.0] * (3 * MAX_LANDMARKS)
_INTEGERS = ("detection_id", "image_id", "category_id")
_TAILS = {"bbox_xywh": (4,), "keypoints": (MAX_LANDMARKS, 3)}


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
    def on(cls, detections: Detections, keypoints: np.ndarray, score: np.ndarray) -> "Predictions":
        """Return landmarks (N, 39, 3) and instance scores (N,) on boxes, which keep their ids and order."""
        columns = vars(detections) | {"bbox_score": detections.score, "score": score, "keypoints": keypoints}
        return cls(**columns)

    def take(self, rows: np.ndarray) -> "Predictions":
        """Return the predictions of the given rows (indices or a mask)."""
        return Predictions(**{name: value[rows] for name, value in vars(self).items()})

    def save(self, path: Path) -> None:
        """Write the arrays as .npz, atomically."""
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, **vars(self))

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read what `save` wrote; nothing is unpickled.

        InputError: the file is absent, is no such archive, or its arrays do not fit together.
        """
        arrays = _read_npz(Path(path), [item.name for item in fields(cls)])
        for name, values in arrays.items():
            wanted = np.int64 if name in _INTEGERS else np.float64
            if not np.can_cast(values.dtype, wanted, "same_kind") or values.dtype.kind not in "iuf":
                raise InputError(f"{path}: expected {name} as {wanted.__name__}, but got {values.dtype}")
            arrays[name] = values.astype(wanted, copy=False)
        predictions = cls(**arrays)
        predictions.check(str(path))
        return predictions

    def check(self, where: str) -> None:
        """Raise InputError where shapes disagree, an id or category is impossible, or a number not finite."""
        count = self.detection_id.size
        for name, values in vars(self).items():
            expected = (count, *_TAILS.get(name, ()))
            if values.shape != expected:
                raise InputError(f"{where}: expected {name} of shape {expected}, but got {values.shape}")
        if not count:
            return
        if not 1 <= self.category_id.min() <= self.category_id.max() <= NUM_CATEGORIES:
            raise InputError(f"{where}: expected category ids from 1 to {NUM_CATEGORIES}")
        if self.image_id.min() < 0:
            raise InputError(f"{where}: expected image ids from 0")
        for name in ("bbox_xywh", "bbox_score", "score", "keypoints"):
            values = getattr(self, name)
            if not -MAX_COORDINATE <= values.min() <= values.max() <= MAX_COORDINATE:  # neither is NaN
                raise InputError(f"{where}: expected finite numbers in {name}, at most {MAX_COORDINATE:g}")


def _read_npz(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Read the named arrays of an archive whose size in memory is in proportion to the file's."""
    expected = f"{path}: expected predictions ({', '.join(names)}), but "
    with open_file(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy only warns of odd headers
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
            if size <= MAX_RATIO * max(path.stat().st_size, 2**16):
                file.seek(0)
                with np.load(file, allow_pickle=False) as arrays:
                    return {name: arrays[name] for name in names}
        except Exception as error:  # NumPy, zipfile and Python's tokenizer raise a dozen kinds on damage
            raise InputError(f"{expected}{reason_of(path, error, own=(ZIP, NPZ))}") from None
    raise InputError(f"{expected}it claims {size} bytes, over {MAX_RATIO} times its own")


Results = Predictions | Detections


def place_among_equals(*columns: np.ndarray) -> np.ndarray:
    """(N,) how many of the rows before have the same values in all columns (N,)."""
    return pd.DataFrame(dict(enumerate(columns))).groupby([*range(len(columns))]).cumcount().to_numpy()


def top_rows(predictions: Predictions) -> np.ndarray:
    """Rows of the best scored of each image and category, as many as the scorer reads, ascending.

    Earlier rows win ties.
    """
    order = np.argsort(-predictions.score, kind="stable")
    place = place_among_equals(predictions.image_id[order], predictions.category_id[order])
    return np.sort(order[place < MAX_PER_IMAGE_AND_CATEGORY])


def load_results(path: Path) -> Predictions:
    """Read a public result list, as `read_results` does."""
    with open_file(path) as file:
        return read_results(file.read, str(path))


def read_results(read: Read, where: str) -> Predictions:
    """Read a public result list: rows of image_id, category_id, keypoints (882 numbers) and score.

    Boxes are not part of that format: the tight box of the own landmarks stands in, and the row's number (from 1) is
    the detection id. Only the own landmarks are kept, so memory is a seventh of the file's lists. InputError: the list
    or one of its rows is malformed; the message names `where` and row.
    """
    integers, scores, points = array("q"), array("d"), array("d")  # they grow in place

    def take(text: bytes) -> int:
        """Read a megabyte of rows at once where each is as it should be; the others are read one by one, and named."""
        try:
            found = _read_at_once(text)
        except Exception:  # whatever it is, the row will tell
            return 0
        for values, new in zip((integers, scores, points), found, strict=True):
            values.frombytes(new.data.cast("B"))
        return len(found[1])

    ticks = progress(count(), desc="reading results", unit="megabyte")
    for number, row in iter_json_rows(lambda size: (next(ticks), read(size))[1], where, take):
        try:
            *ids, score, own = _read_row(row)
        except InputError as error:
            raise InputError(f"{where}: row {number}: {error}") from None
        integers.extend(ids)
        scores.append(score)
        points.extend([*own, *_PADDING[len(own) :]])
    if not scores:
        raise InputError(f"{where}: expected at least one result, but the list is empty")
    (image_id, category_id), score = np.asarray(integers).reshape(-1, 2).T, np.asarray(scores)
    keypoints = np.asarray(points).reshape(-1, MAX_LANDMARKS, 3)
    low, high = span(keypoints, own_landmark_mask()[category_id - 1])
    ids, boxes = np.arange(1, len(score) + 1), np.concatenate([low, high - low], axis=1)
    return Predictions(ids, image_id, category_id, boxes, score, score, keypoints)


def _read_at_once(text: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image and category ids (N, 2), scores (N,) and own landmarks (N, 39 x 3) of a list of N result rows.

    ValueError or another: a row is not as it should be.
    """
    rows, texts = own_numbers(text)
    ids, scores = [(row["image_id"], row["category_id"]) for row in rows], [row["score"] for row in rows]
    integers, numbers = np.array(ids, np.int64), b",".join(texts)
    sizes = 3 * own_landmark_mask().sum(axis=1)[integers[:, 1] - 1]
    expected = (
        {int} == set(map(type, chain(*ids))),
        NUMBERS.issuperset(map(type, scores)),
        not numbers.translate(None, b"0123456789+-.eE, "),
        [own.count(b",") + 1 for own in texts] == sizes.tolist(),
    )
    values = np.array([*scores, *orjson.loads(b"[%b]" % numbers)], float)
    if not all(expected) or integers.min() < 0 or np.abs(values).max() > MAX_COORDINATE:
        raise ValueError("expected numbers of another type, count or size")
    points = np.zeros((len(rows), 3 * MAX_LANDMARKS))
    points[np.arange(points.shape[1]) < sizes[:, None]] = values[len(rows) :]
    return integers, values[: len(rows)], points


def span(places: np.ndarray, labelled: np.ndarray | bool = True) -> np.ndarray:
    """(2, N, 2) least and greatest x, y of the labelled (N, K) of places (N, K, 2 or more); inf and -inf without."""
    by_axis = [places[:, :, axis] for axis in (0, 1)]  # many times faster than over the middle axis
    low = [np.where(labelled, one, np.inf).min(axis=1) for one in by_axis]
    return np.array([low, [np.where(labelled, one, -np.inf).max(axis=1) for one in by_axis]]).swapaxes(1, 2)


def _read_row(row: dict[str, Any]) -> tuple[int, int, float, list[float]]:
    """Image and category id, score, and x px, y px, v of each own landmark (flat) of a row as the JSON reader gives it.

    InputError: a field is absent or malformed; the caller adds file and row. Every float is finite.
    """
    item = category(field(row, "category_id"))
    image_id, score = integer_field(row, "image_id"), number_field(row, "score")
    points = numbers_field(row, "keypoints", 3 * NUM_LANDMARKS)
    own = points[3 * item.slice.start : 3 * item.slice.stop]
    if not -MAX_COORDINATE <= score <= MAX_COORDINATE:  # as `Predictions.check` has it
        raise InputError(f"expected a score within {MAX_COORDINATE:g}, but got {score:g}")
    if image_id < 0:
        raise InputError(f"expected an image_id of at least 0, but got {image_id}")
    if min(own) < -MAX_COORDINATE or max(own) > MAX_COORDINATE:
        raise InputError(f"expected keypoints within {MAX_COORDINATE:g} px")
    if not any(own[::3]) and not any(own[1::3]) and (any(points[::3]) or any(points[1::3])):
        raise InputError(f"expected places in the slots of a {item.name}, but only others are filled")
    return image_id, item.id, score, own


def ensemble(runs: Sequence[Predictions], *, names: Sequence[str] | None = None) -> Predictions:
    """Average the runs' coordinates, confidences and scores, matched by detection id, in the order of the first run.

    All must hold the same detections: ids, images, categories, boxes and box scores. InputError: no runs, or a run
    whose detections differ; names the run (of `names`, where there are any) and the detection id.
    """
    names = names or [f"run {number}" for number in range(1, len(runs) + 1)]
    if not runs or len(names) != len(runs):
        raise InputError(f"expected at least one run and a name for each, but got {len(runs)} and {len(names)}")
    first = runs[0]
    aligned = [_aligned(first, names[0], run, name) for run, name in zip(runs, names, strict=True)]
    return replace(
        first,
        keypoints=np.mean([run.keypoints for run in aligned], axis=0),
        score=np.mean([run.score for run in aligned], axis=0),
    )


def _aligned(first: Predictions, first_name: str, run: Predictions, name: str) -> Predictions:
    """The rows of `run` in the order of `first`; InputError: ids repeat, only one of them has one, or boxes differ."""
    ids, counts = np.unique(run.detection_id, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{name}: expected each detection id once, but {ids[np.argmax(counts > 1)]} repeats")
    for here, there, here_name, there_name in ((first, run, first_name, name), (run, first, name, first_name)):
        absent = np.setdiff1d(here.detection_id, there.detection_id)
        if absent.size:
            raise InputError(
                f"{there_name}: expected the same detections as {here_name}, but {absent.size} are absent, "
                f"first detection {absent[0]}"
            )
    run = run.take(np.argsort(run.detection_id)[np.searchsorted(ids, first.detection_id)])
    for column in ("image_id", "category_id", "bbox_xywh", "bbox_score"):
        ours, theirs = getattr(first, column), getattr(run, column)
        if (ours != theirs).any():
            row = np.nonzero(ours != theirs)[0][0]
            raise InputError(
                f"{name}: detection {first.detection_id[row]}: expected the {column} of {first_name}, "
                f"{ours[row]}, but got {theirs[row]}"
            )
    return run
