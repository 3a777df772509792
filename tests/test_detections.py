"""The box file survives the round trip and refuses what is malformed."""

from pathlib import Path

import numpy as np
import pytest
from builders import make_coco, make_detections

from kps.data.coco import MIN_BOX_SIDE, load_coco
from kps.files import InputError, read_json, write_json
from kps.results.detections import ground_truth_detections, load_detections, save_detections


def test_a_file_survives_the_round_trip(tmp_path: Path) -> None:
    detections = make_detections(20)
    save_detections(tmp_path / "boxes.json", detections)
    loaded = load_detections(tmp_path / "boxes.json")
    for name, value in vars(detections).items():
        assert np.array_equal(getattr(loaded, name), value), name


def test_rows_without_ids_are_numbered(tmp_path: Path) -> None:
    write_json(tmp_path / "own.json", [{"image_id": 4, "category_id": 2, "bbox": [0, 0, 5, 5], "score": 1}] * 3)
    assert load_detections(tmp_path / "own.json").detection_id.tolist() == [1, 2, 3]


def test_ground_truth_boxes_carry_the_annotation_id(tmp_path: Path) -> None:
    coco = make_coco(tmp_path)
    detections = ground_truth_detections(coco)
    assert np.array_equal(detections.detection_id, coco.instances.annotation_id)
    assert (detections.score == 1).all()


def test_boxes_as_small_as_a_coco_file_may_hold_come_back(tmp_path: Path) -> None:
    path = make_coco(tmp_path, (1, 2)).path
    value = read_json(path)
    for row, height in zip(value["annotations"], (MIN_BOX_SIDE, 0.014), strict=True):
        row |= {"bbox": [100, 50, 200, height], "area": None}
    write_json(path, value)
    save_detections(tmp_path / "boxes.json", ground_truth_detections(load_coco(path)))
    assert load_detections(tmp_path / "boxes.json").bbox_xywh[:, 3].tolist() == [0.01, 0.01]


ROW = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, "id": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [1, 2, 3]}, "row 1: expected bbox of 4 numbers"),
        ({"bbox": [1, 2, 0, 4]}, "row 1: expected a bbox with a positive width"),
        ({"category_id": 0}, "row 1: expected a category id"),
        ({"image_id": "1"}, "row 1: expected a whole number as image_id"),
        ({"score": "high"}, "row 1: expected a number as score"),
        ({"id": 1}, "id 1 repeats"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    write_json(tmp_path / "boxes.json", [ROW, {**ROW, "id": 2, **changes}])
    with pytest.raises(InputError, match=message):
        load_detections(tmp_path / "boxes.json")


def test_something_else_than_a_list_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "boxes.json", {"boxes": []})
    with pytest.raises(InputError, match="expected a JSON list, but got"):
        load_detections(tmp_path / "boxes.json")
