"""The box file: ids, and the smallest boxes. Round trips are in test_round_trips, broken files in broken_lists."""

from pathlib import Path

import numpy as np
from builders import make_coco

from kps.data.coco import MIN_BOX_SIDE, load_coco
from kps.files import read_json, write_json
from kps.results.detections import ground_truth_detections, load_detections, save_detections


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
