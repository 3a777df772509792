"""COCO-294 files: what a reader fills in, parts of a file in memory and on disk."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from builders import make_coco, make_image_row, make_item, save_coco

from kps.data import coco as coco_module
from kps.data.coco import category_counts, check_polygons, coco_annotation, load_coco, save_selection
from kps.files import InputError, read_json, write_json


def test_a_subset_by_category_keeps_all_images_and_one_by_image_drops_the_rest(tmp_path: Path) -> None:
    coco = make_coco(tmp_path)
    part = coco.subset(category_id=5)
    assert part.images == coco.images and part.instances.category_id.tolist() == [5]
    part = coco.subset(image_ids=[2, 4])
    assert part.image_ids.tolist() == [2, 4] and part.instances.category_id.tolist() == [2, 4]


def test_visible_only_clears_occluded_landmarks(tmp_path: Path) -> None:
    coco = make_coco(tmp_path)
    visible = coco.visible_only().instances
    assert set(np.unique(visible.keypoints[:, :, 2])) == {0, 2}
    assert (visible.num_keypoints == (coco.instances.keypoints[:, :, 2] == 2).sum(axis=1)).all()
    assert (visible.num_keypoints < coco.instances.num_keypoints).any()


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

    bytes_a_row = (peak(4000) - peak(2000)) / 2000
    assert bytes_a_row < 2500, "39 x 3 numbers take 936 bytes, 882 Python numbers at least 7,056"


def test_category_counts() -> None:
    assert category_counts(np.array([1, 1, 13])).tolist() == [2] + [0] * 11 + [1]


def test_annotations_read_at_once_are_those_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, added = tmp_path / "coco.json", []
    rows = [coco_annotation(make_item(1 + i % 13), annotation_id=i, image_id=1, where="") for i in range(1000)]
    save_coco(path, [make_image_row()], rows)
    add = coco_module._Annotations.add
    monkeypatch.setattr(coco_module._Annotations, "add", lambda *row, **how: added.append(how) or add(*row, **how))
    at_once = load_coco(path).instances
    assert added.count({}) < 10, "those of a file's end, which is not known before"
    monkeypatch.setattr(coco_module, "own_numbers", lambda text: text.nothing)
    one_by_one = load_coco(path).instances
    for name in ("annotation_id", "category_id", "bbox_xywh", "area", "keypoints", "num_keypoints"):
        assert np.array_equal(getattr(at_once, name), getattr(one_by_one, name)), name
    assert [part[0].tolist() for part in at_once.segmentation] == [part[0].tolist() for part in one_by_one.segmentation]


@pytest.mark.parametrize("value", [None, {"counts": "abc", "size": [1, 2]}, []])
def test_other_masks_count_as_no_polygons(value: object) -> None:
    assert check_polygons(value) == []


@pytest.mark.parametrize("value", ["text", 5, [1, 2], [[1, "2"]], [[1, True]], [[1, None]], [{"x": 1}], [[1e10, 2]]])
def test_what_is_no_list_of_polygons_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="expected segmentation"):
        check_polygons(value)


@pytest.mark.parametrize(("image_ids", "visible_only"), [([2, 4], False), ([2, 4], True), ([], False)])
def test_the_selection_is_the_subset(tmp_path: Path, image_ids: list[int], visible_only: bool) -> None:
    coco = make_coco(tmp_path, (1, 8, 13, 1))
    save_selection(coco.path, tmp_path / "part.json", image_ids, visible_only=visible_only)
    part = load_coco(tmp_path / "part.json")
    expected = coco.subset(image_ids=image_ids)
    expected = expected.visible_only() if visible_only else expected
    assert part.images == expected.images
    for name in ("annotation_id", "image_id", "category_id", "bbox_xywh", "keypoints", "num_keypoints"):
        assert (getattr(part.instances, name) == getattr(expected.instances, name)).all()
    if not visible_only:
        rows = {row["id"]: row for row in read_json(coco.path)["annotations"]}
        assert all(rows[row["id"]] == row for row in read_json(tmp_path / "part.json")["annotations"])


def test_a_broken_file_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"images": [')
    (tmp_path / "out.json").write_text("before")
    with pytest.raises(InputError, match=r"broken\.json"):
        save_selection(tmp_path / "broken.json", tmp_path / "out.json", [1])
    assert (tmp_path / "out.json").read_text() == "before"
