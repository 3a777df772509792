"""The raw folder is found however users nest it, and what is wrong with it is named."""

import os
from pathlib import Path

import pytest
from builders import make_item, make_raw_folder

import kps.data.raw
from kps.data.raw import ANNOTATIONS, IMAGES, find_raw, numbered_files, read_annotation
from kps.files import InputError


@pytest.mark.parametrize("nesting", ["", "DeepFashion2", "DeepFashion2/deepfashion2/unzipped"])
def test_parts_are_found_below_any_nesting(tmp_path: Path, nesting: str) -> None:
    root = tmp_path / nesting
    make_raw_folder(root)
    make_raw_folder(root / "more", split="validation")
    (tmp_path / "test" / "image").mkdir(parents=True)
    (root / "somewhere").mkdir()
    (root / "somewhere" / "keypoints_val_information.json").write_text("{}")
    (root / "keypoints_test_information.json").write_text("{}")
    raw = find_raw(tmp_path)
    assert raw.split("train").annos_dir == root / "train" / "annos"
    assert raw.split("validation").image_dir == root / "more" / "validation" / "image"
    assert raw.split("test").annos_dir is None
    assert raw.information == {
        "validation": root / "somewhere" / "keypoints_val_information.json",
        "test": root / "keypoints_test_information.json",
    }
    assert find_raw(root / "train").split("train") == raw.split("train")  # a split's folder itself will do


def test_the_nearest_of_two_copies_is_taken(tmp_path: Path) -> None:
    make_raw_folder(tmp_path)
    make_raw_folder(tmp_path / "backup" / "old")
    assert find_raw(tmp_path).split("train").image_dir == tmp_path / "train" / "image"


def test_two_equally_near_copies_are_refused(tmp_path: Path) -> None:
    make_raw_folder(tmp_path / "a")
    make_raw_folder(tmp_path / "b")
    make_raw_folder(tmp_path, split="validation")
    raw = find_raw(tmp_path)
    assert raw.copies == {"train": (tmp_path / "a" / "train", tmp_path / "b" / "train")}
    assert raw.split("validation").image_dir == tmp_path / "validation" / "image"
    with pytest.raises(InputError, match="expected one train split, but found"):
        raw.split("train")


def test_what_macos_adds_to_zips_is_passed_over(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        make_raw_folder(tmp_path / "unzipped", split=split)
        for part in ("image", "annos"):
            shadow = tmp_path / "__MACOSX" / split / part / "._000001.jpg"
            shadow.parent.mkdir(parents=True)
            shadow.write_bytes(b"Mac OS X")
    (tmp_path / "__MACOSX" / "keypoints_val_vis.json").write_bytes(b"Mac OS X")
    raw = find_raw(tmp_path)
    assert not raw.copies and not raw.information
    assert raw.split("train").image_dir == tmp_path / "unzipped" / "train" / "image"


def test_linked_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    make_raw_folder(tmp_path / "store")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "train").symlink_to(tmp_path / "store" / "train")
    (tmp_path / "root" / "loop").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "self").symlink_to("self")
    assert find_raw(tmp_path / "root").split("train").image_dir == tmp_path / "root" / "train" / "image"


def test_a_folder_that_cannot_be_listed_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_raw_folder(tmp_path)
    (tmp_path / "private").mkdir()
    scandir = os.scandir

    def refuse(folder: Path):
        if Path(folder) in closed:
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(kps.data.raw.os, "scandir", refuse)
    closed = {tmp_path / "private"}
    assert find_raw(tmp_path).unreadable == [tmp_path / "private"]
    with pytest.raises(InputError, match=r"found only train \(.*private cannot be listed\)"):
        find_raw(tmp_path).split("validation")
    closed = {tmp_path}
    with pytest.raises(InputError, match="cannot be listed"):
        find_raw(tmp_path)


def test_files_are_in_the_order_of_their_numbers_and_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        make_raw_folder(tmp_path, image_id=number)
    split = find_raw(tmp_path).split("train")
    for name in (".DS_Store", "._000002.jpg", "notes.txt"):
        (split.image_dir / name).write_bytes(b"")
    images, problems = numbered_files(split.image_dir, IMAGES)
    assert list(images.items()) == [(2, "000002.jpg"), (9, "000009.jpg"), (10, "000010.jpg")] and not problems
    for name in ("10.json", "cat.json"):
        (split.annos_dir / name).write_text("{}")
    annotations, problems = numbered_files(split.annos_dir, ANNOTATIONS)
    assert list(annotations) == [2, 9, 10] and annotations[10] == "000010.json"
    assert [(code, line.split("annos/")[1]) for code, line in problems] == [
        ("number_repeated", "10.json: has the same number as 000010.json"),
        ("name_no_number", "cat.json: expected a number as file name, such as 000001.json"),
    ]


def test_items_stay_in_the_files_order(tmp_path: Path) -> None:
    path = make_raw_folder(tmp_path, {"item2": make_item(8), "item1": make_item(1)})
    annotation = read_annotation(path)
    assert [name for name, _ in annotation.items] == ["item2", "item1"]
    assert (annotation.source, annotation.pair_id) == ("user", 1)
