"""Conversion raw DeepFashion2 -> COCO-294, with all attributes kept, and a comparison with the official files.

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

import numpy as np
import orjson

from kps.data.coco import Coco, coco_annotation, coco_head, load_coco, visible_only_annotation
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
    read_information,
)  # fmt: skip
from kps.files import InputError, atomic_path, ordered_map, progress
from kps.schema import NUM_CATEGORIES

CHUNK_FILES = 256
LINES_IN_JSON = 100  # of what was skipped
TOLERANCE_PX = 0.01  # between files: coordinates are rounded to 0.001 px in ours


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
        per_category = {str(key): value for key, value in self.per_category.items()}
        skipped = {"num_skipped": self.num_skipped, "skipped": self.skipped[:LINES_IN_JSON]}
        return vars(self) | {"per_category": per_category} | skipped


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
            writer.write(orjson.dumps(coco_head(f"DeepFashion2 {split}, 294 landmarks"))[:-1] + b',"annotations":[')
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
            wanted, first = (
                "photo with an item" if annotated else "photo",
                "; the first: ".join(["", *counts.skipped[:1]]),
            )
            raise InputError(
                f"{folders.image_dir.parent}: expected at least one {wanted} that can be converted, but "
                f"{counts.num_skipped} files and items had to be skipped{first}"
            )
    return counts


def check_limit(limit: int | None) -> None:
    """Refuse a number of photos below 1; None stands for all."""
    if limit is not None and limit < 1:
        raise InputError(f"expected a limit of at least 1 photo, but got {limit}")


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
    images, annotations = _some(list_images(split), "jpg"), _some(list_annotations(split), "json")
    pairs = [(name, images.names.get(number)) for number, name in annotations.names.items()]
    return pairs, Counts(skipped=[line for _, line in annotations.problems + images.problems])


def _some(files: NumberedFiles, kind: str) -> NumberedFiles:
    if not files.names:
        expected = f"{files.folder}: expected files such as 000001.{kind}, but there are none"
        raise InputError(files.problems[0][1] if files.problems else expected)
    return files


def _test_images(raw: RawDataset, split: RawSplit) -> tuple[list[tuple[int, str]], Counts]:
    """Return (image_id, file name) of the test photos, from the information file where there is one."""
    if "test" not in raw.information:
        images = _some(list_images(split), "jpg")
        return list(images.names.items()), Counts(skipped=[line for _, line in images.problems])
    rows, _ = read_information(raw.information["test"])
    if len({row.id for row in rows}) != len(rows):
        raise InputError(f"{raw.information['test']}: expected each image id once, but some repeat")
    return sorted((row.id, row.name) for row in rows), Counts()


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


def compare_with_official(ours: Path, theirs: Path) -> list[str]:
    """Compare a COCO-294 file of ours with an official one; return what differs, a line each, none where nothing does.

    Annotations are paired by image, category and box, since ids may differ. Where the official file has no annotations,
    images alone are compared.
    """
    mine, official = load_coco(ours), load_coco(theirs)
    sizes, stated = ({row.id: (row.width, row.height) for row in coco.images} for coco in (mine, official))
    wrong = [image_id for image_id in sizes.keys() & stated.keys() if sizes[image_id] != stated[image_id]]
    found = [("images are only in ours", sizes.keys() - stated.keys())]
    found += [("images are only in theirs", stated.keys() - sizes.keys()), ("images have another size", wrong)]
    lines = [f"{len(ids)} {what}, such as {min(ids)}" for what, ids in found if ids]
    return lines + (_compare_items(mine, official) if len(official.instances) else [])


def _compare_items(mine: Coco, official: Coco) -> list[str]:
    places = []
    for coco in (mine, official):
        items = coco.instances
        keys = np.column_stack([items.image_id, items.category_id, items.bbox_xywh.round(1)])
        places.append({tuple(key): row for row, key in enumerate(keys.tolist())})
    both, lines = sorted(places[0].keys() & places[1].keys()), []
    for own, other, whose in ((*places, "ours"), (*reversed(places), "theirs")):
        if only := own.keys() - other.keys():
            lines.append(f"{len(only)} items are only in {whose}, such as one of image {min(only)[0]:g}")
    first, second = (
        coco.instances.take([of[key] for key in both]) for coco, of in zip((mine, official), places, strict=True)
    )
    labelled = (first.keypoints[:, :, 2] > 0) & (second.keypoints[:, :, 2] > 0)
    apart = np.hypot(*(first.keypoints - second.keypoints)[:, :, :2].transpose(2, 0, 1)) * labelled
    moved = (apart > TOLERANCE_PX) | (first.keypoints[:, :, 2] != second.keypoints[:, :, 2])
    for what, differs in (
        (f"items have other landmarks, by up to {apart.max(initial=0):.2f} px", moved.any(axis=1)),
        ("items have another area", np.abs(first.area - second.area) > 1),
    ):
        if differs.any():
            lines.append(f"{differs.sum()} {what}, such as one of image {first.image_id[np.argmax(differs)]}")
    return lines
