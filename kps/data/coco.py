"""The COCO-294 file: reading with validation, writing, selecting.

An annotation holds 882 numbers (x px, y px, visibility of each of the 294 landmarks in category order; slots
of other categories are zero). In memory only an instance's own landmarks are kept: (N, 39, 3).
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from kps.data.rows import Row, iter_json_lists, own_numbers
from kps.files import (
    MAX_COORDINATE,
    NUMBERS,
    InputError,
    atomic_path,
    field,
    integer_field,
    number_field,
    numbers_field,
    open_file,
    shown,
)
from kps.schema import CATEGORIES, MAX_LANDMARKS, NUM_CATEGORIES, NUM_LANDMARKS, Category, category


def check_polygons(value: Any) -> list[list[float]]:
    """Return the polygons of a COCO or raw row; none where it has another kind of mask (RLE) or null.

    InputError: a list that is not one of lists of numbers, or a number too large to be a pixel.
    """
    if value is None or isinstance(value, dict):
        return []
    if not isinstance(value, list) or not all(isinstance(polygon, list) for polygon in value):
        raise InputError("expected segmentation as a list of polygons, each a list of numbers", "polygon_malformed")
    for polygon in value:
        if not NUMBERS.issuperset(map(type, polygon)):
            raise InputError("expected segmentation as polygons of numbers", "polygon_malformed")
        if polygon and not -MAX_COORDINATE <= min(polygon) <= max(polygon) <= MAX_COORDINATE:
            raise InputError(f"expected segmentation within {MAX_COORDINATE:g} px")
    return value


ATTRIBUTES = ("scale", "occlusion", "zoom_in", "viewpoint", "style", "pair_id")
_PADDING = [0.0] * (3 * MAX_LANDMARKS)
_INTEGERS = ("id", "image_id", "category_id", "iscrowd", "labelled", "num_keypoints", *ATTRIBUTES)
MIN_BOX_SIDE = 0.01  # px; box files hold no finer numbers
MIN_AREA_SHARE = 0.01  # of the box: a garment's mask is larger


@dataclass(frozen=True)
class ImageRow:
    """One photo: size in pixels; `file_name` is relative to the split's image folder."""

    id: int
    file_name: str
    width: int
    height: int
    source: str = ""
    pair_id: int = 0
    upright: bool = False  # pixels count on the photo as a viewer shows it, not as it is stored


@dataclass(frozen=True)
class Instances:
    """N garments as arrays; `attributes` maps a name of ATTRIBUTES to (N,) integers (0 where unknown)."""

    annotation_id: np.ndarray  # (N,)
    image_id: np.ndarray  # (N,)
    category_id: np.ndarray  # (N,) 1..13
    bbox_xywh: np.ndarray  # (N, 4) px
    area: np.ndarray  # (N,) px^2 as stated; the protocol's is box width x height
    keypoints: np.ndarray  # (N, 39, 3) own landmarks
    num_keypoints: np.ndarray  # (N,)
    iscrowd: np.ndarray  # (N,) bool
    attributes: dict[str, np.ndarray]
    segmentation: np.ndarray  # (N,) lists of polygons, each an array x1, y1, x2, y2, ... px

    def __len__(self) -> int:
        return len(self.annotation_id)

    @property
    def counted(self) -> np.ndarray:
        """(N,) bool: with a labelled landmark and no crowd, so that it is learnt from and scored."""
        return (self.num_keypoints > 0) & ~self.iscrowd

    def take(self, rows: np.ndarray) -> "Instances":
        """Return the instances of the given rows (indices or a mask)."""
        arrays = {name: value[rows] for name, value in vars(self).items() if name != "attributes"}
        return Instances(**arrays, attributes={name: value[rows] for name, value in self.attributes.items()})


@dataclass(frozen=True)
class Coco:
    """A validated COCO-294 file; `remarks` are lines about what it says twice and differently."""

    path: Path
    images: tuple[ImageRow, ...]
    instances: Instances
    remarks: tuple[str, ...] = ()

    @property
    def image_ids(self) -> np.ndarray:
        """(I,) ids of the images, in file order."""
        return np.array([row.id for row in self.images], dtype=np.int64)

    def sizes_wh(self, image_id: np.ndarray) -> np.ndarray:
        """(N, 2) width and height in px of the photos with the given ids (N,), all of which must be there."""
        order = np.argsort(self.image_ids)
        sizes = np.array([(row.width, row.height) for row in self.images]).reshape(-1, 2)
        return sizes[order[np.searchsorted(self.image_ids, image_id, sorter=order)]]

    def subset(self, *, image_ids: Iterable[int] | None = None, category_id: int | None = None) -> "Coco":
        """Keep the given images and the instances on them, or one category's instances.

        With a category all images stay, or false positives on the others would vanish from a score.
        """
        images, rows = self.images, np.ones(len(self.instances), bool)
        if image_ids is not None:
            wanted = set(image_ids)
            images = tuple(row for row in images if row.id in wanted)
            rows &= np.isin(self.instances.image_id, list(wanted))
        if category_id is not None:
            rows &= self.instances.category_id == category(category_id).id
        return replace(self, images=images, instances=self.instances.take(rows))

    def visible_only(self) -> "Coco":
        """Treat occluded landmarks (v = 1) as unlabelled."""
        keypoints = self.instances.keypoints * (self.instances.keypoints[:, :, 2:] == 2)
        count = (keypoints[:, :, 2] > 0).sum(axis=1)
        return replace(self, instances=replace(self.instances, keypoints=keypoints, num_keypoints=count))


def coco_annotation(item: dict[str, Any], *, annotation_id: int, image_id: int, where: str) -> dict[str, Any]:
    """Convert a raw DeepFashion2 item to a COCO-294 annotation.

    InputError: a field is absent or malformed; `where` (file and item) leads the message.
    """
    try:
        garment = category(field(item, "category_id"))
        x1, y1, x2, y2 = _finite(numbers_field(item, "bounding_box", 4))
        landmarks = _landmarks(item, garment)
        attributes = {name: integer_field(item, name, default=0) for name in ATTRIBUTES}
        polygons = check_polygons(item.get("segmentation"))
        if min(x2 - x1, y2 - y1) < MIN_BOX_SIDE:
            code = "box_inverted" if min(x2 - x1, y2 - y1) < 0 else "box_empty"
            raise InputError(f"expected a bounding_box x1, y1, x2, y2, but got {[x1, y1, x2, y2]}", code)
    except InputError as error:
        raise InputError(f"{where}: {error}", error.code or "item_malformed") from None
    keypoints: list[float] = [0] * (3 * NUM_LANDMARKS)
    keypoints[3 * garment.slice.start : 3 * garment.slice.stop] = map(_tidy, landmarks)
    width, height = x2 - x1, y2 - y1
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": garment.id,
        "bbox": [_tidy(value) for value in (x1, y1, width, height)],
        "area": _tidy(width * height),
        "iscrowd": 0,
        "num_keypoints": sum(value > 0 for value in landmarks[2::3]),
        "keypoints": keypoints,
        "segmentation": polygons,
        **attributes,
    }


def _landmarks(item: dict[str, Any], garment: Category) -> list[float]:
    """Return x, y, v of each landmark of a raw item."""
    expected, got = 3 * garment.num_landmarks, field(item, "landmarks")
    if isinstance(got, list) and len(got) != expected:
        words = f"expected {expected} landmark numbers for a {garment.name}, but got {len(got)}"
        raise InputError(words, "landmark_count")
    landmarks = _finite(numbers_field(item, "landmarks", expected))
    if not {0, 1, 2}.issuperset(landmarks[2::3]):
        raise InputError("expected a visibility of 0, 1 or 2", "visibility")
    return landmarks


def _finite(values: list[float]) -> list[float]:
    if not all(-MAX_COORDINATE <= value <= MAX_COORDINATE for value in values):  # NaN is not either
        raise InputError(f"expected finite coordinates, within {MAX_COORDINATE:g} px", "number_huge")
    return values


def visible_only_annotation(row: dict[str, Any]) -> dict[str, Any]:
    """Return a COCO-294 annotation with its occluded landmarks (v = 1) unlabelled."""
    keypoints = list(row["keypoints"])
    for place in range(2, len(keypoints), 3):
        if keypoints[place] == 1:
            keypoints[place - 2 : place + 1] = 0, 0, 0
    return row | {"keypoints": keypoints, "num_keypoints": sum(value > 0 for value in keypoints[2::3])}


def _tidy(value: float) -> float:
    """Write whole numbers as integers: a third less JSON."""
    return int(value) if value == int(value) else round(value, 3)


def coco_head(description: str) -> dict[str, Any]:
    """Return what a COCO-294 file holds besides images and annotations."""
    keypoints = [str(number + 1) for number in range(NUM_LANDMARKS)]
    categories = [
        {"id": item.id, "name": item.name, "supercategory": "clothes", "keypoints": keypoints}
        | {"skeleton": [[item.first_index + i for i in link] for link in item.outline_links]}
        for item in CATEGORIES
    ]
    return {"info": {"description": description}, "licenses": [], "categories": categories}


@contextmanager
def coco_writer(path: Path, description: str, images: list[bytes]) -> Iterator[Callable[[bytes], None]]:
    """Yield a function that writes the text of an annotation to a COCO-294 file, which comes whole or not at all.

    The texts that `images` holds in the end follow.
    """
    separator = b""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:

        def write(annotation: bytes) -> None:
            nonlocal separator
            file.write(separator + annotation)
            separator = b","

        file.write(orjson.dumps(coco_head(description))[:-1] + b',"annotations":[')
        yield write
        file.write(b'],"images":[' + b",".join(images) + b"]}")


def load_coco(path: Path) -> Coco:
    """Read and validate a COCO-294 file row by row; an information file without annotations has no instances.

    InputError: the file or one of its rows is malformed; the message names file and row.
    """
    path, found = Path(path), set()
    images: dict[int, ImageRow] = {}
    annotations = _Annotations()

    def add_image(row: Row) -> None:
        image = _image_row(row)
        if images.setdefault(image.id, image) is not image:
            raise InputError(f"expected each image id once, but {image.id} repeats")

    takers = {
        "images": ("image", add_image),
        "annotations": ("annotation", annotations.add),
        "categories": ("category", _check_name),
    }
    with open_file(path) as file:
        for key, rows in iter_json_lists(file.read, str(path), takers, annotations.take):
            found.add(key)
            what, take = takers[key]
            for number, row in rows:
                try:
                    take(row)
                except InputError as error:
                    raise InputError(f"{path}: {what} {number}: {error}") from None
    if "images" not in found:
        raise InputError(f"{path}: expected a COCO file, an object with a list of images")
    instances, remarks = annotations.read(path, images)
    return Coco(path, tuple(images.values()), instances, remarks)


def _check_name(row: Row) -> None:
    """Refuse a category row that gives one of the 13 names to another id; names of one's own may stand."""
    name, got = row.get("name"), row.get("id")
    garment = Category.named(name) if isinstance(name, str) else None
    if garment and got != garment.id:
        raise InputError(f"expected id {garment.id} for {shown(name)}, but got {shown(got)}")


def _image_row(row: dict[str, Any]) -> ImageRow:
    name, source = field(row, "file_name"), row.get("source") or ""
    if not isinstance(name, str) or not isinstance(source, str):
        raise InputError(f"expected file_name and source as text, but got {shown(name)} and {shown(source)}")
    if not name or "\0" in name or name.startswith("/") or ".." in name.split("/"):
        raise InputError(f"expected a file name inside the image folder, but got {shown(name)}")
    width, height = integer_field(row, "width"), integer_field(row, "height")
    if not (0 < width <= MAX_COORDINATE and 0 < height <= MAX_COORDINATE):
        raise InputError(f"expected a positive size, but got {width} x {height}")
    image_id, pair_id = integer_field(row, "id"), integer_field(row, "pair_id", default=0)
    if image_id < 0:
        raise InputError(f"expected an id of at least 0, but got {image_id}")
    return ImageRow(image_id, name, width, height, source, pair_id)


class _Annotations:
    """Collects the annotations of a file as flat typed arrays, which grow in place."""

    def __init__(self) -> None:
        self.integers = array("q")  # _INTEGERS of each row
        self.boxes = array("d")  # x, y, w, h and area
        self.keypoints = array("d")  # 39 x 3
        self.segmentation: list[list[np.ndarray]] = []

    def take(self, text: bytes) -> int:
        """Add the rows of a list's text where each is as it should be; the others are added one by one, and named."""
        part = _Annotations()
        try:
            for row, own in zip(*own_numbers(text), strict=True):
                part.add(row | {"keypoints": orjson.loads(b"[%b]" % own)}, all_slots=False)
        except Exception:  # whatever it is, the row will tell
            return 0
        for name, values in vars(part).items():
            getattr(self, name).extend(values)
        return len(part.segmentation)

    def add(self, row: Row, *, all_slots: bool = True) -> None:
        """Check the types of a row and keep its numbers; without `all_slots` its keypoints are the own ones."""
        garment = category(field(row, "category_id"))
        slots = NUM_LANDMARKS if all_slots else garment.num_landmarks
        points = numbers_field(row, "keypoints", 3 * slots)
        own = points[3 * garment.slice.start : 3 * garment.slice.stop] if all_slots else points
        box = numbers_field(row, "bbox", 4)
        self.integers.extend((integer_field(row, "id"), integer_field(row, "image_id"), garment.id))
        self.integers.append(integer_field(row, "iscrowd", default=0) != 0)
        self.integers.append(slots - points[2::3].count(0))
        self.integers.append(integer_field(row, "num_keypoints", default=-1))
        self.integers.extend(integer_field(row, name, default=0) for name in ATTRIBUTES)
        self.boxes.extend(box)
        self.boxes.append(box[2] * box[3] if row.get("area") is None else number_field(row, "area"))
        self.segmentation.append([np.array(polygon, float) for polygon in check_polygons(row.get("segmentation"))])
        self.keypoints.extend(own)
        self.keypoints.extend(_PADDING[len(own) :])

    def read(self, path: Path, image_ids: Collection[int]) -> tuple[Instances, tuple[str, ...]]:
        """Check what is cheaper to see on whole arrays; return them, and where num_keypoints, used by nothing, errs."""
        integers = np.asarray(self.integers).reshape(-1, len(_INTEGERS))
        boxes = np.asarray(self.boxes).reshape(-1, 5)
        keypoints = np.asarray(self.keypoints).reshape(-1, MAX_LANDMARKS, 3)
        _check_arrays(path, keypoints, boxes, integers, image_ids)
        columns = dict(zip(_INTEGERS, integers.T, strict=True))
        labelled, stated = (keypoints[:, :, 2] > 0).sum(axis=1), columns["num_keypoints"]
        instances = Instances(
            annotation_id=columns["id"],
            image_id=columns["image_id"],
            category_id=columns["category_id"],
            bbox_xywh=boxes[:, :4],
            area=boxes[:, 4],
            keypoints=keypoints,
            num_keypoints=labelled,
            iscrowd=columns["iscrowd"].astype(bool),
            attributes={name: columns[name] for name in ATTRIBUTES},
            segmentation=np.fromiter(self.segmentation, object, len(self.segmentation)),
        )
        wrong = (stated >= 0) & (stated != labelled)
        if not wrong.any():
            return instances, ()
        i, what = np.argmax(wrong), f"{path}: {wrong.sum()} of {len(wrong)} have a wrong num_keypoints"
        remark = f"{what}, first annotation {i}: {stated[i]}, but {labelled[i]} landmarks are labelled"
        return instances, (remark,)


def _check_arrays(
    path: Path, keypoints: np.ndarray, boxes: np.ndarray, integers: np.ndarray, image_ids: Collection[int]
) -> None:
    """Refuse what no single row shows, and what is cheaper to see on whole arrays."""
    largest = np.maximum(keypoints.max(axis=(1, 2)), -keypoints.min(axis=(1, 2)))
    largest = np.maximum(largest, np.abs(boxes[:, :4]).max(axis=1))
    visibility = keypoints[:, :, 2]
    width, height, area = boxes[:, 2:].T
    sides = f"a box of a width and height of at least {MIN_BOX_SIDE} px"
    areas = "an area of at least 0 that fits the box: width, height, area"
    outside = (area < MIN_AREA_SHARE * width * height) | (area > (width + 1) * (height + 1))
    foreign = integers[:, _INTEGERS.index("labelled")] - (visibility != 0).sum(axis=1)
    for expected, bad, got in (
        (f"coordinates within {MAX_COORDINATE:g} px", largest > MAX_COORDINATE, largest),
        (sides, np.minimum(width, height) < MIN_BOX_SIDE, boxes[:, :4]),
        (areas, outside, boxes[:, 2:]),
        ("a visibility of 0, 1 or 2", ~np.isin(visibility, (0, 1, 2)).all(axis=1), visibility.max(axis=1)),
        ("no landmark in the slots of other categories", foreign > 0, foreign),
        ("an image id that is in the file", ~np.isin(integers[:, 1], list(image_ids)), integers[:, 1]),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(f"{path}: annotation {row}: expected {expected}, but got {got[row].tolist()}")
    ids, counts = np.unique(integers[:, 0], return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{path}: expected each annotation id once, but id {ids[np.argmax(counts)]} repeats")


SPLIT_SEED = 20200615  # fixed, so that all runs on one data set hold out the same photos


def held_out_images(coco: Coco, share: float) -> set[int]:
    """Return the ids of a random share of the photos, which a training does not learn from but is chosen by.

    Validation is never looked at for this: the paper's numbers, chosen on validation, are a little too good.
    """
    order = np.random.default_rng(SPLIT_SEED).permutation(coco.image_ids)
    return set(order[: round(share * len(order))].tolist())


def learnt_part(coco: Coco, share: float) -> Coco:
    """Return the photos that are left to learn from."""
    return coco.subset(image_ids=set(coco.image_ids.tolist()) - held_out_images(coco, share))


def category_counts(category_id: np.ndarray) -> np.ndarray:
    """(13,) number of instances of each category."""
    return np.bincount(np.asarray(category_id, dtype=np.int64), minlength=NUM_CATEGORIES + 1)[1:]


def save_selection(source: Path, out: Path, image_ids: Iterable[int], *, visible_only: bool = False) -> None:
    """Write the given photos of a COCO-294 file with their annotations, rows as they are, whole or not at all.

    With `visible_only`, occluded landmarks (v = 1) are left unlabelled. InputError: `source` is absent or broken JSON.
    """
    wanted, images = set(image_ids), []
    with open_file(source) as file, coco_writer(out, "DeepFashion2 layout, 294 landmarks", images) as write:
        for key, rows in iter_json_lists(file.read, str(source), ("images", "annotations")):
            for _, row in rows:
                if key == "images" and row["id"] in wanted:
                    images.append(orjson.dumps(row))
                elif key == "annotations" and row["image_id"] in wanted:
                    write(orjson.dumps(visible_only_annotation(row) if visible_only else row))
