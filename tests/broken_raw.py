"""Broken raw annotation files, photos and folders, read by `kps convert`."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broken_inputs import LFS_POINTER, Command, Row, broken_texts, broken_value, compact, update
from builders import make_item, make_raw_folder

SEVENTY_FIVE = [1, 2, 2] * 25
SECOND = "annos/000002.json"


def convert(folder: Path, split: str = "train") -> Command:
    return ["convert", folder / "raw", "--split", split, "--out", folder / "out", "--strict", "--workers", "1"]


def raw_text(folder: Path, function: Callable[[bytes], bytes]) -> Command:
    path = make_raw_folder(folder / "raw", {"item1": make_item(1), "item2": make_item(8)}, image_id=6)
    path.write_bytes(function(compact(json.loads(path.read_bytes()))))
    return convert(folder)


def raw_files() -> list[Row]:
    return [
        *broken_texts(raw_text, "000006.json", b'"scale":2'),
        ("a list", broken_value(raw_text, lambda value: []), "000006.json", "expected an object"),
        ("an item that is a list", raw_value(item1=[1, 2]), "000006.json, item1", "expected an object"),
        ("a source that is a number", raw_value(source=5), "000006.json", "source as text"),
        ("a pair_id that is text", raw_value(pair_id="1"), "000006.json", "pair_id"),
    ]


def raw_value(**changes: Any) -> Callable[[Path], Command]:
    return broken_value(raw_text, lambda value: value | changes)


def raw_item(**changes: Any) -> Callable[[Path], Command]:
    """Change the second item; None removes a field."""
    return broken_value(raw_text, lambda value: update(value["item2"], **changes))


def raw_items() -> list[Row]:
    where = "000006.json, item2"
    rows = [
        ("no category_id", raw_item(category_id=None), "category_id"),
        ("no landmarks", raw_item(landmarks=None), "landmarks"),
        ("landmarks of another category", raw_item(landmarks=SEVENTY_FIVE), "42 landmark numbers", "75"),
        ("landmarks as text", raw_item(landmarks=["1"] * 42), "landmarks as numbers", "'1'"),
        ("landmarks in pairs", raw_item(landmarks=[[1, 2, 2]] * 14), "42 landmark numbers", "14"),
        ("a landmark of 1e300 px", raw_item(landmarks=[1e300, 1, 2] * 14), "within 1e+09 px"),
        ("a visibility of 3", raw_item(landmarks=[1, 1, 3] * 14), "visibility of 0, 1 or 2"),
        ("category 14", raw_item(category_id=14), "category id from 1 to 13", "14"),
        ("a box of three numbers", raw_item(bounding_box=[1, 2, 3]), "bounding_box of 4 numbers", "3"),
        ("a box from right to left", raw_item(bounding_box=[300, 50, 100, 350]), "x1, y1, x2, y2"),
        ("a scale of 1.5", raw_item(scale=1.5), "whole number as scale", "1.5"),
        ("a style beyond 64 bits", raw_item(style=2**63), "whole number as style"),
        ("one polygon without its list", raw_item(segmentation=[1, 2, 3, 4, 5, 6]), "segmentation"),
        ("polygons of 1e300 px", raw_item(segmentation=[[1e300] * 6]), "segmentation"),
    ]
    return [(name, make, where, *says) for name, make, *says in rows]


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG header that states a size, without the pixels."""
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00\xff\xd9"


def photo(content: bytes) -> Callable[[Path], Command]:
    def make(folder: Path) -> Command:
        make_raw_folder(folder / "raw", image_id=4)
        (folder / "raw" / "train" / "image" / "000004.jpg").write_bytes(content)
        return convert(folder)

    return make


def photos() -> list[Row]:
    rows = [
        ("empty", photo(b"")),
        ("an HTML page", photo(b"<html>404</html>")),
        ("cut within its header", photo(jpeg_of(10, 10)[:9])),
        ("65,500 x 65,500 px", photo(jpeg_of(65500, 65500))),
        ("of no width", photo(jpeg_of(0, 10))),
    ]
    pointer = ("a Git LFS pointer", photo(LFS_POINTER), "000004.jpg: expected an image", "got a Git LFS")
    return [pointer, *[(name, make, "000004.jpg", "cannot be decoded") for name, make in rows]]


def layouts() -> list[Row]:
    return [
        ("no folder", convert, "raw", "no such folder"),
        ("a file in place of the root", in_its_place(Path.touch), "raw", "no such folder"),
        ("a link in a loop in place of the root", in_its_place(to_itself), "raw", "no such folder"),
        ("an empty root", with_folders("raw"), "raw", "an empty folder"),
        ("another layout", with_folders("raw/photos"), "raw", "train/image and train/annos", "photos"),
        ("no annos", with_folders("raw/train/image"), "expected annotations", "train/annos"),
        ("empty folders", with_folders("raw/train/image", "raw/train/annos"), "raw/train", "there are none"),
        ("another split", lambda folder: sound_raw(folder, "validation"), "validation", "found only train"),
        ("two candidates", with_folders("raw/a/train/image", "raw/b/train/image"), "one train split", "b/train"),
        ("a name without a number", renamed("annos/000001.json", "annos/photo.json"), "photo.json"),
        ("one number twice", copied("annos/000001.json", "annos/1.json"), "000001.json", "1.json"),
        ("a photo that is missing", renamed("image/000002.jpg", "image/3.jpg"), "000002.json", "no such"),
        ("a folder in place of a photo", replaced("image/000002.jpg", Path.mkdir), "000002.json", "no such"),
        ("a link in a loop", replaced(SECOND, to_itself), SECOND, "cannot be"),
        ("an output below a file", output_below_a_file, "file"),
        ("an output that is a folder", output_is_a_folder, "expected a file to write", "folder"),
        ("a broken information file", information(b'{"images": ['), "keypoints_test_information.json"),
        ("an information file without images", information(b"{}"), "keypoints_test_information.json"),
        ("an information row without id", information(b'{"images": [{"file_name": "1.jpg"}]}'),
         "keypoints_test_information.json", "image 0"),
        ("doctor without a folder", lambda folder: ["doctor", folder / "raw"], "raw", "no such folder"),
    ]  # fmt: skip


def sound_raw(folder: Path, split: str = "train") -> Command:
    for number in (1, 2):
        make_raw_folder(folder / "raw", image_id=number)
    return convert(folder, split)


def with_folders(*names: str) -> Callable[[Path], Command]:
    def make(folder: Path) -> Command:
        for name in names:
            (folder / name).mkdir(parents=True)
        return convert(folder)

    return make


def to_itself(path: Path) -> None:
    path.symlink_to(path)


def in_its_place(function: Callable[[Path], Any]) -> Callable[[Path], Command]:
    """Put something else in place of the root."""
    return lambda folder: (function(folder / "raw"), convert(folder))[1]


def spoilt(spoil: Callable[[Path], Any]) -> Callable[[Path], Command]:
    """Spoil the train folder of a sound data set."""

    def make(folder: Path) -> Command:
        command = sound_raw(folder)
        spoil(folder / "raw" / "train")
        return command

    return make


def renamed(old: str, new: str) -> Callable[[Path], Command]:
    return spoilt(lambda train: (train / old).rename(train / new))


def copied(old: str, new: str) -> Callable[[Path], Command]:
    return spoilt(lambda train: shutil.copy(train / old, train / new))


def replaced(name: str, function: Callable[[Path], Any]) -> Callable[[Path], Command]:
    """Put something else in place of a file."""
    return spoilt(lambda train: ((train / name).unlink(), function(train / name)))


def output_below_a_file(folder: Path) -> Command:
    (folder / "file").write_text("")
    return [*sound_raw(folder)[:4], "--out", folder / "file" / "out.json"]


def output_is_a_folder(folder: Path) -> Command:
    (folder / "folder").mkdir()
    return [*sound_raw(folder)[:4], "--out", folder / "folder"]


def information(content: bytes) -> Callable[[Path], Command]:
    def make(folder: Path) -> Command:
        sound_raw(folder)
        (folder / "raw" / "train").rename(folder / "raw" / "test")
        (folder / "raw" / "keypoints_test_information.json").write_bytes(content)
        return convert(folder, "test")

    return make
