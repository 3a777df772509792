"""Raw items become COCO-294 annotations and come back; broken files are named with their row."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from builders import make_coco, make_image_row, make_item, plain
from hypothesis import given
from hypothesis import strategies as st

from kps.data.coco import category_counts, check_polygons, coco_annotation, load_coco, save_coco
from kps.files import InputError, read_json, write_json
from kps.schema import CATEGORIES, category


@given(st.integers(1, 13), st.integers(0, 1000))
def test_a_raw_item_keeps_every_landmark_in_its_categorys_slots(category_id: int, seed: int) -> None:
    item = make_item(category_id, seed=seed)
    row = coco_annotation(item, annotation_id=7, image_id=3, where="test")
    garment = category(category_id)
    start = 3 * garment.first_index
    assert row["keypoints"][start : start + 3 * garment.num_landmarks] == item["landmarks"]
    assert len(row["keypoints"]) == 882
    assert sum(map(bool, row["keypoints"])) == sum(map(bool, item["landmarks"]))
    assert row["bbox"] == [100, 50, 200, 300] and row["area"] == 60000
    assert row["num_keypoints"] == garment.num_landmarks


def test_a_file_survives_the_round_trip(tmp_path: Path) -> None:
    coco = make_coco(tmp_path)
    assert [row.id for row in coco.images] == list(range(1, 14))
    for number, garment in enumerate(CATEGORIES):
        item = make_item(garment.id, seed=number + 1)
        own = coco.instances.keypoints[number]
        assert own[: garment.num_landmarks].ravel().tolist() == item["landmarks"]
        assert not own[garment.num_landmarks :].any()
        assert coco.instances.attributes["zoom_in"][number] == item["zoom_in"]
        assert plain(coco.instances.segmentation[number]) == item["segmentation"]


def test_subset_by_category_keeps_all_images(tmp_path: Path) -> None:
    part = make_coco(tmp_path).subset(category_id=5)
    assert len(part.images) == 13 and part.instances.category_id.tolist() == [5]


def test_subset_by_image_drops_the_rest(tmp_path: Path) -> None:
    part = make_coco(tmp_path).subset(image_ids=[2, 4])
    assert part.image_ids.tolist() == [2, 4] and part.instances.category_id.tolist() == [2, 4]


def test_visible_only_clears_occluded_landmarks(tmp_path: Path) -> None:
    coco = make_coco(tmp_path)
    visible = coco.visible_only().instances
    assert set(np.unique(visible.keypoints[:, :, 2])) == {0, 2}
    assert (visible.num_keypoints == (coco.instances.keypoints[:, :, 2] == 2).sum(axis=1)).all()
    assert (visible.num_keypoints < coco.instances.num_keypoints).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"landmarks": [1, 2, 2]}, "expected 75 landmark numbers for a short sleeve top, but got 3"),
        ({"category_id": 14}, "category id from 1 to 13"),
        ({"category_id": "x"}, "category id from 1 to 13"),
        ({"bounding_box": [1, 2, 3]}, "bounding_box of 4 numbers"),
        ({"landmarks": [float("nan")] * 75}, "finite"),
        ({"landmarks": None}, "landmarks of 75 numbers"),
        ({"landmarks": [1, 2, 3] * 25}, "visibility of 0, 1 or 2"),
        ({"bounding_box": [300, 50, 100, 350]}, "bounding_box x1, y1, x2, y2"),
        ({"viewpoint": "2"}, "whole number as viewpoint"),
        ({"segmentation": "none"}, "segmentation"),
    ],
)
def test_a_broken_item_is_named(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        coco_annotation(
            make_item(**changes) if "category_id" not in changes else {**make_item(), **changes},
            annotation_id=1,
            image_id=1,
            where="annos/000001.json: item1",
        )
    assert str(caught.value).startswith("annos/000001.json: item1: ")


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("images", {"width": 0}, "image 0: expected a positive size"),
        ("images", {"file_name": "../x.jpg"}, "image 0: expected a file name inside the image folder"),
        ("annotations", {"keypoints": [1, 2, 3]}, "annotation 0: expected keypoints of 882 numbers, but got 3"),
        ("annotations", {"category_id": 99}, "annotation 0: expected a category id"),
        ("annotations", {"image_id": 99}, "annotation 0: expected an image id that is in the file"),
        ("annotations", {"bbox": [1, 2]}, "annotation 0: expected bbox of 4 numbers"),
        ("annotations", {"bbox": [1, 2, -3, 4]}, "annotation 0: expected a box of a width"),
        ("annotations", {"keypoints": ["1"] * 882}, "annotation 0: expected keypoints as numbers"),
        ("annotations", {"scale": 2**63}, "annotation 0: expected a whole number as scale"),
        ("images", {"id": "1"}, "image 0: expected a whole number as id"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, part: str, changes: dict, message: str) -> None:
    make_coco(tmp_path, (1, 2))
    value = read_json(tmp_path / "coco.json")
    value[part][0].update(changes)
    write_json(tmp_path / "broken.json", value)
    with pytest.raises(InputError, match=message) as caught:
        load_coco(tmp_path / "broken.json")
    assert "broken.json" in str(caught.value)


def test_repeated_ids_are_refused(tmp_path: Path) -> None:
    rows = [coco_annotation(make_item(), annotation_id=1, image_id=1, where="") for _ in range(2)]
    save_coco(tmp_path / "a.json", [make_image_row()], rows)
    with pytest.raises(InputError, match="id 1 repeats"):
        load_coco(tmp_path / "a.json")
    save_coco(tmp_path / "b.json", [make_image_row(), make_image_row()], [])
    with pytest.raises(InputError, match="image 1: expected each image id once, but 1 repeats"):
        load_coco(tmp_path / "b.json")


def test_an_information_file_without_annotations_has_images_only(tmp_path: Path) -> None:
    write_json(tmp_path / "information.json", {"images": [make_image_row(5)]})
    coco = load_coco(tmp_path / "information.json")
    assert len(coco.images) == 1 and len(coco.instances) == 0


def test_what_a_file_leaves_out_is_filled_in(tmp_path: Path) -> None:
    row = coco_annotation(make_item(), annotation_id=1, image_id=1, where="")
    for name in ("area", "iscrowd", "segmentation", "scale"):
        del row[name]
    row["viewpoint"] = None
    save_coco(tmp_path / "coco.json", [make_image_row()], [row])
    garments = load_coco(tmp_path / "coco.json").instances
    assert garments.area.tolist() == [60000] and not garments.iscrowd.any() and garments.segmentation[0] == []
    assert garments.attributes["scale"].tolist() == garments.attributes["viewpoint"].tolist() == [0]


def test_memory_grows_with_what_is_kept_not_with_the_file(tmp_path: Path) -> None:
    row = coco_annotation(make_item(7), annotation_id=1, image_id=1, where="")

    def peak(count: int) -> int:
        save_coco(tmp_path / "coco.json", [make_image_row()], [row | {"id": i} for i in range(count)])
        tracemalloc.start()
        try:
            assert len(load_coco(tmp_path / "coco.json").instances) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    bytes_a_row = (peak(6000) - peak(3000)) / 3000
    assert bytes_a_row < 2500, "39 x 3 numbers take 936 bytes, 882 Python numbers at least 7,056"


def test_category_counts() -> None:
    assert category_counts(np.array([1, 1, 13])).tolist() == [2] + [0] * 11 + [1]


@pytest.mark.parametrize("value", [None, {"counts": "abc", "size": [1, 2]}, []])
def test_other_masks_count_as_no_polygons(value: object) -> None:
    assert check_polygons(value) == []


@pytest.mark.parametrize("value", ["text", 5, [1, 2], [[1, "2"]], [[1, True]], [[1, None]], [{"x": 1}], [[1e10, 2]]])
def test_what_is_no_list_of_polygons_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="expected segmentation"):
        check_polygons(value)
