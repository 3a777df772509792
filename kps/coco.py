"""The COCO-294 file: reading with validation, writing, selecting.

An annotation holds 882 numbers (x px, y px, visibility of each of the 294 landmarks in category order; slots
of other categories are zero). In memory only an instance's own landmarks are kept: (N, 39, 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kps.errors import InputError
from kps.files import read_json, write_json
from kps.schema import CATEGORIES, MAX_LANDMARKS, NUM_CATEGORIES, NUM_LANDMARKS, category

ATTRIBUTES = ("scale", "occlusion", "zoom_in", "viewpoint", "style", "pair_id")
IMAGE_ATTRIBUTES = ("source", "pair_id")


@dataclass(frozen=True)
class ImageRow:
    """One photo: size in pixels; `file_name` is relative to the split's image folder."""

    id: int
    file_name: str
    width: int
    height: int
    source: str = ""
    pair_id: int = 0


@dataclass(frozen=True)
class Instances:
    """N garments as arrays; `attributes` maps a name of ATTRIBUTES to (N,) integers (0 where unknown)."""

    annotation_id: np.ndarray  # (N,)
    image_id: np.ndarray  # (N,)
    category_id: np.ndarray  # (N,) 1..13
    bbox_xywh: np.ndarray  # (N, 4) px
    area: np.ndarray  # (N,) px^2, the protocol's: box width x height
    keypoints: np.ndarray  # (N, 39, 3) own landmarks
    num_keypoints: np.ndarray  # (N,)
    iscrowd: np.ndarray  # (N,) bool
    attributes: dict[str, np.ndarray]
    segmentation: tuple[list[list[float]], ...]  # polygons of each instance

    def __len__(self) -> int:
        return len(self.annotation_id)

    def take(self, rows: np.ndarray) -> Instances:
        """Return the instances of the given rows (indices or a mask)."""
        rows = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows, dtype=np.int64)
        arrays = {name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        attributes = {name: value[rows] for name, value in self.attributes.items()}
        return Instances(
            **arrays, attributes=attributes, segmentation=tuple(self.segmentation[i] for i in rows)
        )


@dataclass(frozen=True)
class Coco:
    """A validated COCO-294 file."""

    path: Path
    images: tuple[ImageRow, ...]
    instances: Instances

    @property
    def image_ids(self) -> np.ndarray:
        """(I,) ids of the images, in file order."""
        return np.array([row.id for row in self.images], dtype=np.int64)

    def subset(self, *, image_ids: Iterable[int] | None = None, category_id: int | None = None) -> Coco:
        """Keep the given images and the instances on them, or one category's instances (all images stay).

        All images stay with a category, or false positives on the others would vanish from a score.
        """
        images, rows = self.images, np.ones(len(self.instances), bool)
        if image_ids is not None:
            wanted = set(image_ids)
            images = tuple(row for row in images if row.id in wanted)
            rows &= np.isin(self.instances.image_id, list(wanted))
        if category_id is not None:
            rows &= self.instances.category_id == category(category_id).id
        return replace(self, images=images, instances=self.instances.take(rows))

    def visible_only(self) -> Coco:
        """Treat occluded landmarks (v = 1) as unlabelled."""
        keypoints = self.instances.keypoints * (self.instances.keypoints[:, :, 2:] == 2)
        count = (keypoints[:, :, 2] > 0).sum(axis=1)
        return replace(self, instances=replace(self.instances, keypoints=keypoints, num_keypoints=count))


def coco_annotation(item: dict[str, Any], *, annotation_id: int, image_id: int, where: str) -> dict[str, Any]:
    """Convert a raw DeepFashion2 item to a COCO-294 annotation.

    Raises:
        InputError: a field is absent or malformed; `where` (file and item) leads the message.
    """
    try:
        garment = category(item["category_id"])
        x1, y1, x2, y2 = (float(value) for value in item["bounding_box"])
        landmarks = [float(value) for value in item["landmarks"]]
        attributes = {name: int(item.get(name) or 0) for name in ATTRIBUTES}
    except KeyError as error:
        raise InputError(f"{where}: expected a field {error}") from None
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{where}: expected a bounding_box of 4 numbers, landmarks as numbers and attributes as integers"
        ) from None
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    expected = 3 * garment.num_landmarks
    if len(landmarks) != expected:
        raise InputError(
            f"{where}: expected {expected} landmark numbers for a {garment.name}, but got {len(landmarks)}"
        )
    if not all(map(math.isfinite, [x1, y1, x2, y2, *landmarks])):
        raise InputError(f"{where}: expected finite coordinates")
    if not {0, 1, 2}.issuperset(landmarks[2::3]):
        raise InputError(f"{where}: expected a visibility of 0, 1 or 2")
    keypoints: list[float] = [0] * (3 * NUM_LANDMARKS)
    keypoints[3 * garment.first_index : 3 * garment.first_index + expected] = map(_tidy, landmarks)
    width, height = x2 - x1, y2 - y1
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": garment.id,
        "bbox": [_tidy(value) for value in (x1, y1, width, height)],
        "area": _tidy(width * height),
        "iscrowd": 0,
        "num_keypoints": sum(value > 0 for value in landmarks[2::3]),
        "keypoints": keypoints,
        "segmentation": item.get("segmentation", []),
        **attributes,
    }


def visible_only_annotation(row: dict[str, Any]) -> dict[str, Any]:
    """Return a COCO-294 annotation with its occluded landmarks (v = 1) unlabelled."""
    keypoints = list(row["keypoints"])
    for place in range(2, len(keypoints), 3):
        if keypoints[place] == 1:
            keypoints[place - 2 : place + 1] = 0, 0, 0
    return row | {"keypoints": keypoints, "num_keypoints": sum(value > 0 for value in keypoints[2::3])}


def _tidy(value: float) -> float:
    """Write whole numbers as integers: a third less JSON."""
    return int(value) if value == int(value) else round(value, 3)


def save_coco(path: Path, images: Sequence[dict[str, Any]], annotations: Sequence[dict[str, Any]]) -> None:
    """Write a COCO-294 file with the categories that any COCO tool expects."""
    write_json(
        path,
        {
            "info": {"description": "DeepFashion2 layout, 294 landmarks"},
            "licenses": [],
            "images": list(images),
            "annotations": list(annotations),
            "categories": coco_categories(),
        },
    )


def coco_categories() -> list[dict[str, Any]]:
    """Return the category rows of a COCO-294 file."""
    return [
        {
            "id": item.id,
            "name": item.name,
            "supercategory": "clothes",
            "keypoints": [str(number + 1) for number in range(NUM_LANDMARKS)],
            "skeleton": [[item.first_index + i for i in link] for link in item.outline_links],
        }
        for item in CATEGORIES
    ]


def load_coco(path: Path) -> Coco:
    """Read and validate a COCO-294 file; an information file without annotations has no instances.

    Raises:
        InputError: the file or one of its rows is malformed; the message names file and row.
    """
    path = Path(path)
    value = read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("images"), list):
        raise InputError(f"{path}: expected a COCO file, an object with a list of images")
    images = tuple(_image_row(path, number, row) for number, row in enumerate(value["images"]))
    known = {row.id for row in images}
    if len(known) != len(images):
        raise InputError(f"{path}: expected each image id once, but got {len(images) - len(known)} repeated")
    annotations = value.get("annotations", [])
    if not isinstance(annotations, list):
        raise InputError(f"{path}: expected a list of annotations, but got {type(annotations).__name__}")
    return Coco(path, images, _instances(path, annotations, known))


def _image_row(path: Path, number: int, row: Any) -> ImageRow:
    where = f"{path}: image {number}"
    try:
        image = ImageRow(
            id=int(row["id"]),
            file_name=str(row["file_name"]),
            width=int(row["width"]),
            height=int(row["height"]),
            source=str(row.get("source") or ""),
            pair_id=int(row.get("pair_id") or 0),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: expected id, file_name, width and height ({error!r})") from None
    if image.width <= 0 or image.height <= 0:
        raise InputError(f"{where}: expected a positive size, but got {image.width} x {image.height}")
    if Path(image.file_name).is_absolute() or ".." in Path(image.file_name).parts:
        raise InputError(
            f"{where}: expected a file name inside the image folder, but got {image.file_name!r}"
        )
    return image


def _instances(path: Path, annotations: list[Any], image_ids: set[int]) -> Instances:
    keypoints = np.zeros((len(annotations), MAX_LANDMARKS, 3))
    bbox = np.zeros((len(annotations), 4))
    integers = np.zeros((len(annotations), 4 + len(ATTRIBUTES)), dtype=np.int64)
    area = np.zeros(len(annotations))
    polygons = []
    for number, row in enumerate(annotations):
        where = f"{path}: annotation {number}"
        try:
            garment = category(row["category_id"])
            numbers = row["keypoints"]
            if len(numbers) != 3 * NUM_LANDMARKS:
                raise InputError(f"expected {3 * NUM_LANDMARKS} keypoint numbers, but got {len(numbers)}")
            own = numbers[3 * garment.first_index : 3 * (garment.first_index + garment.num_landmarks)]
            keypoints[number, : garment.num_landmarks] = np.asarray(own, dtype=float).reshape(-1, 3)
            bbox[number] = row["bbox"]
            area[number] = row.get("area", bbox[number, 2] * bbox[number, 3])
            integers[number, :4] = row["id"], row["image_id"], garment.id, bool(row.get("iscrowd", 0))
            integers[number, 4:] = [row.get(name) or 0 for name in ATTRIBUTES]
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(
                f"{where}: expected id, image_id, category_id, bbox and keypoints ({error!r})"
            ) from None
        segmentation = row.get("segmentation")
        polygons.append(segmentation if isinstance(segmentation, list) else [])
    _check_arrays(path, keypoints, bbox, area, integers, image_ids)
    return Instances(
        annotation_id=integers[:, 0],
        image_id=integers[:, 1],
        category_id=integers[:, 2],
        bbox_xywh=bbox,
        area=area,
        keypoints=keypoints,
        num_keypoints=(keypoints[:, :, 2] > 0).sum(axis=1),
        iscrowd=integers[:, 3].astype(bool),
        attributes={name: integers[:, 4 + i] for i, name in enumerate(ATTRIBUTES)},
        segmentation=tuple(polygons),
    )


def _check_arrays(
    path: Path,
    keypoints: np.ndarray,
    bbox: np.ndarray,
    area: np.ndarray,
    integers: np.ndarray,
    image_ids: set[int],
) -> None:
    """Refuse what no single row shows, and what is cheaper to see on whole arrays."""
    checks = {
        "finite coordinates": ~(
            np.isfinite(keypoints).all(axis=(1, 2)) & np.isfinite(bbox).all(axis=1) & np.isfinite(area)
        ),
        "a visibility of 0, 1 or 2": ~np.isin(keypoints[:, :, 2], (0, 1, 2)).all(axis=1),
        "an image id that is in the file": ~np.isin(integers[:, 1], list(image_ids)),
    }
    for expected, bad in checks.items():
        if bad.any():
            raise InputError(f"{path}: annotation {int(np.argmax(bad))}: expected {expected}")
    ids, counts = np.unique(integers[:, 0], return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{path}: expected each annotation id once, but id {ids[np.argmax(counts)]} repeats")


def category_counts(category_id: np.ndarray) -> np.ndarray:
    """(13,) number of instances of each category."""
    return np.bincount(np.asarray(category_id, dtype=np.int64), minlength=NUM_CATEGORIES + 1)[1:]
