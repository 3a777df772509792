"""The doctor: every file of a raw folder looked at, held against the released figures, a verdict and its text."""

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson

from kps.data.checks import (
    SEVERITIES,
    Finding,
    Numbering,
    Photo,
    PhotoReport,
    Size,
    Tally,
    examine_photo,
    settle_numbering,
)
from kps.data.information import read_information
from kps.data.raw import INFORMATION_FILES, NumberedFiles, RawDataset, RawSplit, find_raw, list_annotations, list_images
from kps.files import InputError, ordered_map, progress
from kps.schema import CATEGORIES, NUM_CATEGORIES, package_data
from kps.workspace import SPLITS

# Annotations number as many as images; the original paper's 391 K training images were not all released.
RELEASED_IMAGES = {"train": 191_961, "validation": 32_153, "test": 62_629}
VALIDATION_ITEMS_ON_THE_PAGE = 51_490  # the competition's page, against 52,490 in the paper


@dataclass(frozen=True)
class Released:
    """What was released of a split; `per_category` is in the order of the 13 categories."""

    num_images: int
    num_items: int
    per_category: tuple[int, ...]


def released(split: str) -> Released:
    """Return a split's released figures; the test split has no public items."""
    if split == "test":
        return Released(RELEASED_IMAGES["test"], 0, ())
    table = orjson.loads(package_data("report/paper_tables.json"))["table3"]
    key = {"train": "num_train", "validation": "num_val"}[split]
    return Released(RELEASED_IMAGES[split], table["all"][key], tuple(table[key]))


MAX_UNUSABLE_SHARE = 0.01
RULE = (
    "unfit: a split is absent or ambiguous, holds nothing to convert, or more than 1 % of its files or of "
    "its items cannot be used; fit with warnings: any error or warning above; notes do not count"
)
Verdict = Literal["fit", "warnings", "unfit"]
# Findings for which the conversion of a split fails as a whole.
_BLOCKING = {"nothing_found", "split_absent", "two_copies", "annotations_absent", "folder_unreadable"}
_BLOCKING_FOR_TEST = {"information_unreadable", "information_id_repeated"}


@dataclass
class SplitDiagnosis:
    """What a split holds; `per_category` counts the items that can be converted, in category order."""

    name: str
    image_dir: Path
    annos_dir: Path | None
    num_images: int = 0
    num_annotations: int = 0
    num_unusable: int = 0  # files that the conversion skips, or whose pixels are incomplete
    num_items: int = 0  # in readable annotation files, refused ones too
    num_refused: int = 0
    num_without_landmarks: int = 0
    per_category: list[int] = field(default_factory=lambda: [0] * NUM_CATEGORIES)

    @property
    def annotated(self) -> bool:
        """Whether the split has annotations in the released data set."""
        return self.name != "test"

    def reasons_against(self) -> list[str]:
        """Why the flow cannot use this split, none where it can."""
        num_files = self.num_annotations if self.annotated else self.num_images
        if not num_files or (self.annotated and self.num_refused == self.num_items):
            return [f"{self.name}: nothing that can be converted"]
        reasons = []
        if self.num_unusable > MAX_UNUSABLE_SHARE * num_files:
            reasons.append(f"{self.name}: {self.num_unusable:,} of {num_files:,} files cannot be used")
        if self.num_refused > MAX_UNUSABLE_SHARE * self.num_items:
            reasons.append(f"{self.name}: {self.num_refused:,} of {self.num_items:,} items cannot be converted")
        return reasons

    def to_json(self) -> dict[str, Any]:
        """Return found and released figures for a JSON file."""
        values = {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}
        return values | {"released": vars(released(self.name))}


def split_of_information(key: str) -> str:
    """The split that a file of INFORMATION_FILES is about."""
    return key.split("_")[0]


def instead_of_information(key: str) -> str:
    """What stands in for an absent file of INFORMATION_FILES."""
    return "the images of the folder count" if key == "test" else "rebuilt from the annotations"


@dataclass(frozen=True)
class InformationFile:
    """An information file: its rows, None where it has no such list or cannot be read."""

    path: Path
    num_images: int | None
    num_annotations: int | None


@dataclass
class Diagnosis:
    """The doctor's findings on one raw folder; `information` holds the files of INFORMATION_FILES found."""

    root: Path
    splits: dict[str, SplitDiagnosis] = field(default_factory=dict)
    information: dict[str, InformationFile] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    numbering: Numbering | None = None

    @property
    def reasons(self) -> list[str]:
        """Why the folder is unfit, none where it is fit; RULE says when."""
        blocking = [
            text
            for (split, code), texts in self.tally.examples.items()
            if code in _BLOCKING or (split == "test" and code in _BLOCKING_FOR_TEST)
            for text in texts
        ]
        return blocking + [text for split in self.splits.values() for text in split.reasons_against()]

    @property
    def verdict(self) -> Verdict:
        """Whether the flow can use the folder, by RULE."""
        if self.reasons:
            return "unfit"
        return "warnings" if self.tally.count("error") + self.tally.count("warning") else "fit"

    def to_json(self) -> dict[str, Any]:
        """Return everything for a JSON file."""
        information = {key: vars(file) | {"path": str(file.path)} for key, file in self.information.items()}
        return {
            "root": str(self.root),
            "verdict": self.verdict,
            "reasons": self.reasons,
            "splits": {name: split.to_json() for name, split in self.splits.items()},
            "information": information,
            "findings": self.tally.rows(),
            "short_sleeve_outwear": None if self.numbering is None else self.numbering.to_json(),
        }


CHUNK_FILES, CHUNK_DECODED = 256, 32


def diagnose(data_root: Path | str, *, workers: int | None = None, decode: bool = False) -> Diagnosis:
    """Examine a raw DeepFashion2 folder; `kps.data.doctor.RULE` says what the verdict means.

    Every annotation is read and every image's header and end; broken content is reported, never raised. InputError:
    `data_root` is no folder.

    Args:
        data_root: the raw folder; its parts are found by name. It is only read.
        workers: processes; None takes all cores. The result does not depend on it.
        decode: decode every image's pixels too, which takes many times longer.
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


WIDTH = 100
VERDICTS = {"fit": "fit", "warnings": "fit with warnings", "unfit": "unfit"}
Row = tuple[str, ...]


def format_diagnosis(diagnosis: Diagnosis) -> str:
    """Return the summary: where everything is, counts, findings with examples, the verdict."""
    sections = [f"DeepFashion2 in {diagnosis.root}"]
    if diagnosis.splits:
        sections += [_files(diagnosis), _items(diagnosis)]
    if diagnosis.tally.counts:
        sections.append(_findings(diagnosis))
    if diagnosis.splits:
        lines = diagnosis.numbering.lines() if diagnosis.numbering else ["No items: its numbering stays open."]
        sections.append("\n".join(["Short sleeve outwear", *(_fill(line, 2) for line in lines)]))
    sections.append(_verdict(diagnosis))
    return "\n\n".join(sections)


def _files(diagnosis: Diagnosis) -> str:
    rows: list[Row] = [("Files", "found", "released", "where")]
    for name in SPLITS:
        split = diagnosis.splits.get(name)
        if split is None:
            rows.append((f"{name}", "absent", "", ""))
            continue
        expected = f"{released(name).num_images:,}"
        rows.append((f"{name} images", f"{split.num_images:,}", expected, _below(diagnosis, split.image_dir)))
        if split.annos_dir is not None:
            where = _below(diagnosis, split.annos_dir)
            rows.append((f"{name} annotations", f"{split.num_annotations:,}", expected, where))
    for key, file_name in INFORMATION_FILES.items():
        rows.append((file_name, *_information(diagnosis, key, diagnosis.information.get(key))))
    return _table(rows, "<>><")


def _information(diagnosis: Diagnosis, key: str, file: InformationFile | None) -> Row:
    expected = f"{released(split_of_information(key)).num_images:,}"
    if file is None:
        return "absent", expected, instead_of_information(key)
    found = "not read" if file.num_images is None else f"{file.num_images:,}"
    where = _below(diagnosis, file.path.parent)
    annotations = "" if file.num_annotations is None else f", {file.num_annotations:,} annotations"
    return found, expected, f"{where}{annotations}"


def _items(diagnosis: Diagnosis) -> str:
    splits = [split for split in diagnosis.splits.values() if split.annotated]
    rows: list[Row] = [("Items", *(word for split in splits for word in (split.name, "released")))]
    for item in CATEGORIES:
        counts = (
            f"{count:,}"
            for split in splits
            for count in (split.per_category[item.id - 1], released(split.name).per_category[item.id - 1])
        )
        rows.append((f"{item.id:>2} {item.name}", *counts))
    totals = (
        f"{count:,}"
        for split in splits
        for count in (split.num_items - split.num_refused, released(split.name).num_items)
    )
    rows.append(("   all that convert", *totals))
    for what, attribute in (("refused", "num_refused"), ("without landmarks", "num_without_landmarks")):
        counts = (word for split in splits for word in (f"{getattr(split, attribute):,}", ""))
        rows.append((f"   {what}", *counts))
    note = (
        f"Released items: Table 3 of the paper; the competition's page says {VALIDATION_ITEMS_ON_THE_PAGE:,} "
        "in validation."
    )
    return _table(rows, "<" + ">" * (len(rows[0]) - 1)) + "\n" + _fill(note, 2)


def _findings(diagnosis: Diagnosis) -> str:
    lines = [f"{'Findings':<10}{'count':>9}  {'split':<12}what"]
    for row in diagnosis.tally.rows():
        what = f"{row['what']} ({row['kind']})"
        line = f"  {row['severity']:<8}{row['count']:>9,}  {row['split']:<12}{what}"
        lines.append(textwrap.fill(line, WIDTH, subsequent_indent=" " * 33))
        lines += [_fill(text.replace(f"{diagnosis.root}/", ""), 6) for text in row["examples"]]
    return "\n".join(lines)


def _verdict(diagnosis: Diagnosis) -> str:
    tally = diagnosis.tally
    counts = {severity: tally.count(severity) for severity in SEVERITIES}
    words = (f"{count:,} {severity}{'s' * (count != 1)}" for severity, count in counts.items())
    lines = [f"Verdict: {VERDICTS[diagnosis.verdict]} ({', '.join(words)})"]
    lines += [_fill(text.replace(f"{diagnosis.root}/", ""), 2) for text in diagnosis.reasons]
    return "\n".join([*lines, _fill(f"The rule: {RULE}.", 2)])


def _below(diagnosis: Diagnosis, path: object) -> str:
    return str(path).removeprefix(f"{diagnosis.root}/")


def _table(rows: Iterable[Row], alignment: str) -> str:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows if len(row) > column) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (f"{text:{side}{width}}" for text, side, width in zip(row, alignment, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _fill(text: str, indent: int) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
