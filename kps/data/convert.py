"""Conversion raw DeepFashion2 -> COCO-294, with all attributes kept.

Streams: workers turn chunks of annotation files into text, the parent writes it in file order, so memory
hardly grows with the data set and the output does not depend on the number of workers. Image ids are the
numbers in the file names; annotation ids count from 1 over the items in the files' order, as the data set
authors' converter does; an item that is skipped keeps its number. Sizes and annotations are in stored pixels:
whoever decodes a photo must not apply its EXIF orientation.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from kps.data.coco import coco_annotation, coco_categories, visible_only_annotation
from kps.data.information import read_images
from kps.data.raw import (
    NumberedFiles,
    RawAnnotation,
    RawDataset,
    RawSplit,
    find_raw,
    image_size,
    list_annotations,
    list_images,
    read_annotation,
)
from kps.files import InputError, atomic_path, ordered_map, progress
from kps.schema import NUM_CATEGORIES

CHUNK_FILES = 256
LINES_IN_JSON = 100  # of what was skipped


@dataclass
class Counts:
    """What a conversion wrote, and one line for each file or item that it had to skip."""

    num_images: int = 0
    num_items: int = 0
    num_items_without_landmarks: int = 0
    per_category: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(1, NUM_CATEGORIES + 1), 0))
    skipped: list[str] = field(default_factory=list)

    @property
    def num_skipped(self) -> int:
        """Files and items that were skipped."""
        return len(self.skipped)

    def to_json(self) -> dict[str, Any]:
        """Return the values for a JSON file, with the first LINES_IN_JSON lines of what was skipped."""
        return vars(self) | {
            "per_category": {str(key): value for key, value in self.per_category.items()},
            "num_skipped": self.num_skipped,
            "skipped": self.skipped[:LINES_IN_JSON],
        }


class _Item(NamedTuple):
    """An item's text, a row for each file that is written, and what is counted of it."""

    category_id: int
    num_keypoints: int
    rows: list[bytes]


class _Photo(NamedTuple):
    """One photo's text; None stands for an image or an item that was skipped."""

    image: bytes | None
    items: list[_Item | None]
    skipped: list[str]


def convert_split(
    data_root: Path | str,
    split: str,
    out: Path,
    *,
    visible_only_out: Path | None = None,
    limit: int | None = None,
    workers: int | None = None,
    strict: bool = False,
) -> Counts:
    """Convert one split of a raw folder to a COCO-294 file, written whole or not at all.

    InputError: a part of the folder is absent, nothing at all can be converted, or see `strict`.

    Args:
        data_root: the raw folder; its parts are found by name.
        split: train, validation, or test (no annotations: rows of its information file, else of its images).
        out: the file with visible and occluded landmarks.
        visible_only_out: a second file in which occluded landmarks (v = 1) are unlabelled.
        limit: only the first so many photos by number.
        workers: processes; None takes all cores.
        strict: refuse a file or item that cannot be converted, the first in the files' order; otherwise such
            are skipped and named in `Counts.skipped`.
    """
    check_limit(limit)
    raw = find_raw(data_root)
    folders = raw.split(split)
    annotated = split != "test"
    files, counts = _pairs(folders) if annotated else _test_images(raw, folders)
    if strict and counts.skipped:
        raise InputError(counts.skipped[0])
    visible_only = visible_only_out is not None
    make = partial(_photo, folders, visible_only) if annotated else partial(_test_photo, folders.image_dir)
    images: list[bytes] = []
    with ExitStack() as stack:
        outs = [path for path in (out, visible_only_out) if path is not None]
        writers = [stack.enter_context(open(stack.enter_context(atomic_path(path)), "wb")) for path in outs]
        for writer in writers:
            writer.write(_head(split))
        photos = ordered_map(partial(make, strict=strict), files[:limit], workers=workers, chunk=CHUNK_FILES)
        num_positions = 0
        for photo in progress(photos, desc=f"converting {split}", total=len(files[:limit]), unit="photo"):
            images += [photo.image] if photo.image else []
            counts.skipped += photo.skipped
            _write_items(photo.items, num_positions, writers, counts)
            num_positions += len(photo.items)
        for writer in writers:
            writer.write(b'],"images":[' + b",".join(images) + b"]}")
        counts.num_images = len(images)
        if not images or (annotated and not counts.num_items):
            raise _nothing_left(folders, counts, annotated)
    return counts


def check_limit(limit: int | None) -> None:
    """Refuse a number of photos below 1; None stands for all."""
    if limit is not None and limit < 1:
        raise InputError(f"expected a limit of at least 1 photo, but got {limit}")


def _head(split: str) -> bytes:
    """The text before the annotations."""
    head = {"info": {"description": f"DeepFashion2 {split}, 294 landmarks"}, "licenses": []}
    return orjson.dumps(head | {"categories": coco_categories()})[:-1] + b',"annotations":['


def _nothing_left(split: RawSplit, counts: Counts, annotated: bool) -> InputError:
    wanted = "photo with an item" if annotated else "photo"
    first = f"; the first: {counts.skipped[0]}" if counts.skipped else ""
    return InputError(
        f"{split.image_dir.parent}: expected at least one {wanted} that can be converted, but "
        f"{counts.num_skipped} files and items had to be skipped{first}"
    )


def _write_items(items: list[_Item | None], num_before: int, writers: list[BinaryIO], counts: Counts) -> None:
    """Write a photo's items; the first one is item number `num_before` + 1 of the split."""
    for annotation_id, item in enumerate(items, start=num_before + 1):
        if item is None:
            continue
        prefix = (b"," if counts.num_items else b"") + b'{"id":%d,' % annotation_id
        for writer, row in zip(writers, item.rows, strict=True):
            writer.write(prefix + row[1:])
        counts.num_items += 1
        counts.per_category[item.category_id] += 1
        counts.num_items_without_landmarks += item.num_keypoints == 0


def _pairs(split: RawSplit) -> tuple[list[tuple[str, str | None]], Counts]:
    """Return (annotation file, its image or None) by number, and what is skipped for its name."""
    images, annotations = list_images(split), list_annotations(split)
    _check_some(images, "jpg")
    _check_some(annotations, "json")
    pairs = [(name, images.names.get(number)) for number, name in annotations.names.items()]
    return pairs, Counts(skipped=annotations.problems() + images.problems())


def _check_some(files: NumberedFiles, kind: str) -> None:
    if not files.names:
        problems = files.problems()
        raise InputError(
            problems[0] if problems else f"{files.folder}: expected files such as 000001.{kind}, but there are none"
        )


def _test_images(raw: RawDataset, split: RawSplit) -> tuple[list[tuple[int, str]], Counts]:
    """Return (image_id, file name) of the test photos, from the information file where there is one."""
    if "test" not in raw.information:
        images = list_images(split)
        _check_some(images, "jpg")
        return list(images.names.items()), Counts(skipped=images.problems())
    path = raw.information["test"]
    rows = {row.id: row.name for row in read_images(path)}
    return sorted(rows.items()), Counts()


@contextmanager
def _skipping(lines: list[str], *, strict: bool) -> Iterator[None]:
    """Note the line of what cannot be converted and go on after the block, unless `strict`."""
    try:
        yield
    except InputError as error:
        if strict:
            raise
        lines.append(str(error))


def _photo(split: RawSplit, visible_only: bool, names: tuple[str, str | None], *, strict: bool) -> _Photo:
    image, items, skipped = None, [], []
    with _skipping(skipped, strict=strict):
        annotation = read_annotation(split.annos_dir / names[0])
        items = [None] * len(annotation.items)
        if names[1] is None:
            expected = split.image_dir / f"{Path(names[0]).stem}.jpg"
            raise InputError(f"{annotation.path}: expected its image {expected}, but there is no such file")
        source = {"source": annotation.source, "pair_id": annotation.pair_id}
        image = _image_row(annotation.image_id, split.image_dir / names[1], **source)
        for place, (name, item) in enumerate(annotation.items):
            with _skipping(skipped, strict=strict):
                items[place] = _item(annotation, name, item, visible_only)
    return _Photo(image, items, skipped)


def _item(annotation: RawAnnotation, name: str, item: dict[str, Any], visible_only: bool) -> _Item:
    where, item = f"{annotation.path}, {name}", item | {"pair_id": annotation.pair_id}
    row = coco_annotation(item, annotation_id=0, image_id=annotation.image_id, where=where)
    del row["id"]  # given in file order by the parent
    rows = [orjson.dumps(row)] + ([orjson.dumps(visible_only_annotation(row))] if visible_only else [])
    return _Item(row["category_id"], row["num_keypoints"], rows)


def _test_photo(image_dir: Path, file: tuple[int, str], *, strict: bool) -> _Photo:
    image, skipped = None, []
    with _skipping(skipped, strict=strict):
        image = _image_row(file[0], image_dir / file[1], source="", pair_id=0)
    return _Photo(image, [], skipped)


def _image_row(image_id: int, path: Path, *, source: str, pair_id: int) -> bytes:
    width, height = image_size(path)
    row = {"id": image_id, "file_name": path.name, "width": width, "height": height}
    row |= {"source": source, "pair_id": pair_id}
    row |= {"license": 0, "coco_url": "", "flickr_url": "", "date_captured": ""}  # as in the official files
    return orjson.dumps(row)
