"""Files of one's own whose numbers contradict themselves: most of them refused, a few of them counted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import make_coco
from evaluation_cases import perfect
from garment_photos import write_photos
from PIL import Image

from kps.data.coco import Coco, load_coco
from kps.evaluation.labels import check_labels, check_results
from kps.files import InputError, read_json, write_json
from kps.results.detections import ground_truth_detections

Change = Callable[[dict[str, Any]], None]


def changed(folder: Path, change: Change, *, rows: slice = slice(None)) -> Coco:
    """Twenty-six garments with the change made to the annotations of the given rows."""
    path = make_coco(folder, (*range(1, 14), *range(1, 14))).path
    value = read_json(path)
    for row in value["annotations"][rows]:
        change(row)
    write_json(path, value)
    return load_coco(path)


def corners(row: dict[str, Any]) -> None:
    x, y, width, height = row["bbox"]
    row |= {"bbox": [x, y, x + width, y + height], "area": None}


def scaled(boxes: float, landmarks: float) -> Change:
    def change(row: dict[str, Any]) -> None:
        points = np.reshape(row["keypoints"], (-1, 3)) * [landmarks, landmarks, 1]
        row |= {"bbox": [boxes * number for number in row["bbox"]], "area": None, "keypoints": points.ravel().tolist()}

    return change


def centred(row: dict[str, Any]) -> None:
    x, y, width, height = row["bbox"]
    row["bbox"] = [x + width / 2, y + height / 2, width, height]


def one_stray_landmark(row: dict[str, Any]) -> None:
    first = row["keypoints"].index(next(filter(None, row["keypoints"])))
    row["keypoints"][first] = 460


OFF = {
    "corners": (corners, "x, y, width, height"),
    "of a photo twice as large": (scaled(2, 2), "beyond the photo"),
    "of a photo of two thirds the size": (scaled(2 / 3, 2 / 3), "upper left part"),
    "shares": (scaled(1 / 624, 1 / 624), "not shares"),
    "landmarks as shares": (scaled(1, 1 / 624), "not shares"),
    "boxes as shares": (scaled(1 / 624, 1), "not shares"),
    "boxes of another size": (scaled(1.5, 1), "landmarks outside the box"),
    "boxes by their centres": (centred, "landmarks outside the box"),
}


@pytest.mark.parametrize(("change", "says"), OFF.values(), ids=OFF)
def test_other_coordinates_are_refused_where_all_are_off_and_counted_where_one_is(
    tmp_path: Path, change: Change, says: str
) -> None:
    assert check_labels(changed(tmp_path, lambda row: None)) == []
    with pytest.raises(InputError, match=says) as caught:
        check_labels(changed(tmp_path, change))
    assert str(caught.value).startswith(f"{tmp_path / 'coco.json'}: ")
    lines = check_labels(changed(tmp_path, change, rows=slice(4, 5)))
    if change not in (OFF["corners"][0], OFF["of a photo of two thirds the size"][0]):  # one alone may be right
        assert any("1 of 26" in line and "first annotation id 5" in line for line in lines)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (one_stray_landmark, "3 of 26 have landmarks outside the box, first annotation id 3"),
        (lambda row: row.update(area=row["area"] / 2), "3 of 26 have an area"),
        (lambda row: row.update(num_keypoints=0), "3 of 26 have a wrong num_keypoints, first annotation 2"),
        (lambda row: row.update(bbox=[100, 50, 400, 300], area=None), "3 of 26 have a box beyond the photo"),
    ],
    ids=["landmark", "area", "num_keypoints", "box"],
)  # fmt: skip
def test_what_real_labels_have_is_counted(tmp_path: Path, change: Change, says: str) -> None:
    (line,) = check_labels(changed(tmp_path, change, rows=slice(2, 5)))
    assert line.startswith(f"{tmp_path / 'coco.json'}: {says}")


def check_photos(folder: Path, orientation: int, size_wh: tuple[int, int] = (120, 160)) -> list[str]:
    """Check three garments whose second photo, 120 x 160 by its row, is written anew."""
    coco = load_coco(write_photos(folder, count=3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size_wh).save(folder / "image" / "000002.jpg", exif=exif)
    return check_labels(coco, folder / "image")


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_photo_of_another_size_is_refused_and_a_turned_one_named(tmp_path: Path, orientation: int) -> None:
    lines, turn = check_photos(tmp_path / "as stated", orientation), f"EXIF orientation {orientation}"
    assert len(lines) == (orientation != 1)
    assert all("1 of 3 images with an EXIF" in line and f"000002.jpg: {turn}" in line for line in lines)
    with pytest.raises(InputError, match=r"image id 2: .*000002\.jpg, 160 x 120, but got 120 x 160") as caught:
        check_photos(tmp_path / "other", orientation, (160, 120))
    assert (turn in str(caught.value)) == (orientation != 1)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>"])
def test_a_photo_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    coco = load_coco(write_photos(tmp_path / "set", count=3))
    assert check_labels(coco, tmp_path / "set" / "image") == []
    (tmp_path / "set" / "image" / "000003.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"000003\.jpg: "):
        check_labels(coco, tmp_path / "set" / "image")


def test_results_are_compared_with_photos_and_garments(tmp_path: Path) -> None:
    coco, path = make_coco(tmp_path), tmp_path / "results.json"
    boxes, landmarks = ground_truth_detections(coco), perfect(coco)
    assert check_results(coco, boxes, path) == check_results(coco, landmarks, path) == []
    corner, size = boxes.bbox_xywh[:, :2], boxes.bbox_xywh[:, 2:]
    for off, says in (
        (replace(boxes, bbox_xywh=boxes.bbox_xywh * 2), "beyond the photo"),
        (replace(boxes, bbox_xywh=boxes.bbox_xywh / 624), "not shares"),
        (replace(boxes, bbox_xywh=np.hstack([corner, corner + size])), "x, y, width, height"),
        (replace(landmarks, keypoints=landmarks.keypoints * 3), "beyond the photo"),
        (replace(landmarks, keypoints=landmarks.keypoints / 624), "not shares"),
        (replace(landmarks, image_id=landmarks.image_id + 1), "first row 12 with image id 14"),
    ):
        with pytest.raises(InputError, match=says) as caught:
            check_results(coco, off, path)
        assert str(caught.value).startswith(f"{path}: ")
    some = replace(boxes, bbox_xywh=np.where(boxes.detection_id[:, None] == 7, 500, boxes.bbox_xywh))
    assert check_results(coco, some, path) == [f"{path}: 1 of 13 have a box beyond the photo, first row 6"]
    few = make_coco(tmp_path, (1, 2))
    of_others = replace(ground_truth_detections(few), category_id=np.array([3, 3]))
    assert check_results(few, of_others, path) == [f"{path}: no row is of a category that {few.path} holds"]
