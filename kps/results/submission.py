"""The submission: a zip with one JSON at its root, a list of
{"image_id", "category_id", "keypoints": [882 numbers], "score"}. Written and checked row by row.

Coordinates are 0-indexed pixels of the original photo, rounded to 0.01; own landmarks get v = 1, the slots of
other categories are integer 0.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from kps.data.coco import category_counts
from kps.data.rows import Read, iter_json_lists
from kps.files import MAX_RATIO, NPZ, ZIP, InputError, atomic_path, integer_field, open_file, progress, reason_of
from kps.results.predictions import MAX_PER_IMAGE_AND_CATEGORY, Predictions, load_results, read_results, top_rows
from kps.schema import CATEGORIES, NUM_LANDMARKS, category

NAME_IN_ZIP = "keypoints_test.json"  # the challenge's own name is not known
CHUNK_ROWS = 4096
COMPRESSION_LEVEL = 6
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ROW_BYTES = 4000  # at most, for deciding on ZIP64
_BEYOND = f"are beyond the {MAX_PER_IMAGE_AND_CATEGORY} an image and category that the scorer reads"
# What zipfile raises on damaged, unsupported or lying archives.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError)
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the same predictions give the same bytes


@dataclass(frozen=True)
class SubmissionSummary:
    """What a submission holds; `warnings` are lines about what the scorer accepts but does not expect."""

    name_in_zip: str
    num_rows: int
    num_images: int
    per_category: dict[int, int]
    score_range: tuple[float, float]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the values for a JSON file."""
        return vars(self) | {"per_category": {str(key): value for key, value in self.per_category.items()}}


def write_submission(
    predictions: Predictions | Path | str,
    out_zip: Path | str,
    *,
    name_in_zip: str = NAME_IN_ZIP,
    images: Path | str | None = None,
) -> int:
    """Write the zip, whole or not at all: the 20 best rows of each image and category, by image id.

    Returns the number of rows written. InputError: no predictions, an unknown image, a number that is not finite, or a
    name with folders.

    Args:
        predictions: in memory, or a file (.npz of a run, or a public result list).
        out_zip, name_in_zip: the zip to write, and the name of the JSON at its root.
        images: an information or COCO file; every prediction must lie on one of its images.
    """
    _check_name(name_in_zip, "expected as name in the zip")
    where = "predictions"
    if not isinstance(predictions, Predictions):
        where, path = str(predictions), Path(predictions)
        predictions = Predictions.load(path) if path.suffix == ".npz" else load_results(path)
    if not len(predictions):
        raise InputError(f"{where}: expected at least one prediction, but there are none")
    predictions.check(where)
    _check_images(predictions, images, where)
    rows = top_rows(predictions)
    rows = rows[np.argsort(predictions.image_id[rows], kind="stable")]
    entry = zipfile.ZipInfo(name_in_zip, _ZIP_DATE)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    with (
        atomic_path(Path(out_zip)) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as archive,
        archive.open(entry, "w", force_zip64=len(rows) * _ROW_BYTES > 2**31 - 1) as file,
    ):
        for number, text in enumerate(_row_chunks(predictions, rows)):
            file.write((b"," if number else b"[") + text)
        file.write(b"]")
    return len(rows)


def validate_submission(path: Path | str, *, images: Path | str | None = None) -> SubmissionSummary:
    """Read a submission back and check what the scorer needs.

    The image ids of `images`, an information or COCO file, are the only ones allowed. InputError: no zip, not exactly
    one JSON at its root, an encrypted or absurdly compressed one, an empty list, or a row that the scorer would refuse;
    names the row (from 0).
    """
    with _open_json(path) as (name, read):
        rows = read_results(read, f"{path}: {name}")
    _check_images(rows, images, f"{path}: {name}")
    return _summary(rows, name)


@contextmanager
def _open_json(path: Path | str) -> Iterator[tuple[str, Read]]:
    """Yield the name of the zip's one JSON and a function that reads so many bytes of it."""
    with ExitStack() as stack:
        stream = stack.enter_context(open_file(Path(path)))
        try:
            archive = stack.enter_context(zipfile.ZipFile(stream))
            entry = _only_json(archive, path)
            file = stack.enter_context(archive.open(entry))
        except _BROKEN as error:
            reason = reason_of(Path(path), error, own=(ZIP, NPZ))
            raise InputError(f"{path}: expected a zip with a JSON in it, but {reason}") from None

        def read(size: int) -> bytes:
            try:
                content = file.read(size)
            except _BROKEN as error:
                raise InputError(f"{path}: {entry.filename} is damaged ({error})") from None
            if not content and file.tell() != entry.file_size:
                got = f"expected {entry.file_size} bytes, but got {file.tell()}"
                raise InputError(f"{path}: {entry.filename} is damaged ({got})")
            return content

        yield entry.filename, read


def _row_chunks(predictions: Predictions, rows: np.ndarray) -> Iterator[bytes]:
    """Yield the text of the given rows, a few thousand at a time, comma separated."""
    slots = {
        item.id: (b"0," * (3 * item.first_index), b",0" * (3 * (NUM_LANDMARKS - item.slice.stop)))
        for item in CATEGORIES
    }
    for start in progress(range(0, len(rows), CHUNK_ROWS), desc="writing", unit="chunk"):
        part = predictions.take(rows[start : start + CHUNK_ROWS])
        places = np.round(part.keypoints[:, :, :2], 2) + 0.0  # no -0.0
        texts = []
        for place, image_id, category_id, score in zip(
            places, part.image_id.tolist(), part.category_id.tolist(), part.score.tolist(), strict=True
        ):
            own = orjson.dumps(place[: category(category_id).num_landmarks].tolist())
            before, after = slots[category_id]
            texts.append(
                b'{"image_id":%d,"category_id":%d,"keypoints":[%b%b,1%b],"score":%b}'
                % (image_id, category_id, before, own[2:-2].replace(b"],[", b",1,"), after, orjson.dumps(score))
            )
        yield b",".join(texts)


def _only_json(archive: zipfile.ZipFile, path: Path | str) -> zipfile.ZipInfo:
    entries = archive.infolist()
    if len(entries) != 1:
        names = ", ".join(entry.filename[:60] for entry in entries[:5]) or "nothing"
        raise InputError(f"{path}: expected one JSON at the zip's root and nothing else, but found {names}")
    entry, name = entries[0], entries[0].filename
    _check_name(name, f"{path}: expected in the zip")
    too_large = entry.file_size > MAX_RATIO * max(entry.compress_size, 2**16)
    claims = f"claims {entry.file_size} bytes from {entry.compress_size}"
    for refused, expected, got in (
        (entry.flag_bits & 1, "a zip without password", "is encrypted"),
        (entry.compress_type not in READABLE, "a zip with the deflate method", "has another"),
        (too_large, f"a JSON at most {MAX_RATIO} times its zip", claims),
    ):
        if refused:
            raise InputError(f"{path}: expected {expected}, but {name} {got}")
    return entry


def _check_name(name: str, expected: str) -> None:
    if "/" in name or "\\" in name or "\0" in name or not name.lower().endswith(".json") or len(name) > 200:
        raise InputError(f"{expected} a .json at the root, without folders, but got {name[:80]!r}")


def _check_images(predictions: Predictions, images: Path | str | None, where: str) -> None:
    """Raise InputError where a row's image is not one of the information file's, if there is one."""
    unknown = images is not None and ~np.isin(predictions.image_id, list(_image_ids(images)))
    if np.any(unknown):
        row = int(np.argmax(unknown))
        raise InputError(f"{where}: row {row}: image id {predictions.image_id[row]} is not in {images}")


def _image_ids(path: Path | str) -> set[int]:
    """Return the image ids of an information or COCO file."""
    ids: set[int] | None = None
    with open_file(Path(path)) as file:
        for key, rows in iter_json_lists(file.read, str(path), ("images", "annotations")):
            if key == "annotations":  # a list too long to be passed over as another key's value
                continue
            ids = set()
            for number, row in rows:
                try:
                    ids.add(integer_field(row, "id"))
                except InputError as error:
                    raise InputError(f"{path}: image {number}: {error}") from None
    if ids is None:
        raise InputError(f"{path}: expected an object with a list of images")
    return ids


def _summary(rows: Predictions, name: str) -> SubmissionSummary:
    """Count what the rows hold, and what is odd about them."""
    own, score = rows.keypoints, rows.score
    table = pd.DataFrame(
        {"image": rows.image_id, "kind": rows.category_id, "own": [hash(one.tobytes()) for one in own]}
    )
    odd = {
        "repeat an earlier row's landmarks": table.duplicated(),
        "have all own landmarks at (0, 0)": ~own[:, :, :2].any(axis=(1, 2)),
        "have a score outside 0..1": (score < 0) | (score > 1),
        _BEYOND: table.groupby(["image", "kind"]).cumcount() >= MAX_PER_IMAGE_AND_CATEGORY,
    }
    return SubmissionSummary(
        name_in_zip=name,
        num_rows=len(rows),
        num_images=len(np.unique(rows.image_id)),
        per_category=dict(enumerate(category_counts(rows.category_id).tolist(), 1)),
        score_range=(float(score.min()), float(score.max())),
        warnings=[f"{bad.sum()} rows {what}, first row {np.argmax(bad)}" for what, bad in odd.items() if bad.any()],
    )
