"""What is wrong or doubtful with one raw item or photo: a table of codes, and the tally of what was found."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image
from scipy.stats import binomtest

from kps.data.coco import MIN_BOX_SIDE, coco_annotation
from kps.data.raw import HEADER_ERRORS, RawAnnotation, RawSplit, read_annotation
from kps.files import InputError, reason_of
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
    "number_not_finite": Kind("error", "NaN, infinity or a number too large for one"),
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
    "polygon_malformed": Kind("error", "polygons that are no lists of numbers"),
    "polygon_odd_length": Kind("warning", "polygons with an odd count of numbers"),
    "polygon_short": Kind("warning", "polygons of fewer than 3 points"),
    "attribute_out_of_range": Kind("warning", "attributes other than 1, 2, 3"),
    "category_name_differs": Kind("warning", "a category's id and name disagree (the id counts)"),
}


class Finding(NamedTuple):
    """One thing found; `text` names file and item."""

    code: str
    text: str

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return KINDS[self.code].severity


class Tally:
    """How often each code was found in each split ("" for the folder itself), and the first examples."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, split: str, finding: Finding) -> None:
        """Count a finding."""
        key = split, finding.code
        self.counts[key] += 1
        if len(self.examples[key]) < MAX_EXAMPLES:
            self.examples[key].append(finding.text[:MAX_EXAMPLE_LENGTH])

    def count(self, severity: Severity) -> int:
        """Findings of a severity."""
        return sum(number for (_, code), number in self.counts.items() if KINDS[code].severity == severity)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each code and split, the gravest first, then as in the table of codes."""
        codes, rows = list(KINDS), []
        for split, code in self.counts:
            kind = KINDS[code]
            rows.append(
                {
                    "severity": kind.severity,
                    "kind": code,
                    "split": split,
                    "what": kind.what,
                    "count": self.counts[split, code],
                    "examples": self.examples[split, code],
                }
            )
        return sorted(rows, key=lambda row: (SEVERITIES.index(row["severity"]), codes.index(row["kind"]), row["split"]))


HUGE_PX = 1e5
BORDER_PX = 2.0  # labellers' boxes and landmarks end a pixel or two beyond the image
FAR = 0.5  # landmarks farther outside the box than this share of its longer side are far
MIN_LANDMARKS_FOR_XYWH = 3
_REFUSED = ("polygon_malformed", "box_empty", "box_inverted", "box_looks_like_xywh")
SOURCES = ("shop", "user")
RANGED_ATTRIBUTES = ("scale", "occlusion", "zoom_in", "viewpoint")  # each 1..3

Size = tuple[int, int] | None
Suspicion = tuple[str, str]  # code, text


def check_annotation(annotation: RawAnnotation) -> list[Finding]:
    """Check what an annotation file says of the image."""
    findings = []
    if not annotation.items:
        findings.append(Finding("no_items", f"{annotation.path}: no item1, item2, ..."))
    if annotation.source not in SOURCES:
        text = f"{annotation.path}: source is {annotation.source!r}"
        findings.append(Finding("source_unknown", text))
    return findings


def check_item(item: dict[str, Any], *, where: str, size_wh: Size) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Return a raw item's COCO-294 annotation, None where it cannot be converted, and what was found.

    Args:
        item: the raw item.
        where: file and item, which lead each text.
        size_wh: the image's width and height in px, None where unknown.
    """
    try:
        row = coco_annotation(item, annotation_id=0, image_id=0, where=where)
    except InputError as error:
        return None, [Finding(_refusal(item, size_wh), str(error))]
    suspicions = _suspicions(item, row, size_wh)
    return row, [Finding(code, f"{where}: {text}") for code, text in suspicions]


def own_landmarks(row: dict[str, Any]) -> np.ndarray:
    """(K, 3) the landmarks of the category of a COCO-294 annotation."""
    own = category(row["category_id"]).slice
    return np.array(row["keypoints"][3 * own.start : 3 * own.stop], dtype=float).reshape(-1, 3)


def _refusal(item: dict[str, Any], size_wh: Size) -> str:
    """The code of what `coco_annotation` refuses."""
    try:
        garment = category(item.get("category_id"))
    except InputError:
        return "category_unknown"
    box, landmarks = _floats(item.get("bounding_box")), _floats(item.get("landmarks"))
    if box is None or landmarks is None or len(box) != 4:
        return "item_malformed"
    if len(landmarks) != 3 * garment.num_landmarks:
        return "landmark_count"
    numbers = np.concatenate([box, landmarks])
    if not np.isfinite(numbers).all():
        return "number_not_finite"
    if np.abs(numbers).max() > HUGE_PX:
        return "number_huge"
    if not np.isin(landmarks[2::3], (0, 1, 2)).all():
        return "visibility"
    points = landmarks.reshape(-1, 3)
    suspicions = [*_polygons(item.get("segmentation")), *_box(box, points[points[:, 2] > 0, :2], size_wh)]
    return next((code for code, _ in suspicions if code in _REFUSED), "item_malformed")


def _suspicions(item: dict[str, Any], row: dict[str, Any], size_wh: Size) -> Iterator[Suspicion]:
    garment = category(row["category_id"])
    name = item.get("category_name")
    if name is not None and name not in (garment.name, garment.coco_name):
        yield "category_name_differs", f"id {garment.id} is {garment.name}, but the name is {name!r}"
    for attribute in RANGED_ATTRIBUTES:
        if row[attribute] not in (1, 2, 3):
            yield "attribute_out_of_range", f"{attribute} is {item.get(attribute)!r}"
    yield from _polygons(item.get("segmentation"))
    x, y, width, height = row["bbox"]
    box, landmarks = np.array([x, y, x + width, y + height], dtype=float), own_landmarks(row)
    largest = max(np.abs(box).max(), np.abs(landmarks).max())
    if largest > HUGE_PX:
        yield "number_huge", f"a coordinate of {largest:g} px"
        return
    labelled = landmarks[landmarks[:, 2] > 0, :2]
    if not len(labelled):
        yield "no_landmarks", f"a {garment.name} without a labelled landmark"
    wrong_box = list(_box(box, labelled, size_wh))
    yield from wrong_box
    yield from _places(box, labelled, size_wh, box_is_right=not wrong_box)


def _polygons(value: Any) -> Iterator[Suspicion]:
    if not value:
        yield "polygon_absent", "no segmentation"
        return
    if not isinstance(value, list) or not all(_is_numbers(polygon) for polygon in value):
        yield "polygon_malformed", "segmentation is not a list of lists of numbers"
        return
    lengths = [len(polygon) for polygon in value]
    if odd := [length for length in lengths if length % 2]:
        yield "polygon_odd_length", f"a polygon of {odd[0]} numbers"
    if short := [length for length in lengths if length < 6]:
        yield "polygon_short", f"a polygon of {short[0]} numbers"


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) in (int, float) for number in value)


def _box(box: np.ndarray, labelled: np.ndarray, size_wh: Size) -> Iterator[Suspicion]:
    """At most one code for a box (4,) and the item's labelled landmarks (N, 2)."""
    x1, y1, x2, y2 = box
    text = f"box {[round(value, 1) for value in box.tolist()]}"
    if size_wh is not None:
        text += f", image {size_wh[0]} x {size_wh[1]}"
    if _looks_like_xywh(box, labelled, size_wh):
        yield "box_looks_like_xywh", f"{text}: the landmarks lie in [x, y, x + {x2:g}, y + {y2:g}]"
    elif x2 < x1 or y2 < y1:
        yield "box_inverted", text
    elif min(x2 - x1, y2 - y1) < MIN_BOX_SIDE:
        yield "box_empty", text
    elif size_wh is not None:
        width, height = size_wh
        if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
            yield "box_outside_image", text
        elif min(x1, y1, width - x2, height - y2) < -BORDER_PX:
            yield "box_beyond_image", text


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


def _places(box: np.ndarray, labelled: np.ndarray, size_wh: Size, *, box_is_right: bool) -> Iterator[Suspicion]:
    """Landmarks (N, 2) outside the image or far outside the box (4,)."""
    if size_wh is not None:
        beyond = ((labelled < -BORDER_PX) | (labelled > np.add(size_wh, BORDER_PX))).any(axis=1)
        if beyond.any():
            x, y = labelled[np.argmax(beyond)]
            yield "landmark_outside_image", f"landmark at ({x:g}, {y:g}), image {size_wh[0]} x {size_wh[1]}"
    if len(labelled) and box_is_right:
        distance = np.maximum(box[:2] - labelled, labelled - box[2:]).max(axis=1)
        if distance.max() > FAR * (box[2:] - box[:2]).max():
            x, y = labelled[np.argmax(distance)]
            yield "landmark_far_from_box", f"landmark at ({x:g}, {y:g}), box {box.tolist()}"


def _floats(value: Any) -> np.ndarray | None:
    """A flat list as an array, None where it is none."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.ndim == 1 else None


CATEGORY_ID = 3
FRONTAL = 2  # the viewpoint
MIN_ITEMS = 10
SIGMAS, FIGURE, UNDECIDED = "2 and 6", "2 and 26", "undecided"


@dataclass(frozen=True)
class Vote:
    """A test's votes: how many of its items speak for the sigmas' pair 2 and 6."""

    test: str
    num_items: int
    num_for_sigmas: int

    @property
    def share(self) -> float | None:
        """Share of the items that speak for 2 and 6."""
        return self.num_for_sigmas / self.num_items if self.num_items else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        if not self.num_items:
            return 0.0, 1.0
        result = binomtest(self.num_for_sigmas, self.num_items).proportion_ci(0.95, method="wilson")
        return float(result.low), float(result.high)

    @property
    def answer(self) -> str:
        """The pair that the items speak for; undecided with few items or where 0.5 is in the interval."""
        low, high = self.interval
        if self.num_items < MIN_ITEMS or low <= 0.5 <= high:
            return UNDECIDED
        return SIGMAS if low > 0.5 else FIGURE


@dataclass(frozen=True)
class Numbering:
    """The answer of the two tests on the annotations of one split."""

    split: str
    votes: tuple[Vote, ...]

    @property
    def answer(self) -> str:
        """The pair that a test speaks for and none against, else undecided."""
        answers = {vote.answer for vote in self.votes} - {UNDECIDED}
        return answers.pop() if len(answers) == 1 else UNDECIDED

    def to_json(self) -> dict[str, Any]:
        """Return the answer and its evidence for a JSON file."""
        votes = [
            vars(vote) | {"share": vote.share, "interval": vote.interval, "answer": vote.answer} for vote in self.votes
        ]
        return {"answer": self.answer, "split": self.split, "votes": votes}

    def lines(self) -> list[str]:
        """The answer in words, then a line of evidence for each test."""
        answer = {
            SIGMAS: "Landmarks 2 and 6 mirror each other, as the evaluator's sigmas have it.",
            FIGURE: "Landmarks 2 and 26 mirror each other, as the authors' figure has it: the flip pairs and "
            "the hand-made groups of this project are wrong for this category.",
            UNDECIDED: "Undecided: do landmarks 2 and 6 (sigmas) or 2 and 26 (figure) mirror each other?",
        }
        return [answer[self.answer], *(_evidence(vote, self.split) for vote in self.votes)]


def _evidence(vote: Vote, split: str) -> str:
    line = f"{vote.test}: {vote.num_for_sigmas} of {vote.num_items} frontal {split} items speak for 2 and 6"
    if vote.share is not None:
        low, high = vote.interval
        line += f" ({vote.share:.1%}, 95 % interval {low:.1%} to {high:.1%})"
    return f"{line}: {vote.answer}"


def settle_numbering(landmarks: np.ndarray, viewpoint: np.ndarray, *, split: str) -> Numbering:
    """Let the items vote.

    Args:
        landmarks: (N, 31, 3) x px, y px, visibility of short sleeve outwear.
        viewpoint: (N,) 1 no wear, 2 frontal, 3 side or back.
        split: where the items are from, for the text.
    """
    frontal = np.asarray(landmarks)[np.asarray(viewpoint) == FRONTAL]
    votes = []
    for test, numbers, margin in (
        ("height", (1, 2, 4, 6), _height_margin),
        ("mirror", (2, 4, 6, 7, 25, 26), _mirror_margin),
    ):
        points = frontal[:, np.array(numbers) - 1]
        points = points[(points[:, :, 2] > 0).all(axis=1), :, :2]
        margins = margin(*points.transpose(1, 0, 2))
        votes.append(Vote(test, int((margins != 0).sum()), int((margins > 0).sum())))
    return Numbering(split, tuple(votes))


def _height_margin(p1: np.ndarray, p2: np.ndarray, p4: np.ndarray, p6: np.ndarray) -> np.ndarray:
    """(N,) by how many px 2 is nearer to the height of 1 and 6 than 4 is; places are (N, 2)."""
    neck = (p1[:, 1] + p6[:, 1]) / 2
    return np.abs(p4[:, 1] - neck) - np.abs(p2[:, 1] - neck)


def _mirror_margin(
    p2: np.ndarray, p4: np.ndarray, p6: np.ndarray, p7: np.ndarray, p25: np.ndarray, p26: np.ndarray
) -> np.ndarray:
    """(N,) the scalar product of 26 -> 6 with the mirror image of 4 -> 2; places are (N, 2).

    With R the reflection, it is positive where |R p2 - p6|^2 + |R p4 - p26|^2 is the smaller sum of the two
    pairings, whatever the mirror's place.
    """
    normal = p25 - p7
    length = np.maximum((normal**2).sum(axis=1, keepdims=True), 1e-9)
    vector = p2 - p4
    mirrored = vector - 2 * (vector * normal).sum(axis=1, keepdims=True) / length * normal
    return (mirrored * (p6 - p26)).sum(axis=1)


UPRIGHT = 1  # of EXIF's orientations
# A JPEG ends in FF D9, and some writers add a few bytes; so short a tail holds no thumbnail with a mark.
JPEG_END, TAIL_BYTES = b"\xff\xd9", 4096


class Photo(NamedTuple):
    """File names of a photo; None where one of the two is absent."""

    number: int
    image: str | None
    annotation: str | None


class PhotoReport(NamedTuple):
    """What was found on one photo.

    `category_ids` are those of the items that can be converted; `outwear` holds landmarks (31, 3) and
    viewpoint of its short sleeve outwear.
    """

    number: int
    findings: list[Finding]
    size_wh: Size
    usable: bool
    category_ids: list[int]
    num_refused: int
    num_without_landmarks: int
    outwear: list[tuple[np.ndarray, int]]


def examine_photo(split: RawSplit, decode: bool, photo: Photo) -> PhotoReport:
    """Read one photo's files; whatever they hold, nothing is raised."""
    size, findings = None, []
    if photo.image is not None:
        size, findings = check_image(split.image_dir / photo.image, decode=decode)
    usable = not any(finding.severity == "error" for finding in findings)
    report = PhotoReport(photo.number, findings, size, usable, [], 0, 0, [])
    if split.annos_dir is None:
        return report
    if photo.annotation is None:
        findings.append(Finding("annotation_absent", f"{split.image_dir / str(photo.image)}: no annotation"))
        return report._replace(usable=True)  # nothing uses it
    path = split.annos_dir / photo.annotation
    if photo.image is None:
        findings.append(Finding("image_absent", f"{path}: no image {path.stem}.jpg"))
    try:
        annotation = read_annotation(path)
    except InputError as error:
        findings.append(Finding(_unreadable(path), str(error)))
        return report._replace(usable=False)
    return _with_items(report._replace(usable=usable and photo.image is not None), annotation)


def _with_items(report: PhotoReport, annotation: RawAnnotation) -> PhotoReport:
    report.findings.extend(check_annotation(annotation))
    refused = without = 0
    for name, item in annotation.items:
        row, findings = check_item(item, where=f"{annotation.path}, {name}", size_wh=report.size_wh)
        report.findings.extend(findings)
        if row is None:
            refused += 1
            continue
        report.category_ids.append(row["category_id"])
        without += row["num_keypoints"] == 0
        if row["category_id"] == CATEGORY_ID:
            report.outwear.append((own_landmarks(row), row["viewpoint"]))
    return report._replace(num_refused=refused, num_without_landmarks=without)


def check_image(path: Path, *, decode: bool = False) -> tuple[Size, list[Finding]]:
    """Return an image's (width, height), None where its header cannot be read, and what is wrong with it.

    Args:
        path: the image file.
        decode: decode the pixels rather than look for the mark at the file's end.
    """
    try:
        with open(path, "rb") as file:
            num_bytes = os.fstat(file.fileno()).st_size
            if not num_bytes:
                return None, [Finding("empty_file", f"{path}: is empty")]
            with Image.open(file) as image:
                findings = []
                if (turn := _orientation(image)) != UPRIGHT:
                    findings.append(Finding("image_turned", f"{path}: EXIF orientation {turn}"))
                if image.format not in ("JPEG", "MPO"):
                    findings.append(Finding("image_not_jpeg", f"{path}: is {image.format}"))
                if decode:
                    findings += _decoded(path, image)
                elif image.format in ("JPEG", "MPO") and not _has_end(file, num_bytes):
                    text = f"{path}: no mark of the end in {num_bytes:,} bytes"
                    findings.append(Finding("image_truncated", text))
                return image.size, findings
    except HEADER_ERRORS as error:
        reason = (isinstance(error, OSError) and error.strerror) or "its header cannot be decoded"
        text = f"{path}: expected a JPEG image, but {reason_of(path, reason)}"
        return None, [Finding("image_unreadable", text)]


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1..8; 1 where there is none, or none that can be read."""
    try:
        turn = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    except Exception:  # Pillow raises a dozen kinds on damage
        return UPRIGHT
    return turn if turn in range(1, 9) else UPRIGHT


def _has_end(file: BinaryIO, num_bytes: int) -> bool:
    file.seek(max(0, num_bytes - TAIL_BYTES))
    return JPEG_END in file.read()


def _decoded(path: Path, image: Image.Image) -> list[Finding]:
    try:
        image.load()
    except (*HEADER_ERRORS, MemoryError, IndexError) as error:
        return [Finding("image_undecodable", f"{path}: {error}")]
    return []


def _unreadable(path: Path) -> str:
    """The code of an annotation file that `read_annotation` refuses."""
    try:
        content = path.read_bytes()
        if not content.strip():
            return "empty_file"
        value = json.loads(content)
    except (OSError, ValueError, RecursionError):
        return "not_json"
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:  # NaN, or infinity, as which a number too large for a float is read
        return "number_not_finite"
    return "annotation_malformed"
