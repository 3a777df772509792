"""Raw annotations become COCO-294 files without a loss, the same for any number of workers."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from builders import make_item, make_raw_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kps.data.convert
from kps.data.coco import coco_annotation, load_coco, visible_only_annotation
from kps.data.convert import compare_with_official, convert_split
from kps.files import InputError, read_json


def make_items(seed: int) -> dict[str, dict]:
    """One to three items with random categories, attributes and visibilities, some without landmarks."""
    rng = np.random.default_rng(seed)
    items = {}
    for number in range(1, rng.integers(2, 5)):
        item = make_item(int(rng.integers(1, 14)), seed=int(rng.integers(1000)))
        landmarks = np.array(item["landmarks"]).reshape(-1, 3)
        landmarks[:, 2] = rng.integers(0, 3, len(landmarks)) * rng.integers(0, 2)
        landmarks[landmarks[:, 2] == 0] = 0
        item["landmarks"] = landmarks.ravel().tolist()
        items[f"item{number}"] = item | {name: int(rng.integers(1, 4)) for name in ("scale", "viewpoint")}
    return items


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6))
def test_every_item_survives_the_conversion(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / str(seed)
    items = make_items(seed)
    make_raw_folder(folder, {"pair_id": 5, "source": "shop", **items}, image_id=7)
    counts = convert_split(folder, "train", folder / "coco.json", workers=1)
    coco = load_coco(folder / "coco.json")
    (image,) = coco.images
    assert (image.id, image.file_name, image.width, image.height) == (7, "000007.jpg", 468, 624)
    assert (image.source, image.pair_id) == ("shop", 5)
    assert len(coco.instances) == counts.num_items == len(items)
    raw = {"where": "", "image_id": 7}
    rows = [coco_annotation({"pair_id": 5} | item, annotation_id=i, **raw) for i, item in enumerate(items.values(), 1)]
    assert read_json(folder / "coco.json")["annotations"] == rows
    empty = sum(not any(item["landmarks"]) for item in items.values())
    assert counts.num_items_without_landmarks == empty == (coco.instances.num_keypoints == 0).sum()


def test_the_output_does_not_depend_on_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kps.data.convert, "CHUNK_FILES", 2)
    for number in range(1, 10):
        make_raw_folder(tmp_path, make_items(number), image_id=number)
    outs = [tmp_path / "one.json", tmp_path / "two.json"]
    for workers, out in enumerate(outs, start=1):
        convert_split(tmp_path, "train", out, workers=workers)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert [row.id for row in load_coco(outs[0]).images] == list(range(1, 10))


def test_the_second_file_has_occluded_landmarks_unlabelled(tmp_path: Path) -> None:
    for number in range(1, 6):
        make_raw_folder(tmp_path, make_items(number), image_id=number)
    both, visible = tmp_path / "both.json", tmp_path / "visible.json"
    convert_split(tmp_path, "train", both, visible_only_out=visible)
    value = read_json(both)
    rows = [visible_only_annotation(row) for row in value["annotations"]]
    assert rows != value["annotations"] and read_json(visible) == value | {"annotations": rows}


def test_any_coco_tool_reads_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pycocotools.coco import COCO

    make_raw_folder(tmp_path, {"item1": make_item(3), "item2": make_item(8)})
    convert_split(tmp_path, "train", tmp_path / "coco.json")
    coco = COCO(str(tmp_path / "coco.json"))
    capsys.readouterr()
    assert len(coco.getCatIds()) == 13 and len(coco.getAnnIds(imgIds=[1])) == 2
    assert len(coco.loadAnns([1])[0]["keypoints"]) == 882


def test_a_limit_takes_the_first_photos(tmp_path: Path) -> None:
    for number in (3, 20, 100):
        make_raw_folder(tmp_path, image_id=number)
    assert convert_split(tmp_path, "train", tmp_path / "coco.json", limit=2).num_images == 2
    assert load_coco(tmp_path / "coco.json").image_ids.tolist() == [3, 20]
    with pytest.raises(InputError, match="at least 1"):
        convert_split(tmp_path, "train", tmp_path / "coco.json", limit=0)


def test_test_photos_come_from_the_information_file_or_the_folder(tmp_path: Path) -> None:
    for number in (1, 2):
        make_raw_folder(tmp_path, split="test", image_id=number)
    out = tmp_path / "coco.json"
    counts = convert_split(tmp_path, "test", out)
    assert counts.num_images == 2 and load_coco(out).image_ids.tolist() == [1, 2]
    information = tmp_path / "json_for_test" / "keypoints_test_information.json"
    information.parent.mkdir()
    information.write_text(json.dumps({"images": [{"id": 2, "file_name": "test/image/000002.jpg"}]}))
    convert_split(tmp_path, "test", out)
    (image,) = load_coco(out).images
    assert (image.id, image.file_name, image.width, image.height) == (2, "000002.jpg", 468, 624)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": []}', "list of images"),
        ('{"images": [{"id": 1, "file_name": "1.jpg"}, {"id": 1, "file_name": "1.jpg"}]}', "each image id once"),
        ('{"images": [{"id": 9, "file_name": "000009.jpg"}]}', r"000009\.jpg: no such image"),
        ('{"images": [3]}', "row 0: expected an object"),
    ],
)
def test_a_malformed_information_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    make_raw_folder(tmp_path, split="test")
    (tmp_path / "keypoints_test_information.json").write_text(content)
    with pytest.raises(InputError, match=message):
        convert_split(tmp_path, "test", tmp_path / "coco.json")
    assert not (tmp_path / "coco.json").exists()


def make_flawed_folder(root: Path) -> None:
    """Seven photos of two items each: 2 with a bad item, 3 cut off, 4 without and 5 with a broken image."""
    for number in range(1, 8):
        make_raw_folder(root, {"item1": make_item(1), "item2": make_item(8)}, image_id=number)
    annos, images = root / "train" / "annos", root / "train" / "image"
    make_raw_folder(root, {"item1": make_item(1, landmarks=[]), "item2": make_item(8)}, image_id=2)
    (annos / "000003.json").write_text('{"item1": {')
    (images / "000004.jpg").unlink()
    (images / "000005.jpg").write_bytes(b"<html>404</html>")
    (annos / "6.json").write_text("{}")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_converted_is_skipped_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(kps.data.convert, "CHUNK_FILES", 2)
    make_flawed_folder(tmp_path)
    both, visible = tmp_path / "both.json", tmp_path / "visible.json"
    counts = convert_split(tmp_path, "train", both, visible_only_out=visible, workers=workers)
    expected = [
        "annos/6.json: has the same number",
        "annos/000002.json, item1: expected 75",
        "annos/000003.json: expected JSON",
        "annos/000004.json: expected its image",
        "image/000005.jpg: expected an image",
    ]
    assert counts.num_skipped == len(expected)
    assert all(f"/train/{start}" in line for line, start in zip(counts.skipped, expected, strict=True))
    for file in (both, visible):
        coco = load_coco(file)
        assert coco.image_ids.tolist() == [1, 2, 6, 7]
        # 3 cannot be read, so its items have no numbers; those of 4 and 5 keep theirs
        assert coco.instances.annotation_id.tolist() == [1, 2, 4, 9, 10, 11, 12]
    assert (counts.num_images, counts.num_items) == (4, 7)


@pytest.mark.parametrize("workers", [1, 2])
def test_strict_refuses_the_first_in_the_files_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(kps.data.convert, "CHUNK_FILES", 1)
    make_flawed_folder(tmp_path)
    out = tmp_path / "out" / "coco.json"
    out.parent.mkdir()
    out.write_text("what was there")
    for said in (r"6\.json: has the same number", r"000002\.json, item1"):
        with pytest.raises(InputError, match=said):
            convert_split(
                tmp_path, "train", out, visible_only_out=out.with_name("v.json"), workers=workers, strict=True
            )
        (tmp_path / "train" / "annos" / "6.json").unlink(missing_ok=True)
    assert os.listdir(out.parent) == ["coco.json"] and out.read_text() == "what was there"


def test_nothing_left_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "coco.json"
    make_raw_folder(tmp_path, {"item1": make_item(1, landmarks=[])})
    make_raw_folder(tmp_path, {}, image_id=2)
    with pytest.raises(InputError, match=r"at least one photo with an item.*first: .*000001\.json, item1"):
        convert_split(tmp_path, "train", out)
    make_raw_folder(tmp_path, split="test")
    (tmp_path / "test" / "image" / "000001.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"at least one photo that can be.*first: .*000001\.jpg"):
        convert_split(tmp_path, "test", out)
    assert not list(tmp_path.glob("*.json"))


def test_an_absent_test_photo_of_the_information_file_is_skipped(tmp_path: Path) -> None:
    make_raw_folder(tmp_path, split="test")
    rows = [{"id": number, "file_name": f"{number:06d}.jpg"} for number in (1, 2)]
    (tmp_path / "keypoints_test_information.json").write_text(json.dumps({"images": rows}))
    counts = convert_split(tmp_path, "test", tmp_path / "coco.json")
    assert counts.num_images == 1 and counts.skipped[0].endswith("000002.jpg: no such image")


def test_what_differs_from_an_official_file_is_told(tmp_path: Path) -> None:
    for number in (1, 2):
        make_raw_folder(tmp_path, {"item1": make_item(1, seed=number), "item2": make_item(8)}, image_id=number)
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    convert_split(tmp_path, "train", ours)
    value = json.loads(ours.read_text())
    for row in value["annotations"]:
        row["id"] += 100
    theirs.write_text(json.dumps(value))
    assert compare_with_official(ours, theirs) == []
    value["images"][0]["width"] += 1
    first, second, third, _ = value["annotations"]
    first["keypoints"][0] += 2
    second["bbox"][0] += 5
    third["area"] += 9
    theirs.write_text(json.dumps(value))
    assert compare_with_official(ours, theirs) == [
        "1 images have another size, such as 1",
        "1 items are only in ours, such as one of image 1",
        "1 items are only in theirs, such as one of image 1",
        "1 items have other landmarks, by up to 2.00 px, such as one of image 1",
        "1 items have another area, such as one of image 2",
    ]
