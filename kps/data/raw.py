"""The raw DeepFashion2 folder: where its parts lie, and its annotation files one by one. Nothing is written.

Layout after unzipping: train/{image,annos}, validation/{image,annos}, test/image, with names such as
000001.jpg and 000001.json that restart at 1 in each split, and COCO-like information files in
json_for_validation and json_for_test. Users nest these differently, so folders and files are found by name.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from kps.files import InputError, integer_field, read_json, reason_of, shown
from kps.workspace import SPLITS, check_split

INFORMATION_FILES = {
    "validation": "keypoints_val_information.json",
    "validation_visible_only": "keypoints_val_vis.json",
    "validation_visible_and_occluded": "keypoints_val_vis_and_occ.json",
    "test": "keypoints_test_information.json",
}
MAX_DEPTH = 5  # folders below the data root that are searched
PASSED_OVER = ("image", "annos", "__MACOSX")  # files of a split, and what macOS adds to zips
_NUMBERED = re.compile(r"(\d{1,12})\.(jpg|jpeg|json)", re.IGNORECASE)
_ITEM = re.compile(r"item\d+")
# What Pillow raises for a header that is none.
HEADER_ERRORS = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError)


@dataclass(frozen=True)
class RawSplit:
    """One split's folders; the test split has no annotations."""

    name: str
    image_dir: Path
    annos_dir: Path | None


@dataclass(frozen=True)
class RawDataset:
    """What was found under a data root; `information` maps the keys of INFORMATION_FILES to files.

    `copies` holds, for a split that was found twice equally near, the two folders; `unreadable` the folders
    that could not be listed.
    """

    root: Path
    splits: dict[str, RawSplit]
    information: dict[str, Path]
    copies: dict[str, tuple[Path, Path]] = field(default_factory=dict)
    unreadable: tuple[Path, ...] = ()

    def split(self, name: str) -> RawSplit:
        """Return a split.

        InputError: the split was not found or is ambiguous, or has no annotations though it is not the test split.
        """
        if check_split(name) in self.copies:
            first, second = self.copies[name]
            raise InputError(f"expected one {name} split, but found {first} and {second}; name the one you mean")
        if name not in self.splits:
            expected = f"{name}/image" + ("" if name == "test" else f" and {name}/annos")
            found = ", ".join(sorted(self.splits)) or "none of the three splits"
            closed = f" ({self.unreadable[0]} cannot be listed)" if self.unreadable else ""
            raise InputError(f"{self.root}: expected {expected} in it, but found only {found}{closed}")
        found_split = self.splits[name]
        if name != "test" and found_split.annos_dir is None:
            raise InputError(
                f"{self.root}: expected annotations in {found_split.image_dir.parent / 'annos'}, "
                f"but there is no such folder"
            )
        return found_split


@dataclass(frozen=True)
class NumberedFiles:
    """The files of a folder whose names are numbers, and those that cannot be used.

    `names` goes by number, ascending; `unnumbered` are names without a number; `repeated` are (the name that
    is used, another name with its number).
    """

    folder: Path
    names: dict[int, str]
    unnumbered: tuple[str, ...] = ()
    repeated: tuple[tuple[str, str], ...] = ()

    def problems(self) -> list[str]:
        """One line for each file that cannot be used."""
        return [
            *(str(_no_number(self.folder / name)) for name in self.unnumbered),
            *(f"{self.folder / other}: has the same number as {used}" for used, other in self.repeated),
        ]


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

    Of several copies of a split the one nearest to the root counts. InputError: no folder that can be listed, or
    nothing of the layout in it.
    """
    root = Path(data_root)
    if not root.is_dir():
        raise InputError(f"{root}: expected the folder of the raw data set, but there is no such folder")
    candidates: dict[str, list[Path]] = {}
    information: dict[str, Path] = {}
    seen: list[str] = []
    unreadable: list[Path] = []
    for folder, folders, files in _walk(root, unreadable):
        seen += [name for name in (*folders, *files)][: 8 - len(seen)]
        name = folder.resolve().name.lower() if folder == root else folder.name.lower()
        if name in SPLITS and "image" in folders:
            candidates.setdefault(name, []).append(folder)
        for key, file_name in INFORMATION_FILES.items():
            if file_name in files:
                information.setdefault(key, folder / file_name)
    nearest = {name: _nearest(folders) for name, folders in candidates.items()}
    splits = {name: _split(name, folders[0]) for name, folders in nearest.items() if len(folders) == 1}
    copies = {name: (folders[0], folders[1]) for name, folders in nearest.items() if len(folders) > 1}
    if not nearest:
        raise InputError(
            f"{root}: expected train/image and train/annos, validation/image and validation/annos or "
            f"test/image in it, but found {', '.join(sorted(seen)) or 'an empty folder'}"
        )
    return RawDataset(root, splits, information, copies, tuple(unreadable))


def list_annotations(split: RawSplit) -> NumberedFiles:
    """List a split's annotation files by number.

    InputError: the split has no folder of annotations, or it cannot be listed.
    """
    if split.annos_dir is None:
        raise InputError(f"{split.image_dir.parent}: expected annotations, but there is no annos folder")
    return _numbered_files(split.annos_dir, (".json",))


def list_images(split: RawSplit) -> NumberedFiles:
    """List a split's images by number; InputError: the folder cannot be listed."""
    return _numbered_files(split.image_dir, (".jpg", ".jpeg"))


def read_annotation(path: Path) -> RawAnnotation:
    """Read one annotation file; the items themselves are checked where they are converted.

    InputError: broken JSON, or not an object of items.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object with item1, item2, ..., but got {type(value).__name__}")
    items = tuple((key, item) for key, item in value.items() if _ITEM.fullmatch(key))
    for key, item in items:
        if not isinstance(item, dict):
            raise InputError(f"{path}, {key}: expected an object, but got {type(item).__name__}")
    source = value.get("source", "")
    if not isinstance(source, str):
        raise InputError(f"{path}: expected source as text, but got {shown(source)}")
    try:
        pair_id = integer_field(value, "pair_id", default=0)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return RawAnnotation(Path(path), image_number(path), source, pair_id, items)


def image_number(path: Path) -> int:
    """Return the image id that a file name such as 000001.jpg stands for; InputError: the name is not a number."""
    match = _NUMBERED.fullmatch(Path(path).name)
    if match is None:
        raise _no_number(path)
    return int(match[1])


def _no_number(path: Path) -> InputError:
    return InputError(f"{path}: expected a number as file name, such as 000001{Path(path).suffix}")


def image_size(path: Path) -> tuple[int, int]:
    """Return an image's (width, height) in px from its header, without decoding the pixels.

    This is the size as stored: an EXIF orientation is not applied, since annotations are in stored pixels. InputError:
    the file is absent, or its header is not that of an image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise InputError(f"{path}: no such image") from None
    except HEADER_ERRORS:
        reason = reason_of(path, "its header cannot be decoded")
        raise InputError(f"{path}: expected a JPEG image, but {reason}") from None


def _walk(root: Path, unreadable: list[Path]) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield (folder, folder names, file names) nearest first; links once; image and annos are not listed.

    Folders below the root that cannot be listed are added to `unreadable`.
    """
    level, visited = [root], {root.resolve()}
    for _ in range(MAX_DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            try:
                folders, files = _list(folder)
            except InputError:
                if folder == root:
                    raise
                unreadable.append(folder)
                continue
            yield folder, folders, files
            for name in folders:
                real = (folder / name).resolve()
                if name not in PASSED_OVER and not name.startswith(".") and real not in visited:
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


def _nearest(folders: list[Path]) -> list[Path]:
    depth = min(len(folder.parts) for folder in folders)
    return [folder for folder in folders if len(folder.parts) == depth]


def _split(name: str, folder: Path) -> RawSplit:
    annos = folder / "annos"
    return RawSplit(name, folder / "image", annos if os.path.isdir(annos) else None)


def _numbered_files(folder: Path, suffixes: tuple[str, ...]) -> NumberedFiles:
    names: dict[int, str] = {}
    unnumbered, repeated = [], []
    for name in _list(folder)[1]:  # 000001.json comes before 1.json
        if not name.lower().endswith(suffixes) or name.startswith("."):
            continue
        match = _NUMBERED.fullmatch(name)
        if match is None:
            unnumbered.append(name)
        elif names.setdefault(int(match[1]), name) != name:
            repeated.append((names[int(match[1])], name))
    return NumberedFiles(folder, dict(sorted(names.items())), tuple(unnumbered), tuple(repeated))
