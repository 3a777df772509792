"""What is wrong or doubtful with one raw item.

`kps.data.coco.coco_annotation` alone decides what cannot be converted; here its refusals get a code, and items
that it accepts are looked at for what is doubtful.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kps.data.coco import MIN_BOX_SIDE, coco_annotation
from kps.data.findings import Finding
from kps.data.raw import RawAnnotation
from kps.files import InputError
from kps.schema import category

HUGE_PX = 1e5
BORDER_PX = 2.0  # labellers' boxes and landmarks end a pixel or two beyond the image
FAR = 0.5  # landmarks farther outside the box than this share of its longer side are far
MIN_LANDMARKS_FOR_XYWH = 3
_REFUSED = ("polygon_malformed", "box_empty", "box_inverted", "box_looks_like_xywh")
SOURCES = ("shop", "user")
RANGED_ATTRIBUTES = ("scale", "occlusion", "zoom_in", "viewpoint")  # each 1..3

Size = tuple[int, int] | None
Suspicion = tuple[str, str]  # code, text


def check_annotation(annotation: RawAnnotation) -> list[Finding]:
    """Check what an annotation file says of the image."""
    findings = []
    if not annotation.items:
        findings.append(Finding("no_items", f"{annotation.path}: no item1, item2, ..."))
    if annotation.source not in SOURCES:
        text = f"{annotation.path}: source is {annotation.source!r}"
        findings.append(Finding("source_unknown", text))
    return findings


def check_item(item: dict[str, Any], *, where: str, size_wh: Size) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Return a raw item's COCO-294 annotation, None where it cannot be converted, and what was found.

    Args:
        item: the raw item.
        where: file and item, which lead each text.
        size_wh: the image's width and height in px, None where unknown.
    """
    try:
        row = coco_annotation(item, annotation_id=0, image_id=0, where=where)
    except InputError as error:
        return None, [Finding(_refusal(item, size_wh), str(error))]
    suspicions = _suspicions(item, row, size_wh)
    return row, [Finding(code, f"{where}: {text}") for code, text in suspicions]


def own_landmarks(row: dict[str, Any]) -> np.ndarray:
    """(K, 3) the landmarks of the category of a COCO-294 annotation."""
    own = category(row["category_id"]).slice
    return np.array(row["keypoints"][3 * own.start : 3 * own.stop], dtype=float).reshape(-1, 3)


def _refusal(item: dict[str, Any], size_wh: Size) -> str:
    """The code of what `coco_annotation` refuses."""
    try:
        garment = category(item.get("category_id"))
    except InputError:
        return "category_unknown"
    box, landmarks = _floats(item.get("bounding_box")), _floats(item.get("landmarks"))
    if box is None or landmarks is None or len(box) != 4:
        return "item_malformed"
    if len(landmarks) != 3 * garment.num_landmarks:
        return "landmark_count"
    numbers = np.concatenate([box, landmarks])
    if not np.isfinite(numbers).all():
        return "number_not_finite"
    if np.abs(numbers).max() > HUGE_PX:
        return "number_huge"
    if not np.isin(landmarks[2::3], (0, 1, 2)).all():
        return "visibility"
    points = landmarks.reshape(-1, 3)
    suspicions = [*_polygons(item.get("segmentation")), *_box(box, points[points[:, 2] > 0, :2], size_wh)]
    return next((code for code, _ in suspicions if code in _REFUSED), "item_malformed")


def _suspicions(item: dict[str, Any], row: dict[str, Any], size_wh: Size) -> Iterator[Suspicion]:
    garment = category(row["category_id"])
    name = item.get("category_name")
    if name is not None and name not in (garment.name, garment.coco_name):
        yield "category_name_differs", f"id {garment.id} is {garment.name}, but the name is {name!r}"
    for attribute in RANGED_ATTRIBUTES:
        if row[attribute] not in (1, 2, 3):
            yield "attribute_out_of_range", f"{attribute} is {item.get(attribute)!r}"
    yield from _polygons(item.get("segmentation"))
    x, y, width, height = row["bbox"]
    box, landmarks = np.array([x, y, x + width, y + height], dtype=float), own_landmarks(row)
    largest = max(np.abs(box).max(), np.abs(landmarks).max())
    if largest > HUGE_PX:
        yield "number_huge", f"a coordinate of {largest:g} px"
        return
    labelled = landmarks[landmarks[:, 2] > 0, :2]
    if not len(labelled):
        yield "no_landmarks", f"a {garment.name} without a labelled landmark"
    wrong_box = list(_box(box, labelled, size_wh))
    yield from wrong_box
    yield from _places(box, labelled, size_wh, box_is_right=not wrong_box)


def _polygons(value: Any) -> Iterator[Suspicion]:
    if not value:
        yield "polygon_absent", "no segmentation"
        return
    if not isinstance(value, list) or not all(_is_numbers(polygon) for polygon in value):
        yield "polygon_malformed", "segmentation is not a list of lists of numbers"
        return
    lengths = [len(polygon) for polygon in value]
    if odd := [length for length in lengths if length % 2]:
        yield "polygon_odd_length", f"a polygon of {odd[0]} numbers"
    if short := [length for length in lengths if length < 6]:
        yield "polygon_short", f"a polygon of {short[0]} numbers"


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) in (int, float) for number in value)


def _box(box: np.ndarray, labelled: np.ndarray, size_wh: Size) -> Iterator[Suspicion]:
    """At most one code for a box (4,) and the item's labelled landmarks (N, 2)."""
    x1, y1, x2, y2 = box
    text = f"box {[round(value, 1) for value in box.tolist()]}"
    if size_wh is not None:
        text += f", image {size_wh[0]} x {size_wh[1]}"
    if _looks_like_xywh(box, labelled, size_wh):
        yield "box_looks_like_xywh", f"{text}: the landmarks lie in [x, y, x + {x2:g}, y + {y2:g}]"
    elif x2 < x1 or y2 < y1:
        yield "box_inverted", text
    elif min(x2 - x1, y2 - y1) < MIN_BOX_SIDE:
        yield "box_empty", text
    elif size_wh is not None:
        width, height = size_wh
        if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
            yield "box_outside_image", text
        elif min(x1, y1, width - x2, height - y2) < -BORDER_PX:
            yield "box_beyond_image", text


def _looks_like_xywh(box: np.ndarray, labelled: np.ndarray, size_wh: Size) -> bool:
    """Whether the landmarks lie in [x, y, x + w, y + h] rather than in [x1, y1, x2, y2]."""
    other = np.concatenate([box[:2], box[:2] + box[2:]])
    if len(labelled) < MIN_LANDMARKS_FOR_XYWH or (box[2:] <= 0).any():
        return False
    if size_wh is not None and (other[2:] > np.add(size_wh, BORDER_PX)).any():
        return False
    return bool(_inside(other, labelled).mean() >= 0.9 and _inside(box, labelled).mean() <= 0.5)


def _inside(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) whether points (N, 2) lie in a box (4,), give or take 5 % of its longer side."""
    margin = 0.05 * np.abs(box[2:] - box[:2]).max()
    return ((points >= box[:2] - margin) & (points <= box[2:] + margin)).all(axis=1)


def _places(box: np.ndarray, labelled: np.ndarray, size_wh: Size, *, box_is_right: bool) -> Iterator[Suspicion]:
    """Landmarks (N, 2) outside the image or far outside the box (4,)."""
    if size_wh is not None:
        beyond = ((labelled < -BORDER_PX) | (labelled > np.add(size_wh, BORDER_PX))).any(axis=1)
        if beyond.any():
            x, y = labelled[np.argmax(beyond)]
            yield "landmark_outside_image", f"landmark at ({x:g}, {y:g}), image {size_wh[0]} x {size_wh[1]}"
    if len(labelled) and box_is_right:
        distance = np.maximum(box[:2] - labelled, labelled - box[2:]).max(axis=1)
        if distance.max() > FAR * (box[2:] - box[:2]).max():
            x, y = labelled[np.argmax(distance)]
            yield "landmark_far_from_box", f"landmark at ({x:g}, {y:g}), box {box.tolist()}"


def _floats(value: Any) -> np.ndarray | None:
    """A flat list as an array, None where it is none."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.ndim == 1 else None
