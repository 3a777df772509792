"""Conversion raw DeepFashion2 -> COCO-294, with all attributes kept, and a comparison with the official files.

Workers turn annotation files into text, the parent writes it in file order: memory hardly grows with the data set.
Image ids are the numbers in the file names; annotation ids count from 1 over the items in the files' order, as the
data set authors' converter does; an item that is skipped keeps its number. Sizes and annotations are in stored pixels.
"""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from kps.data.coco import Instances, coco_annotation, coco_writer, load_coco, visible_only_annotation
from kps.data.photos import image_size
from kps.data.raw import (
    ANNOTATIONS,
    IMAGES,
    RawAnnotation,
    RawDataset,
    RawSplit,
    find_raw,
    numbered_files,
    read_annotation,
    read_information,
)  # fmt: skip
from kps.files import InputError, ordered_map, progress

CHUNK_FILES = 256
TOLERANCE_PX = 0.01  # between files: coordinates are rounded to 0.001 px in ours


@dataclass
class Counts:
    """What a conversion wrote, and one line for each file or item that it had to skip."""

    num_images: int = 0
    num_items: int = 0
    num_items_without_landmarks: int = 0
    skipped: list[str] = field(default_factory=list)

    @property
    def num_skipped(self) -> int:
        """Files and items that were skipped."""
        return len(self.skipped)


Photo = tuple[int, str | None, str | None]  # number, name of the image, name of the annotation
Item = tuple[int, list[bytes]]  # labelled landmarks, and the row's text for each file that is written


class _Converted(NamedTuple):
    """One photo's text; None stands for an image or an item that was skipped."""

    image: bytes | None
    items: list[Item | None]
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
        split: of the test split there are the photos of its information file, else of its folder, without items.
        out, visible_only_out: in the second file occluded landmarks (v = 1) are unlabelled.
        limit: only the first so many photos by number.
        workers: processes; None takes all cores. The files do not depend on it.
        strict: refuse the first file or item that cannot be converted; otherwise such are skipped and named in
            `Counts.skipped`.
    """
    check_limit(limit)
    raw = find_raw(data_root)
    folders = raw.split(split)
    photos, skipped = _photos(raw, folders)
    photos, counts, images = photos[:limit], Counts(skipped=skipped), []
    make = partial(_convert, folders, visible_only_out is not None)
    converted = ordered_map(make, photos, workers=workers, chunk=CHUNK_FILES)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(coco_writer(path, f"DeepFashion2 {split}, 294 landmarks", images))
            for path in (out, visible_only_out) if path is not None
        ]  # fmt: skip
        annotation_id = 0
        for photo in progress(converted, desc=f"converting {split}", total=len(photos), unit="photo"):
            counts.skipped += photo.skipped
            if strict and counts.skipped:
                raise InputError(counts.skipped[0])
            images += [photo.image] if photo.image else []
            for item in photo.items:
                annotation_id += 1  # a skipped item keeps its number
                if item is None:
                    continue
                num_landmarks, texts = item
                for write, text in zip(writers, texts, strict=True):
                    write(b'{"id":%d,' % annotation_id + text[1:])
                counts.num_items += 1
                counts.num_items_without_landmarks += num_landmarks == 0
        counts.num_images = len(images)
        if not images or (split != "test" and not counts.num_items):
            wanted = "photo" if split == "test" else "photo with an item"
            first = f"; the first: {counts.skipped[0]}" if counts.skipped else ""
            raise InputError(
                f"{folders.image_dir.parent}: expected at least one {wanted} that can be converted, but "
                f"{counts.num_skipped} files and items had to be skipped{first}"
            )
    return counts


def check_limit(limit: int | None) -> None:
    """Refuse a number of photos below 1; None stands for all."""
    if limit is not None and limit < 1:
        raise InputError(f"expected a limit of at least 1 photo, but got {limit}")


def _photos(raw: RawDataset, split: RawSplit) -> tuple[list[Photo], list[str]]:
    """Return the photos by number, test photos from the information file where there is one, and what is skipped."""
    if split.name == "test" and "test" in raw.information:
        rows, _ = read_information(raw.information["test"])
        if len({row.id for row in rows}) != len(rows):
            raise InputError(f"{raw.information['test']}: expected each image id once, but some repeat")
        return sorted((row.id, row.name, None) for row in rows), []
    images, skipped = _some_files(split.image_dir, IMAGES)
    if split.name == "test":
        return [(number, name, None) for number, name in images.items()], skipped
    annotations, lines = _some_files(split.annos_dir, ANNOTATIONS)
    return [(number, images.get(number), name) for number, name in annotations.items()], lines + skipped


def _some_files(folder: Path, endings: tuple[str, ...]) -> tuple[dict[int, str], list[str]]:
    """Return a folder's files by number, and a line for each whose name cannot be used; InputError: no files."""
    names, problems = numbered_files(folder, endings)
    lines = [line for _, line in problems]
    if not names:
        expected = f"{folder}: expected files such as 000001{endings[0]}, but there are none"
        raise InputError(lines[0] if lines else expected)
    return names, lines


def _convert(split: RawSplit, visible_only: bool, photo: Photo) -> _Converted:
    number, image, annotation = photo
    read = RawAnnotation(split.image_dir, "", 0, ())
    try:
        if annotation is not None:
            read = read_annotation(split.annos_dir / annotation)
        if image is None:
            expected = split.image_dir / f"{Path(annotation).stem}.jpg"
            raise InputError(f"{read.path}: expected its image {expected}, but there is no such file")
        image_row = _image_row(number, split.image_dir / image, read)
    except InputError as error:
        return _Converted(None, [None] * len(read.items), [str(error)])
    items, skipped = [], []
    for name, item in read.items:
        try:
            items.append(_item(item | {"pair_id": read.pair_id}, number, f"{read.path}, {name}", visible_only))
        except InputError as error:
            items.append(None)
            skipped.append(str(error))
    return _Converted(image_row, items, skipped)


def _item(item: dict[str, Any], image_id: int, where: str, visible_only: bool) -> Item:
    row = coco_annotation(item, annotation_id=0, image_id=image_id, where=where)
    del row["id"]  # given in file order by the parent
    rows = [row, visible_only_annotation(row)] if visible_only else [row]
    return row["num_keypoints"], [orjson.dumps(row) for row in rows]


def _image_row(image_id: int, path: Path, annotation: RawAnnotation) -> bytes:
    width, height = image_size(path)
    row = {"id": image_id, "file_name": path.name, "width": width, "height": height}
    row |= {"source": annotation.source, "pair_id": annotation.pair_id}
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
    found = [("images are only in ours, such as", sizes.keys() - stated.keys())]
    found += [("images are only in theirs, such as", stated.keys() - sizes.keys())]
    found += [("images have another size, such as", wrong)]
    found += _compare_items(mine.instances, official.instances) if len(official.instances) else []
    return [f"{len(image_ids)} {what} {min(image_ids)}" for what, image_ids in found if len(image_ids)]


def _compare_items(mine: Instances, official: Instances) -> list[tuple[str, Collection[int]]]:
    """Return what differs, and the image id of each item of which that is so."""
    places = []
    for items in (mine, official):
        keys = np.column_stack([items.image_id, items.category_id, items.bbox_xywh.round(1)])
        places.append({tuple(key): row for row, key in enumerate(keys.tolist())})
    own, other = places
    both = sorted(own.keys() & other.keys())
    first, second = mine.take([own[key] for key in both]), official.take([other[key] for key in both])
    labelled = (first.keypoints[:, :, 2] > 0) & (second.keypoints[:, :, 2] > 0)
    apart = np.hypot(*(first.keypoints - second.keypoints)[:, :, :2].transpose(2, 0, 1)) * labelled
    moved = (apart > TOLERANCE_PX) | (first.keypoints[:, :, 2] != second.keypoints[:, :, 2])
    moved_by = f"items have other landmarks, by up to {apart.max(initial=0):.2f} px"
    found = [
        ("items are only in ours", [int(key[0]) for key in own.keys() - other.keys()]),
        ("items are only in theirs", [int(key[0]) for key in other.keys() - own.keys()]),
        (moved_by, first.image_id[moved.any(axis=1)]),
        ("items have another area", first.image_id[np.abs(first.area - second.area) > 1]),
    ]
    return [(f"{what}, such as one of image", image_ids) for what, image_ids in found]
