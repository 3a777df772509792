"""The raw DeepFashion2 folder: where its parts lie, and its annotation files one by one. Nothing is written.

Layout after unzipping: train/{image,annos}, validation/{image,annos}, test/image, with names such as
000001.jpg and 000001.json that restart at 1 in each split, and COCO-like information files in
json_for_validation and json_for_test. Users nest these differently, so folders and files are found by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from kps.errors import InputError
from kps.files import read_json
from kps.workspace import SPLITS, check_split

INFORMATION_FILES = {
    "validation": "keypoints_val_information.json",
    "validation_visible_only": "keypoints_val_vis.json",
    "validation_visible_and_occluded": "keypoints_val_vis_and_occ.json",
    "test": "keypoints_test_information.json",
}
MAX_DEPTH = 5  # folders below the data root that are searched
_NUMBERED = re.compile(r"(\d{1,12})\.(jpg|jpeg|json)", re.IGNORECASE)
_ITEM = re.compile(r"item\d+")


@dataclass(frozen=True)
class RawSplit:
    """One split's folders; the test split has no annotations."""

    name: str
    image_dir: Path
    annos_dir: Path | None


@dataclass(frozen=True)
class RawDataset:
    """What was found under a data root; `information` maps the keys of INFORMATION_FILES to files."""

    root: Path
    splits: dict[str, RawSplit]
    information: dict[str, Path]

    def split(self, name: str) -> RawSplit:
        """Return a split.

        Raises:
            InputError: the split was not found, or has no annotations though it is not the test split.
        """
        if check_split(name) not in self.splits:
            expected = f"{name}/image" + ("" if name == "test" else f" and {name}/annos")
            found = ", ".join(sorted(self.splits)) or "none of the three splits"
            raise InputError(f"{self.root}: expected {expected} in it, but found only {found}")
        found_split = self.splits[name]
        if name != "test" and found_split.annos_dir is None:
            raise InputError(
                f"{self.root}: expected annotations in {found_split.image_dir.parent / 'annos'}, "
                f"but there is no such folder"
            )
        return found_split


@dataclass(frozen=True)
class RawAnnotation:
    """One annotation file: the image's number, its attributes, and its items in the file's order."""

    path: Path
    image_id: int
    source: str
    pair_id: int
    items: tuple[tuple[str, dict[str, Any]], ...]


def find_raw(data_root: Path | str) -> RawDataset:
    """Find the splits' folders and the information files wherever they are under `data_root`.

    Raises:
        InputError: not a folder, nothing of the layout in it, or two equally near candidates for a split.
    """
    root = Path(data_root)
    if not root.is_dir():
        raise InputError(f"{root}: expected the folder of the raw data set, but there is no such folder")
    candidates: dict[str, list[Path]] = {}
    information: dict[str, Path] = {}
    seen: list[str] = []
    for folder, folders, files in _walk(root):
        seen += [name for name in (*folders, *files)][: 8 - len(seen)]
        name = folder.resolve().name.lower() if folder == root else folder.name.lower()
        if name in SPLITS and "image" in folders:
            candidates.setdefault(name, []).append(folder)
        for key, file_name in INFORMATION_FILES.items():
            if file_name in files:
                information.setdefault(key, folder / file_name)
    splits = {name: _split(name, folders) for name, folders in candidates.items()}
    if not splits:
        raise InputError(
            f"{root}: expected train/image and train/annos, validation/image and validation/annos or "
            f"test/image in it, but found {', '.join(sorted(seen)) or 'an empty folder'}"
        )
    return RawDataset(root, splits, information)


def annotation_files(split: RawSplit) -> list[tuple[int, Path]]:
    """Return (image_id, path) of a split's annotation files, by number.

    Raises:
        InputError: the split has no annotation files, or two with one number.
    """
    if split.annos_dir is None:
        raise InputError(f"{split.image_dir.parent}: expected annotations, but there is no annos folder")
    return _numbered_files(split.annos_dir, "json")


def image_files(split: RawSplit) -> list[tuple[int, Path]]:
    """Return (image_id, path) of a split's images, by number.

    Raises:
        InputError: the split has no images, or two with one number.
    """
    return _numbered_files(split.image_dir, "jpg")


def read_annotation(path: Path) -> RawAnnotation:
    """Read one annotation file; the items themselves are checked where they are converted.

    Raises:
        InputError: broken JSON, or not an object of items.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object with item1, item2, ..., but got {type(value).__name__}")
    items = tuple((key, item) for key, item in value.items() if _ITEM.fullmatch(key))
    for key, item in items:
        if not isinstance(item, dict):
            raise InputError(f"{path}, {key}: expected an object, but got {type(item).__name__}")
    source, pair_id = value.get("source", ""), value.get("pair_id", 0)
    if not isinstance(source, str) or isinstance(pair_id, bool) or not isinstance(pair_id, int):
        raise InputError(
            f"{path}: expected source as text and pair_id as an integer, but got {source!r}, {pair_id!r}"
        )
    return RawAnnotation(Path(path), image_number(path), source, pair_id, items)


def iter_annotations(split: RawSplit) -> Iterator[RawAnnotation]:
    """Yield a split's annotation files, by number, one in memory at a time."""
    for _, path in annotation_files(split):
        yield read_annotation(path)


def image_number(path: Path) -> int:
    """Return the image id that a file name such as 000001.jpg stands for.

    Raises:
        InputError: the name is not a number.
    """
    match = _NUMBERED.fullmatch(Path(path).name)
    if match is None:
        raise InputError(f"{path}: expected a number as file name, such as 000001{Path(path).suffix}")
    return int(match[1])


def image_size(path: Path) -> tuple[int, int]:
    """Return an image's (width, height) in px from its header, without decoding the pixels.

    This is the size as stored: an EXIF orientation is not applied, since annotations are in stored pixels.

    Raises:
        InputError: the file is absent, or its header is not that of an image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise InputError(f"{path}: no such image") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        raise InputError(f"{path}: expected a JPEG image, but its header cannot be decoded") from None


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield (folder, folder names, file names) nearest first; links once; image and annos are not listed."""
    level, visited = [root], {root.resolve()}
    for _ in range(MAX_DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            folders, files = _list(folder)
            yield folder, folders, files
            for name in folders:
                real = (folder / name).resolve()
                if name not in ("image", "annos") and not name.startswith(".") and real not in visited:
                    visited.add(real)
                    below.append(folder / name)
        level = below


def _list(folder: Path) -> tuple[list[str], list[str]]:
    try:
        with os.scandir(folder) as entries:
            rows = sorted((entry.name, _is_dir(entry)) for entry in entries)
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror})") from None
    return [name for name, is_dir in rows if is_dir], [name for name, is_dir in rows if not is_dir]


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a loop
        return False


def _split(name: str, folders: list[Path]) -> RawSplit:
    depths = [len(folder.parts) for folder in folders]
    if depths.count(min(depths)) > 1:
        raise InputError(
            f"expected one {name} split, but found {folders[0]} and {folders[1]}; name the one you mean"
        )
    folder = folders[depths.index(min(depths))]
    annos = folder / "annos"
    return RawSplit(name, folder / "image", annos if annos.is_dir() else None)


def _numbered_files(folder: Path, kind: str) -> list[tuple[int, Path]]:
    suffixes = (".jpg", ".jpeg") if kind == "jpg" else (f".{kind}",)
    names = [
        name for name in _list(folder)[1] if name.lower().endswith(suffixes) and not name.startswith(".")
    ]
    if not names:
        raise InputError(f"{folder}: expected files such as 000001.{kind}, but there are none")
    files = sorted((image_number(folder / name), folder / name) for name in names)
    for (number, first), (other, second) in pairwise(files):
        if number == other:
            raise InputError(f"{folder}: two files with the number {number}: {first.name} and {second.name}")
    return files
