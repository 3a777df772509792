"""The doctor's round through a raw folder: every annotation and every image's header, once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from kps.data.checks import Size
from kps.data.diagnosis import (
    Diagnosis,
    InformationFile,
    SplitDiagnosis,
    instead_of_information,
    split_of_information,
)
from kps.data.findings import Finding, Tally
from kps.data.information import read_information
from kps.data.numbering import settle_numbering
from kps.data.photo_checks import Photo, PhotoReport, examine_photo
from kps.data.raw import (
    INFORMATION_FILES,
    NumberedFiles,
    RawDataset,
    RawSplit,
    find_raw,
    list_annotations,
    list_images,
)
from kps.data.released import released
from kps.files import InputError, ordered_map, progress
from kps.schema import NUM_CATEGORIES
from kps.workspace import SPLITS

CHUNK_FILES, CHUNK_DECODED = 256, 32


def diagnose(data_root: Path | str, *, workers: int | None = None, decode: bool = False) -> Diagnosis:
    """Examine a raw DeepFashion2 folder; `kps.data.diagnosis.RULE` says what the verdict means.

    Every annotation is read and every image's header and end; broken content is reported, never raised.

    Args:
        data_root: the raw folder; its parts are found by name. It is only read.
        workers: processes; None takes all cores. The result does not depend on it.
        decode: decode every image's pixels too, which takes many times longer.

    Raises:
        InputError: `data_root` is no folder.
    """
    root = Path(data_root)
    if not root.is_dir():
        raise InputError(f"{root}: expected the folder of the raw data set, but there is no such folder")
    diagnosis = Diagnosis(root)
    try:
        raw = find_raw(root)
    except InputError as error:
        diagnosis.tally.add("", Finding("nothing_found", str(error)))
        return diagnosis
    for folder in raw.unreadable:
        diagnosis.tally.add("", Finding("folder_passed_over", f"{folder}: cannot be listed"))
    for name in SPLITS:
        _add_split(diagnosis, raw, name, workers=workers, decode=decode)
    for key, file_name in INFORMATION_FILES.items():
        if key not in raw.information:
            text = f"{file_name}: {instead_of_information(key)}"
            diagnosis.tally.add(split_of_information(key), Finding("information_absent", text))
        elif key not in diagnosis.information:  # its split was not found
            diagnosis.information[key] = InformationFile(raw.information[key], None, None)
    return diagnosis


def _add_split(diagnosis: Diagnosis, raw: RawDataset, name: str, *, workers: int | None, decode: bool) -> None:
    tally = diagnosis.tally
    try:
        raw.split(name)
    except InputError as error:
        found = "annotations_absent" if name in raw.splits else "split_absent"
        tally.add(name, Finding("two_copies" if name in raw.copies else found, str(error)))
        if name not in raw.splits:
            return
    folders = raw.splits[name]
    split = diagnosis.splits[name] = SplitDiagnosis(name, folders.image_dir, folders.annos_dir)
    images = _listing(list_images, folders, split, tally)
    annotated = _listing(list_annotations, folders, split, tally).names if folders.annos_dir else {}
    split.num_images = len(images.names)
    split.num_annotations = len(annotated)
    sizes, outwear = {}, []
    numbers = sorted(images.names.keys() | annotated.keys())
    photos = [Photo(number, images.names.get(number), annotated.get(number)) for number in numbers]
    chunk = CHUNK_DECODED if decode else CHUNK_FILES
    reports = ordered_map(partial(examine_photo, folders, decode), photos, workers=workers, chunk=chunk)
    for report in progress(reports, desc=f"examining {name}", total=len(photos), unit="photo"):
        _add_report(split, tally, report)
        outwear += report.outwear
        sizes[report.number] = report.size_wh
    if outwear and diagnosis.numbering is None:  # train, or validation where train holds none
        landmarks, viewpoint = zip(*outwear, strict=True)
        diagnosis.numbering = settle_numbering(np.stack(landmarks), np.array(viewpoint), split=name)
    for key, path in raw.information.items():
        if split_of_information(key) == name:
            diagnosis.information[key] = _check_information(path, name, images, sizes, tally)
    _compare_counts(split, tally)


def _listing(
    list_files: Callable[[RawSplit], NumberedFiles], folders: RawSplit, split: SplitDiagnosis, tally: Tally
) -> NumberedFiles:
    """List files by number, noting the names that cannot be used."""
    try:
        files = list_files(folders)
    except InputError as error:
        tally.add(split.name, Finding("folder_unreadable", str(error)))
        return NumberedFiles(folders.image_dir, {})
    codes = ["name_no_number"] * len(files.unnumbered) + ["number_repeated"] * len(files.repeated)
    for code, text in zip(codes, files.problems(), strict=True):
        tally.add(split.name, Finding(code, text))
    split.num_unusable += len(codes)
    return files


def _add_report(split: SplitDiagnosis, tally: Tally, report: PhotoReport) -> None:
    for finding in report.findings:
        tally.add(split.name, finding)
    split.num_unusable += not report.usable
    split.num_items += len(report.category_ids) + report.num_refused
    split.num_refused += report.num_refused
    split.num_without_landmarks += report.num_without_landmarks
    for category_id in report.category_ids:
        split.per_category[category_id - 1] += 1


def _check_information(
    path: Path, split: str, images: NumberedFiles, sizes: dict[int, Size], tally: Tally
) -> InformationFile:
    """Hold an information file's image rows against the files on disk."""
    try:
        information = read_information(path)
    except InputError as error:
        tally.add(split, Finding("information_unreadable", str(error)))
        return InformationFile(path, None, None)
    known: set[int] = set()
    for row in information.images:
        if row.id in known:
            tally.add(split, Finding("information_id_repeated", f"{path}: image id {row.id}"))
        elif images.names.get(row.id) != row.name:
            text = f"{path}: image id {row.id}, {row.name}"
            tally.add(split, Finding("information_image_absent", text))
        elif row.size_wh and sizes[row.id] and row.size_wh != sizes[row.id]:
            stated, found = (f"{width} x {height}" for width, height in (row.size_wh, sizes[row.id]))
            text = f"{path}: image id {row.id} is stated as {stated}, but it is {found}"
            tally.add(split, Finding("information_size_differs", text))
        known.add(row.id)
    for number in sorted(images.names.keys() - known):
        text = f"{path}: no image id {number} for {images.names[number]}"
        tally.add(split, Finding("information_lacks_image", text))
    stated = information.num_keypoints
    return InformationFile(path, len(information.images), None if stated is None else len(stated))


def _compare_counts(split: SplitDiagnosis, tally: Tally) -> None:
    """Note the counts that differ from the released ones: a part of the data set is legitimate."""
    expected = released(split.name)
    counts = [("images", split.num_images, expected.num_images)]
    if split.annotated:
        counts.append(("annotation files", split.num_annotations, expected.num_images))
        counts.append(("items", split.num_items, expected.num_items))
    for what, found, number in counts:
        if found != number:
            text = f"{found:,} {split.name} {what}, {number:,} were released"
            tally.add(split.name, Finding("count_differs", text))
    pairs = zip(split.per_category, expected.per_category, strict=False)  # the test split has none
    if differing := sum(found != number for found, number in pairs):
        text = f"the items of {differing} of {NUM_CATEGORIES} categories in {split.name} differ in number"
        tally.add(split.name, Finding("count_differs", text))
