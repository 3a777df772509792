"""The raw folder is found however users nest it, and what is wrong with it is named."""

import os
from pathlib import Path

import numpy as np
import pytest
from builders import make_item, make_raw_folder
from PIL import Image

import kps.data.raw
from kps.data.raw import find_raw, image_number, image_size, list_annotations, list_images, read_annotation
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


def test_a_split_folder_itself_will_do(tmp_path: Path) -> None:
    make_raw_folder(tmp_path)
    assert find_raw(tmp_path / "train").split("train").annos_dir == tmp_path / "train" / "annos"


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
    assert find_raw(tmp_path).unreadable == (tmp_path / "private",)
    with pytest.raises(InputError, match=r"found only train \(.*private cannot be listed\)"):
        find_raw(tmp_path).split("validation")
    closed = {tmp_path}
    with pytest.raises(InputError, match="cannot be listed"):
        find_raw(tmp_path)


def test_a_root_without_the_layout_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "holiday.zip").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected train/image and train/annos.*found holiday\.zip"):
        find_raw(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_raw(tmp_path / "absent")


def test_a_split_without_annos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train" / "image").mkdir(parents=True)
    raw = find_raw(tmp_path)
    with pytest.raises(InputError, match="train/annos"):
        raw.split("train")
    with pytest.raises(InputError, match="expected validation/image and validation/annos"):
        raw.split("validation")


def test_files_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        make_raw_folder(tmp_path, image_id=number)
    split = find_raw(tmp_path).split("train")
    for name in (".DS_Store", "._000002.jpg", "notes.txt"):
        (split.image_dir / name).write_bytes(b"")
    images = list_images(split)
    assert list(images.names.items()) == [(2, "000002.jpg"), (9, "000009.jpg"), (10, "000010.jpg")]
    assert list(list_annotations(split).names) == [2, 9, 10] and not images.problems


def test_names_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    make_raw_folder(tmp_path, image_id=10)
    split = find_raw(tmp_path).split("train")
    for name in ("10.json", "cat.json"):
        (split.annos_dir / name).write_text("{}")
    files = list_annotations(split)
    assert files.names == {10: "000010.json"}
    assert [(code, line.split("annos/")[1]) for code, line in files.problems] == [
        ("number_repeated", "10.json: has the same number as 000010.json"),
        ("name_no_number", "cat.json: expected a number as file name, such as 000001.json"),
    ]


def test_a_file_name_without_a_number_is_refused() -> None:
    assert image_number(Path("000123.jpg")) == 123
    with pytest.raises(InputError, match="expected a number as file name"):
        image_number(Path("cat.jpg"))


def test_items_stay_in_the_files_order(tmp_path: Path) -> None:
    path = make_raw_folder(tmp_path, {"item2": make_item(8), "item1": make_item(1)})
    annotation = read_annotation(path)
    assert [name for name, _ in annotation.items] == ["item2", "item1"]
    assert (annotation.source, annotation.pair_id) == ("user", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "expected an object with item1"),
        ('{"item1": 3}', "item1: expected an object"),
        ('{"pair_id": "x"}', "a whole number as pair_id"),
        ('{"source": 3}', "source as text"),
        ('{"item1": {', "expected JSON"),
    ],
)
def test_a_malformed_annotation_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "000007.json").write_text(text)
    with pytest.raises(InputError, match=r"000007\.json.*" + message):
        read_annotation(tmp_path / "000007.json")


def test_image_size_is_the_stored_one_and_needs_only_the_header(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "1.jpg", exif=exif)
    assert image_size(tmp_path / "1.jpg") == (40, 30)
    content = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "2.jpg").write_bytes(content[: len(content) - 400])
    assert image_size(tmp_path / "2.jpg") == (40, 30)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\xff\xd8\xff\xe0"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "3.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"3\.jpg: expected a JPEG image"):
        image_size(tmp_path / "3.jpg")
    with pytest.raises(InputError, match="no such image"):
        image_size(tmp_path / "4.jpg")
