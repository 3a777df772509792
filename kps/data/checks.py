"""What is wrong or doubtful with one raw item or photo: a table of codes, and the tally of what was found."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from kps.data.coco import coco_annotation
from kps.data.photos import JPEG_END, TAIL_BYTES, what_is_wrong
from kps.data.raw import RawSplit, read_annotation
from kps.files import InputError
from kps.schema import category

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
MAX_EXAMPLES, MAX_EXAMPLE_LENGTH = 5, 500


class Kind(NamedTuple):
    """An error is skipped by the conversion; a warning is doubtful; a note is a known peculiarity."""

    severity: Severity
    what: str


KINDS = {
    # the folder
    "nothing_found": Kind("error", "no split of DeepFashion2 was found"),
    "split_absent": Kind("error", "a split was not found"),
    "two_copies": Kind("error", "a split was found twice equally near"),
    "folder_unreadable": Kind("error", "a split's folder cannot be listed"),
    "folder_passed_over": Kind("warning", "a folder that cannot be listed was passed over"),
    "annotations_absent": Kind("error", "a split has no folder of annotations"),
    "count_differs": Kind("warning", "counts that differ from the released data set"),
    # information files
    "information_absent": Kind("note", "an information file is absent"),
    "information_unreadable": Kind("error", "an information file cannot be read"),
    "information_id_repeated": Kind("error", "image ids that repeat in an information file"),
    "information_image_absent": Kind("warning", "images of an information file that are not on disk"),
    "information_lacks_image": Kind("warning", "images on disk that an information file lacks"),
    "information_size_differs": Kind("warning", "image sizes that an information file states otherwise"),
    # files
    "name_no_number": Kind("error", "file names that are no numbers"),
    "number_repeated": Kind("error", "two files with one number"),
    "empty_file": Kind("error", "empty files"),
    "not_json": Kind("error", "annotations that are no JSON in UTF-8, or cut off"),
    "annotation_malformed": Kind("error", "annotations of another structure"),
    "image_absent": Kind("error", "annotations without an image"),
    "annotation_absent": Kind("warning", "images without an annotation"),
    "image_unreadable": Kind("error", "images whose header cannot be read"),
    "image_truncated": Kind("error", "images without an end mark: probably cut off"),
    "image_undecodable": Kind("error", "images whose pixels cannot be decoded"),
    "image_turned": Kind("note", "images with an EXIF orientation: labels must be of the stored, unturned pixels"),
    "image_not_jpeg": Kind("warning", "images that are no JPEG"),
    "no_items": Kind("warning", "annotations without items"),
    "source_unknown": Kind("warning", "a source that is neither shop nor user"),
    # items that cannot be converted
    "category_unknown": Kind("error", "category ids other than 1 to 13"),
    "landmark_count": Kind("error", "not the number of landmarks of the category"),
    "visibility": Kind("error", "a visibility other than 0, 1, 2"),
    "number_huge": Kind("error", "coordinates far beyond any image"),
    "item_malformed": Kind("error", "items with absent or malformed fields"),
    "polygon_malformed": Kind("error", "polygons that are no lists of numbers"),
    "box_empty": Kind("error", "boxes without an area"),
    "box_inverted": Kind("error", "boxes with x2 < x1 or y2 < y1"),
    # items that are doubtful
    "box_looks_like_xywh": Kind("error", "boxes that look like x, y, width, height"),
    "box_outside_image": Kind("warning", "boxes outside the image"),
    "box_beyond_image": Kind("note", "boxes partly outside the image"),
    "landmark_far_from_box": Kind("warning", "landmarks far outside the item's box"),
    "landmark_outside_image": Kind("note", "landmarks outside the image"),
    "no_landmarks": Kind("note", "items without a landmark: used by the detector alone"),
    "polygon_absent": Kind("warning", "items without polygons: the box stands in"),
    "polygon_odd_length": Kind("warning", "polygons with an odd count of numbers"),
    "polygon_short": Kind("warning", "polygons of fewer than 3 points"),
    "attribute_out_of_range": Kind("warning", "attributes other than 1, 2, 3"),
    "category_name_differs": Kind("warning", "a category's id and name disagree (the id counts)"),
}


class Finding(NamedTuple):
    """One thing found; `text` names file and item."""

    code: str
    text: str


class Tally:
    """How often each code was found in each split ("" for the folder itself), and the first examples."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, split: str, code: str, text: str) -> None:
        """Count a finding."""
        self.counts[split, code] += 1
        if len(self.examples[split, code]) < MAX_EXAMPLES:
            self.examples[split, code].append(text[:MAX_EXAMPLE_LENGTH])

    def count(self, severity: Severity) -> int:
        """Findings of a severity."""
        return sum(number for (_, code), number in self.counts.items() if KINDS[code].severity == severity)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each code and split, the gravest first, then as in the table of codes."""
        order, codes = list(SEVERITIES), list(KINDS)
        keys = sorted(self.counts, key=lambda key: (order.index(KINDS[key[1]].severity), codes.index(key[1]), key[0]))
        return [
            {"severity": KINDS[code].severity, "kind": code, "split": split, "what": KINDS[code].what}
            | {"count": self.counts[split, code], "examples": self.examples[split, code]}
            for split, code in keys
        ]


HUGE_PX = 1e5
BORDER_PX = 2.0  # labellers' boxes and landmarks end a pixel or two beyond the image
FAR = 0.5  # landmarks farther outside the box than this share of its longer side are far
MIN_LANDMARKS_FOR_XYWH = 3
SOURCES = ("shop", "user")
RANGED_ATTRIBUTES = ("scale", "occlusion", "zoom_in", "viewpoint")  # each 1..3

Size = tuple[int, int] | None  # width and height in px, None where unknown


def check_item(item: dict[str, Any], *, where: str, size_wh: Size) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Return a raw item's COCO-294 annotation, None where it cannot be converted, and what was found.

    `where` (file and item) leads each text; `size_wh` is the image's.
    """
    try:
        row = coco_annotation(item, annotation_id=0, image_id=0, where=where)
    except InputError as error:
        code = error.code
        if code in ("box_inverted", "box_empty"):  # perhaps for a reason
            box, points = np.array(item["bounding_box"], float), np.array(item["landmarks"], float).reshape(-1, 3)
            code = "box_looks_like_xywh" if _looks_like_xywh(box, points[points[:, 2] > 0, :2], size_wh) else code
        return None, [Finding(code, str(error))]
    return row, [Finding(code, f"{where}: {text}") for code, text in _suspicions(item, row, size_wh)]


def _suspicions(item: dict[str, Any], row: dict[str, Any], size_wh: Size) -> Iterator[tuple[str, str]]:
    """Yield the code and the text of each thing that is doubtful."""
    garment, name = category(row["category_id"]), item.get("category_name")
    if name not in (None, garment.name, garment.coco_name):
        yield "category_name_differs", f"id {garment.id} is {garment.name}, but the name is {name!r}"
    for attribute in RANGED_ATTRIBUTES:
        if row[attribute] not in (1, 2, 3):
            yield "attribute_out_of_range", f"{attribute} is {item.get(attribute)!r}"
    lengths = [len(polygon) for polygon in row["segmentation"]]
    if not lengths:
        yield "polygon_absent", "no segmentation"
    if odd := [length for length in lengths if length % 2]:
        yield "polygon_odd_length", f"a polygon of {odd[0]} numbers"
    if short := [length for length in lengths if length < 6]:
        yield "polygon_short", f"a polygon of {short[0]} numbers"
    x, y, width, height = row["bbox"]
    box, own = np.array([x, y, x + width, y + height], dtype=float), garment.slice
    landmarks = np.array(row["keypoints"][3 * own.start : 3 * own.stop], dtype=float).reshape(-1, 3)
    largest = max(np.abs(box).max(), np.abs(landmarks).max())
    if largest > HUGE_PX:
        yield "number_huge", f"a coordinate of {largest:g} px"
        return
    labelled = landmarks[landmarks[:, 2] > 0, :2]
    if not len(labelled):
        yield "no_landmarks", f"a {garment.name} without a labelled landmark"
    yield from _box_and_places(box, labelled, size_wh)


def _box_and_places(box: np.ndarray, labelled: np.ndarray, size_wh: Size) -> Iterator[tuple[str, str]]:
    """At most one code for a box (4,); and for labelled landmarks (N, 2) outside the image or far outside the box."""
    text = f"box {[round(value, 1) for value in box.tolist()]}"
    image = "" if size_wh is None else f", image {size_wh[0]} x {size_wh[1]}"
    if xywh := _looks_like_xywh(box, labelled, size_wh):
        x, y, width, height = box
        yield "box_looks_like_xywh", f"{text}{image}: the landmarks lie in [x, y, x + {width:g}, y + {height:g}]"
    if size_wh is not None:
        inside = np.minimum(box[2:], np.subtract(size_wh, box[:2]))
        if not xywh and (inside <= 0).any():
            yield "box_outside_image", text + image
        elif not xywh and min(*box[:2], *np.subtract(size_wh, box[2:])) < -BORDER_PX:
            yield "box_beyond_image", text + image
        beyond = ((labelled < -BORDER_PX) | (labelled > np.add(size_wh, BORDER_PX))).any(axis=1)
        if beyond.any():
            x, y = labelled[np.argmax(beyond)]
            yield "landmark_outside_image", f"landmark at ({x:g}, {y:g}){image}"
    if len(labelled) and not xywh:
        distance = np.maximum(box[:2] - labelled, labelled - box[2:]).max(axis=1)
        if distance.max() > FAR * (box[2:] - box[:2]).max():
            x, y = labelled[np.argmax(distance)]
            yield "landmark_far_from_box", f"landmark at ({x:g}, {y:g}), box {box.tolist()}"


def _looks_like_xywh(box: np.ndarray, labelled: np.ndarray, size_wh: Size) -> bool:
    """Whether the landmarks lie in [x, y, x + w, y + h] rather than in [x1, y1, x2, y2]."""
    other = np.concatenate([box[:2], box[:2] + box[2:]])
    if len(labelled) < MIN_LANDMARKS_FOR_XYWH or (box[2:] <= 0).any():
        return False
    if size_wh is not None and (other[2:] > np.add(size_wh, BORDER_PX)).any():
        return False
    return bool(_inside(other, labelled).mean() >= 0.9 and _inside(box, labelled).mean() <= 0.5)


def _inside(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) whether points (N, 2) lie in a box (4,), give or take 5 % of its longer side."""
    margin = 0.05 * np.abs(box[2:] - box[:2]).max()
    return ((points >= box[:2] - margin) & (points <= box[2:] + margin)).all(axis=1)


UPRIGHT = 1  # of EXIF's orientations


class PhotoReport(NamedTuple):
    """What was found on one photo; `category_ids` are those of the items that can be converted."""

    number: int
    findings: list[Finding]
    size_wh: Size
    usable: bool
    category_ids: list[int]
    num_refused: int = 0
    num_without_landmarks: int = 0


def examine_photo(split: RawSplit, decode: bool, photo: tuple[int, str | None, str | None]) -> PhotoReport:
    """Read a photo's files, of which one may be absent; whatever they hold, nothing is raised.

    `photo` is its number, the name of its image, and of its annotation.
    """
    number, image, annotation = photo
    size, findings = (None, []) if image is None else check_image(split.image_dir / image, decode=decode)
    usable = not any(KINDS[finding.code].severity == "error" for finding in findings)
    if split.annos_dir is None:
        return PhotoReport(number, findings, size, usable, [])
    if annotation is None:
        findings.append(Finding("annotation_absent", f"{split.image_dir / str(image)}: no annotation"))
        return PhotoReport(number, findings, size, True, [])  # nothing uses it
    path = split.annos_dir / annotation
    if image is None:
        findings.append(Finding("image_absent", f"{path}: no image {path.stem}.jpg"))
    try:
        read = read_annotation(path)
    except InputError as error:
        code = "empty_file" if _is_empty(path) else error.code or "annotation_malformed"
        return PhotoReport(number, [*findings, Finding(code, str(error))], size, False, [])
    if not read.items:
        findings.append(Finding("no_items", f"{path}: no item1, item2, ..."))
    if read.source not in SOURCES:
        findings.append(Finding("source_unknown", f"{path}: source is {read.source!r}"))
    rows = []
    for name, item in read.items:
        row, found = check_item(item, where=f"{path}, {name}", size_wh=size)
        rows += [] if row is None else [row]
        findings += found
    return PhotoReport(
        number, findings, size, usable and image is not None,
        category_ids=[row["category_id"] for row in rows],
        num_refused=len(read.items) - len(rows),
        num_without_landmarks=sum(row["num_keypoints"] == 0 for row in rows),
    )  # fmt: skip


def check_image(path: Path, *, decode: bool = False) -> tuple[Size, list[Finding]]:
    """Return an image's (width, height), None where its header cannot be read, and what is wrong with it.

    With `decode` the pixels are decoded, rather than the mark at the file's end looked for.
    """
    try:
        with open(path, "rb") as file, Image.open(file) as image:
            findings, is_jpeg = [], image.format in ("JPEG", "MPO")
            if (turn := _orientation(image)) != UPRIGHT:
                findings.append(Finding("image_turned", f"{path}: EXIF orientation {turn}"))
            if not is_jpeg:
                findings.append(Finding("image_not_jpeg", f"{path}: is {image.format}"))
            if decode:
                try:
                    image.load()
                except Exception as error:  # Pillow raises a dozen kinds on damage
                    findings.append(Finding("image_undecodable", f"{path}: {error}"))
            elif is_jpeg:
                num_bytes = os.fstat(file.fileno()).st_size
                file.seek(max(0, num_bytes - TAIL_BYTES))
                if JPEG_END not in file.read():
                    findings.append(Finding("image_truncated", f"{path}: no mark of the end in {num_bytes:,} bytes"))
            return image.size, findings
    except Exception as error:
        if _is_empty(path):
            return None, [Finding("empty_file", f"{path}: is empty")]
        return None, [Finding("image_unreadable", f"{path}: {what_is_wrong(path, error)}")]


def _is_empty(path: Path) -> bool:
    return path.is_file() and not path.stat().st_size


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1..8; 1 where there is none, or none that can be read."""
    try:
        turn = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    except Exception:
        return UPRIGHT
    return turn if turn in range(1, 9) else UPRIGHT
