"""Files of one's own: what a COCO-294 file, a box file or a result list says twice is compared.

`load_coco` refuses a row that contradicts itself. Here whole files are judged: where most rows are off, the
numbers mean something else than they should (corners, shares of the photo, another size) and the file is
refused; where a few are, they are counted, since real labels have such defects.

Letters: N rows, K places (x px, y px), P pairs of a box and a garment.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from kps.data.checks import BORDER_PX, KINDS, check_image
from kps.data.coco import Coco
from kps.data.photos import stored_path
from kps.evaluation.matching import check_images, iou, same_image
from kps.files import InputError, progress
from kps.results.predictions import Predictions, Results, span
from kps.schema import own_landmark_mask

LARGEST_SHARE = 1.05  # coordinates that are shares of the photo go up to 1 or a little beyond
BEYOND = 0.02  # of the photo's longer side: what lies farther beyond the photo is counted
MARGIN = 0.05  # of the box's longer side: what lies farther outside the box is counted
MIN_LANDMARKS = 3  # that tell where a garment lies
MOST_OF_RESULTS = 0.7  # of a result's landmarks: bad ones stray, of another size nearly all do
MANY, MIN_REACH = 20, 0.6  # so many rows reach farther to the right or down than this share of their photos
MOSTLY, FIT, BETTER = 0.9, 0.65, 0.1  # share of boxes that could be corners; their IoU so, and its gain

# What is wrong, what was expected, and which rows (N,) are wrong, are off, and can be at all.
Check = tuple[str, str, np.ndarray, np.ndarray | bool, np.ndarray | bool]


def check_labels(coco: Coco, image_dir: Path | None = None) -> list[str]:
    """Compare a file's boxes, landmarks, areas and photos; return a line for each kind of doubt.

    The headers of its photos are read where the folder is given. InputError: a photo is no image or not of the size
    that its row states, or most annotations are off.
    """
    photos = [] if image_dir is None else _check_photos(coco, image_dir)
    items, size_wh = coco.instances, coco.sizes_wh(coco.instances.image_id)
    boxes, places, labelled = items.bbox_xywh, items.keypoints[:, :, :2], items.keypoints[:, :, 2] > 0
    known = np.flatnonzero(items.num_keypoints >= MIN_LANDMARKS)
    low, high = span(places[known], labelled[known])
    _refuse_corners(coco.path, boxes, size_wh, known, np.concatenate([low, high - low], axis=1), known)
    margin = np.maximum(MARGIN * boxes[:, 2:].max(axis=1, initial=0), BORDER_PX)
    outside = _num_outside(places, labelled, _ends(boxes), margin)
    have = items.num_keypoints > 0
    most = outside > (0 if have.sum() >= MANY else items.num_keypoints / 3)
    area_differs = np.abs(items.area - boxes[:, 2:].prod(axis=1)) > boxes[:, 2:].sum(axis=1) + 1
    checks = [
        *_box_checks(boxes, size_wh),
        *_place_checks("landmarks", places, labelled, size_wh, enough=0.5),
        ("landmarks outside the box", "x, y, width, height around them", outside > 0, most, have),
        ("an area, by which scores go, other than the box's", "", area_differs, False, True),
    ]
    return [*coco.remarks, *photos, *_judge(coco.path, "annotation id", items.annotation_id, checks)]


def check_results(truth: Coco, results: Results, path: Path) -> list[str]:
    """Compare boxes or landmarks of one's own with the photos and garments; return a line for each doubt.

    The garments of `truth`, if any, tell corners from widths and heights; `path` is the results' file, for messages.
    InputError: a row lies on an image that `truth` does not have, or most rows are off.
    """
    check_images(truth, results.image_id, path)
    size_wh, items = truth.sizes_wh(results.image_id), truth.instances
    if isinstance(results, Predictions):
        own = own_landmark_mask()[results.category_id - 1]
        checks = _place_checks("landmarks", results.keypoints[:, :, :2], own, size_wh, enough=MOST_OF_RESULTS)
    else:
        row, item = same_image(results.image_id, items.image_id)
        alike = results.category_id[row] == items.category_id[item]
        row, item = row[alike], item[alike]
        _refuse_corners(path, results.bbox_xywh, size_wh, row, items.bbox_xywh[item], item)
        checks = _box_checks(results.bbox_xywh, size_wh)
    lines = _judge(path, "row", np.arange(len(results)), checks)
    if len(items) and len(results) and not np.isin(results.category_id, items.category_id).any():
        lines.append(f"{path}: no row is of a category that {truth.path} holds")
    return lines


def _judge(path: Path, word: str, names: np.ndarray, checks: list[Check]) -> list[str]:
    """Return a line for each check that finds rows wrong; refuse the file where most rows are off."""
    lines = []
    for what, expected, wrong, off, can_be in checks:
        if wrong.any():
            total, first = np.sum(wrong | can_be), f"first {word} {names[np.argmax(wrong)]}"
            lines.append(f"{path}: {wrong.sum()} of {total} have {what}, {first}")
            if 2 * np.sum(off) > total:
                raise InputError(f"{lines[-1]}: expected {expected}")
    return lines


def _box_checks(boxes: np.ndarray, size_wh: np.ndarray) -> list[Check]:
    return _place_checks("a box", _ends(boxes), np.ones((len(boxes), 2), bool), size_wh, enough=0.5)


def _place_checks(
    what: str, places: np.ndarray, labelled: np.ndarray, size_wh: np.ndarray, *, enough: float
) -> list[Check]:
    """Whether labelled places (N, K, 2) are pixels of photos (N, 2), of a row at least the share `enough`."""
    (low, high), count = span(places, labelled), labelled.sum(axis=1)
    in_pixel = (low >= 0).all(axis=1) & (high <= LARGEST_SHARE).all(axis=1) & (high > 0).any(axis=1)
    photo = np.stack([np.zeros_like(size_wh), size_wh], axis=1)
    beyond = _num_outside(places, labelled, photo, BEYOND * size_wh.max(axis=1, initial=0))
    off = beyond >= np.maximum(enough * count, 1)
    reach = (high / size_wh).max(initial=0)
    small = np.full(len(places), len(places) >= MANY and 0 < reach < MIN_REACH)
    same = "pixels of a photo of its row's size"
    return [
        (f"{what} in the photo's first pixel", "pixels, not shares", in_pixel, in_pixel, count > 0),
        (f"{what} in the photo's upper left part, and so have all", same, small, small, True),
        (f"{what} beyond the photo", same, off, off, count > 0),
    ]


def _ends(boxes: np.ndarray) -> np.ndarray:
    """(N, 2, 2) upper left and lower right ends of boxes (N, 4) x, y, w, h."""
    return np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _num_outside(places: np.ndarray, labelled: np.ndarray, frame: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """(N,) how many labelled places (N, K, 2) lie farther than a margin outside frames (N, 2, 2)."""
    low, high = (frame[:, 0] - margin[:, None])[:, None], (frame[:, 1] + margin[:, None])[:, None]
    x, y = ((places[..., k] < low[..., k]) | (places[..., k] > high[..., k]) for k in (0, 1))  # see `span`
    return ((x | y) & labelled).sum(axis=1)


def _refuse_corners(
    path: Path, boxes: np.ndarray, size_wh: np.ndarray, row: np.ndarray, garments: np.ndarray, item: np.ndarray
) -> None:
    """Refuse boxes (N, 4) that lie in photos (N, 2) as x1, y1, x2, y2, and so fit garments better.

    Of the pairs of a `row` (P,) with one of the garments (P, 4), the best of each garment `item` (P,) counts.
    """
    corners = np.concatenate([boxes[:, :2], np.maximum(boxes[:, 2:] - boxes[:, :2], 0)], axis=1)
    fit = ((corners[:, 2:] > 0) & (boxes[:, 2:] <= size_wh + BORDER_PX)).all(axis=1)
    overlap = pd.DataFrame({"corners": iou(corners[row], garments), "sides": iou(boxes[row], garments)})
    best = overlap.groupby(item).max().mean()
    if fit.sum() > MOSTLY * len(fit) and best["corners"] > max(FIT, best["sides"] + BETTER):
        raise InputError(f"{path}: expected boxes as x, y, width, height, but got corners: {boxes[0].tolist()}")


def _check_photos(coco: Coco, image_dir: Path) -> list[str]:
    """Hold every photo's header against its row; return a line for each kind of finding."""
    found: dict[str, list[str]] = {}
    for row in progress(coco.images, desc="looking at photos", unit="photo"):
        path = stored_path(Path(image_dir) / row.file_name)
        size, findings = check_image(path)
        if size is None:
            raise InputError(findings[0].text)
        if size != (row.width, row.height):
            turned = "".join(f" ({each.text})" for each in findings)
            raise InputError(
                f"{coco.path}: image id {row.id}: expected the size of the stored photo {path}, "
                f"{size[0]} x {size[1]}, but got {row.width} x {row.height}{turned}"
            )
        for finding in (each for each in findings if each.code != "image_not_jpeg"):
            found.setdefault(KINDS[finding.code].what, []).append(finding.text)
    of = f"of {len(coco.images)}"
    return [f"{coco.path}: {len(texts)} {of} {what}, first {texts[0]}" for what, texts in found.items()]
