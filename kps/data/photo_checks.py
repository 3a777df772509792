"""One photo of a raw split: its annotation file, its items and its image, each read once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from kps.data.checks import Size, check_annotation, check_item, own_landmarks
from kps.data.findings import Finding
from kps.data.numbering import CATEGORY_ID as SHORT_SLEEVE_OUTWEAR
from kps.data.raw import HEADER_ERRORS, RawAnnotation, RawSplit, read_annotation
from kps.files import InputError, reason_of

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
        if row["category_id"] == SHORT_SLEEVE_OUTWEAR:
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
