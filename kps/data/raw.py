"""The raw DeepFashion2 folder: where its parts lie, its annotation and information files. Nothing is written.

Layout after unzipping: train/{image,annos}, validation/{image,annos}, test/image, with names such as
000001.jpg and 000001.json that restart at 1 in each split, and COCO-like information files in
json_for_validation and json_for_test. Users nest these differently, so folders and files are found by name.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kps.data.rows import iter_json_lists
from kps.files import InputError, integer_field, open_file, read_json, shown
from kps.workspace import SPLITS, check_split

INFORMATION_FILES = {
    "validation": "keypoints_val_information.json",
    "validation_visible_only": "keypoints_val_vis.json",
    "validation_visible_and_occluded": "keypoints_val_vis_and_occ.json",
    "test": "keypoints_test_information.json",
}
MAX_DEPTH = 5  # folders below the data root that are searched
PASSED_OVER = ("image", "annos", "__MACOSX")  # files of a split, and what macOS adds to zips
IMAGES, ANNOTATIONS = (".jpg", ".jpeg"), (".json",)  # endings of a split's files
_NUMBER = re.compile(r"\d{1,12}")
_ITEM = re.compile(r"item\d+")


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
    copies: dict[str, tuple[Path, Path]]
    unreadable: list[Path]

    def split(self, name: str) -> RawSplit:
        """Return a split; InputError: it was not found, is ambiguous, or lacks annotations though it is not test."""
        if check_split(name) in self.copies:
            first, second = self.copies[name]
            expected = f"expected one {name} split, but found {first} and {second}; name the one you mean"
            raise InputError(expected, "two_copies")
        if name not in self.splits:
            expected = f"{name}/image" + ("" if name == "test" else f" and {name}/annos")
            found = ", ".join(sorted(self.splits)) or "none of the three splits"
            closed = f" ({self.unreadable[0]} cannot be listed)" if self.unreadable else ""
            raise InputError(f"{self.root}: expected {expected} in it, but found only {found}{closed}", "split_absent")
        split = self.splits[name]
        if name != "test" and split.annos_dir is None:
            expected = f"expected annotations in {split.image_dir.parent / 'annos'}, but there is no such folder"
            raise InputError(f"{self.root}: {expected}", "annotations_absent")
        return split


class RawAnnotation(NamedTuple):
    """One annotation file: its attributes, and its items in the file's order."""

    path: Path
    source: str
    pair_id: int
    items: tuple[tuple[str, dict[str, Any]], ...]


class InformationImage(NamedTuple):
    """An image row of an information file, without folders in its name; its size is None where it is not stated."""

    id: int
    name: str
    size_wh: tuple[int, int] | None


def find_raw(data_root: Path | str) -> RawDataset:
    """Find the splits' folders and the information files wherever they are under `data_root`.

    Of several copies of a split the one nearest to the root counts. InputError: no folder that can be listed, or
    nothing of the layout in it.
    """
    root = Path(data_root)
    if not root.is_dir():
        raise InputError(f"{root}: expected the folder of the raw data set, but there is no such folder")
    candidates: dict[str, list[Path]] = {}  # nearest first
    information: dict[str, Path] = {}
    seen: list[str] = []
    unreadable: list[Path] = []
    for folder, folders, files in _walk(root, unreadable):
        seen += [*folders, *files][: 8 - len(seen)]
        name = folder.resolve().name.lower() if folder == root else folder.name.lower()
        if name in SPLITS and "image" in folders:
            candidates.setdefault(name, []).append(folder)
        for key, file_name in INFORMATION_FILES.items():
            if file_name in files:
                information.setdefault(key, folder / file_name)
    if not candidates:
        raise InputError(
            f"{root}: expected train/image and train/annos, validation/image and validation/annos or "
            f"test/image in it, but found {', '.join(sorted(seen)) or 'an empty folder'}"
        )
    splits, copies = {}, {}
    for name, folders in candidates.items():
        first, *others = folders
        if others and len(others[0].parts) == len(first.parts):
            copies[name] = first, others[0]
        else:
            annos = first / "annos"
            splits[name] = RawSplit(name, first / "image", annos if os.path.isdir(annos) else None)
    return RawDataset(root, splits, information, copies, unreadable)


def numbered_files(folder: Path, endings: tuple[str, ...]) -> tuple[dict[int, str], list[tuple[str, str]]]:
    """Return a folder's files such as 000001.json by number, ascending, and (code, line) of each that cannot be used.

    Such have no number, or another's. InputError: the folder cannot be listed.
    """
    names: dict[int, str] = {}
    problems = []
    for name in _list(folder)[1]:  # 000001.json comes before 1.json
        stem, suffix = os.path.splitext(name)
        if name.startswith(".") or suffix.lower() not in endings:
            continue
        if not _NUMBER.fullmatch(stem):
            line = f"{folder / name}: expected a number as file name, such as 000001{suffix}"
            problems.append(("name_no_number", line))
        elif (used := names.setdefault(int(stem), name)) != name:
            problems.append(("number_repeated", f"{folder / name}: has the same number as {used}"))
    return dict(sorted(names.items())), problems


def read_annotation(path: Path) -> RawAnnotation:
    """Read one annotation file; InputError: broken JSON, or not an object of items.

    The items themselves are checked where they are converted.
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
    return RawAnnotation(path, source, pair_id, items)


def read_information(path: Path) -> tuple[list[InformationImage], int | None]:
    """Return an information file's image rows, of which ids may repeat, and how many annotations it has, if a list.

    InputError: the file is unreadable, or holds no list of images with integer ids and file names.
    """
    images, num_annotations = [], None
    with open_file(path) as file:
        for key, rows in iter_json_lists(file.read, str(path), ("images", "annotations")):
            if key == "annotations":
                num_annotations = sum(1 for _ in rows)
                continue
            for number, row in rows:
                image_id, name, size = row.get("id"), row.get("file_name"), (row.get("width"), row.get("height"))
                if type(image_id) is not int or not isinstance(name, str):
                    raise InputError(f"{path}: image {number}: expected an integer id and a file_name")
                stated = all(type(value) is int for value in size)
                images.append(InformationImage(image_id, Path(name).name, size if stated else None))
    if not images:
        raise InputError(f"{path}: expected an object with a list of images")
    return images, num_annotations


def _walk(root: Path, unreadable: list[Path]) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield (folder, folder names, file names) nearest first; links once; image and annos are not listed.

    Folders below the root that cannot be listed are added to `unreadable`.
    """
    queue, visited = [root], {root.resolve()}
    for folder in queue:  # which grows
        try:
            folders, files = _list(folder)
        except InputError:
            if folder == root:
                raise
            unreadable.append(folder)
            continue
        yield folder, folders, files
        if len(folder.parts) == len(root.parts) + MAX_DEPTH:
            continue
        for name in folders:
            real = (folder / name).resolve()
            if name not in PASSED_OVER and not name.startswith(".") and real not in visited:
                visited.add(real)
                queue.append(folder / name)


def _list(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of a folder's folders and of its files, sorted."""
    try:
        with os.scandir(folder) as entries:
            rows = sorted((entry.name, os.path.isdir(entry)) for entry in entries)  # a link in a loop is no folder
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror})") from None
    return [name for name, is_dir in rows if is_dir], [name for name, is_dir in rows if not is_dir]
