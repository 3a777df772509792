"""Conversion raw DeepFashion2 -> COCO-294, with all attributes kept.

Streams: workers turn chunks of annotation files into text, the parent writes it in file order, so memory
hardly grows with the data set and the output does not depend on the number of workers. Image ids are the
numbers in the file names; annotation ids count from 1 over the items in the files' order, as the data set
authors' converter does. Sizes and annotations are in stored pixels: whoever decodes a photo must not apply
its EXIF orientation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from kps.coco import coco_annotation, coco_categories, visible_only_annotation
from kps.errors import InputError
from kps.files import atomic_path, progress, read_json
from kps.raw import RawDataset, RawSplit, annotation_files, find_raw, image_files, image_size, read_annotation
from kps.schema import NUM_CATEGORIES

CHUNK_FILES = 256


@dataclass
class Counts:
    """What a conversion wrote."""

    num_images: int = 0
    num_items: int = 0
    num_items_without_landmarks: int = 0
    per_category: dict[int, int] = field(
        default_factory=lambda: dict.fromkeys(range(1, NUM_CATEGORIES + 1), 0)
    )

    def to_json(self) -> dict[str, Any]:
        """Return the values for a JSON file."""
        return vars(self) | {"per_category": {str(key): value for key, value in self.per_category.items()}}


@dataclass(frozen=True)
class _Photo:
    """One photo's text: its image row, and of each item (category_id, num_keypoints, a row for each file)."""

    image: bytes
    items: tuple[tuple[int, int, list[bytes]], ...]


def convert_split(
    data_root: Path | str,
    split: str,
    out: Path,
    *,
    visible_only_out: Path | None = None,
    limit: int | None = None,
    workers: int | None = None,
) -> Counts:
    """Convert one split of a raw folder to a COCO-294 file, written whole or not at all.

    Args:
        data_root: the raw folder; its parts are found by name.
        split: train, validation, or test (no annotations: rows of its information file, else of its images).
        out: the file with visible and occluded landmarks.
        visible_only_out: a second file in which occluded landmarks (v = 1) are unlabelled.
        limit: only the first so many photos by number.
        workers: processes; None takes all cores.

    Raises:
        InputError: a part of the folder is absent, or a file or item is malformed (named in the message).
    """
    if limit is not None and limit < 1:
        raise InputError(f"expected a limit of at least 1 photo, but got {limit}")
    raw = find_raw(data_root)
    folders = raw.split(split)
    files = (_test_images(raw, folders) if split == "test" else _pairs(folders))[:limit]
    make = _test_photo if split == "test" else partial(_photo, visible_only=visible_only_out is not None)
    head = orjson.dumps({"info": {"description": f"DeepFashion2 {split}, 294 landmarks"}, "licenses": [],
                         "categories": coco_categories()})  # fmt: skip
    counts, images = Counts(), []
    with ExitStack() as stack:
        outs = [path for path in (out, visible_only_out) if path is not None]
        writers = [stack.enter_context(open(stack.enter_context(atomic_path(path)), "wb")) for path in outs]
        for writer in writers:
            writer.write(head[:-1] + b',"annotations":[')
        photos = _map(make, files, workers)
        for photo in progress(photos, desc=f"converting {split}", total=len(files), unit="photo"):
            images.append(photo.image)
            _write_items(photo, writers, counts)
        for writer in writers:
            writer.write(b'],"images":[' + b",".join(images) + b"]}")
    counts.num_images = len(images)
    return counts


def _write_items(photo: _Photo, writers: list[BinaryIO], counts: Counts) -> None:
    for category_id, num_keypoints, rows in photo.items:
        prefix = (b"," if counts.num_items else b"") + b'{"id":%d,' % (counts.num_items + 1)
        for writer, row in zip(writers, rows, strict=True):
            writer.write(prefix + row[1:])
        counts.num_items += 1
        counts.per_category[category_id] += 1
        counts.num_items_without_landmarks += num_keypoints == 0


def _pairs(split: RawSplit) -> list[tuple[Path, Path]]:
    """Return (annotation file, image file) of each photo by number."""
    images = dict(image_files(split))
    pairs = []
    for number, path in annotation_files(split):
        if number not in images:
            raise InputError(
                f"{path}: expected its image {split.image_dir / path.stem}.jpg, but there is no such file"
            )
        pairs.append((path, images[number]))
    return pairs


def _test_images(raw: RawDataset, split: RawSplit) -> list[tuple[int, Path]]:
    """Return (image_id, file) of the test photos, from the information file where there is one."""
    if "test" not in raw.information:
        return image_files(split)
    path = raw.information["test"]
    value = read_json(path)
    rows = value.get("images") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: expected an object with a list of images")
    images = []
    for number, row in enumerate(rows):
        image_id, name = (row.get("id"), row.get("file_name")) if isinstance(row, dict) else (None, None)
        if not isinstance(image_id, int) or isinstance(image_id, bool) or not isinstance(name, str):
            raise InputError(f"{path}: image {number}: expected an integer id and a file_name")
        images.append((image_id, split.image_dir / Path(name).name))
    if len({image_id for image_id, _ in images}) != len(images):
        raise InputError(f"{path}: expected each image id once, but some repeat")
    return sorted(images)


def _photo(files: tuple[Path, Path], *, visible_only: bool) -> _Photo:
    annotation, image_path = read_annotation(files[0]), files[1]
    image = _image_row(annotation.image_id, image_path, source=annotation.source, pair_id=annotation.pair_id)
    items = []
    for name, item in annotation.items:
        item = item | {"pair_id": annotation.pair_id}
        where = f"{annotation.path}, {name}"
        row = coco_annotation(item, annotation_id=0, image_id=annotation.image_id, where=where)
        del row["id"]  # given in file order by the parent
        rows = [orjson.dumps(row)] + ([orjson.dumps(visible_only_annotation(row))] if visible_only else [])
        items.append((row["category_id"], row["num_keypoints"], rows))
    return _Photo(image, tuple(items))


def _test_photo(file: tuple[int, Path]) -> _Photo:
    return _Photo(_image_row(*file, source="", pair_id=0), ())


def _image_row(image_id: int, path: Path, *, source: str, pair_id: int) -> bytes:
    width, height = image_size(path)
    row = {"id": image_id, "file_name": path.name, "width": width, "height": height}
    row |= {"source": source, "pair_id": pair_id}
    row |= {"license": 0, "coco_url": "", "flickr_url": "", "date_captured": ""}  # as in the official files
    return orjson.dumps(row)


def _map(make: Callable[[Any], _Photo], files: list[Any], workers: int | None) -> Iterator[_Photo]:
    """Yield make(file) in order; only a few chunks are under way at a time."""
    workers = min(workers or os.cpu_count() or 1, -(-len(files) // CHUNK_FILES) or 1)
    chunks = iter([files[start : start + CHUNK_FILES] for start in range(0, len(files), CHUNK_FILES)])
    if workers == 1:
        yield from (make(file) for chunk in chunks for file in chunk)
        return
    # "spawn" would import anew and "fork" may copy a thread's lock: a fork server does neither.
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        pending = [pool.submit(_make_chunk, make, chunk) for chunk in islice(chunks, 2 * workers)]
        try:
            while pending:
                photos = pending.pop(0).result()
                pending += [pool.submit(_make_chunk, make, chunk) for chunk in islice(chunks, 1)]
                yield from photos
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _make_chunk(make: Callable[[Any], _Photo], chunk: Iterable[Any]) -> list[_Photo]:
    return [make(file) for file in chunk]
