"""The doctor: every file of a raw folder looked at, held against the released figures, a verdict and its text."""

import textwrap
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson

from kps.data.checks import SEVERITIES, PhotoReport, Size, Tally, examine_photo
from kps.data.raw import (
    ANNOTATIONS,
    IMAGES,
    INFORMATION_FILES,
    RawDataset,
    find_raw,
    numbered_files,
    read_information,
)  # fmt: skip
from kps.files import InputError, ordered_map, progress
from kps.schema import CATEGORIES, NUM_CATEGORIES, package_data
from kps.workspace import SPLITS

# Annotations number as many as images; the original paper's 391 K training images were not all released.
RELEASED_IMAGES = {"train": 191_961, "validation": 32_153, "test": 62_629}
VALIDATION_ITEMS_ON_THE_PAGE = 51_490  # the competition's page, against 52,490 in the paper


class Released(NamedTuple):
    """What was released of a split; `per_category` is in the order of the 13 categories."""

    num_images: int
    num_items: int
    per_category: tuple[int, ...]


def released(split: str) -> Released:
    """Return a split's released figures; the test split has no public items."""
    table = orjson.loads(package_data("report/paper_tables.json"))["table3"]
    items = {"train": table["num_train"], "validation": table["num_val"], "test": []}[split]
    return Released(RELEASED_IMAGES[split], sum(items), tuple(items))


MAX_UNUSABLE_SHARE = 0.01
RULE = (
    "unfit: a split is absent or ambiguous, holds nothing to convert, or more than 1 % of its files or of "
    "its items cannot be used; fit with warnings: any error or warning above; notes do not count"
)
Verdict = Literal["fit", "warnings", "unfit"]
VERDICTS = {"fit": "fit", "warnings": "fit with warnings", "unfit": "unfit"}  # in words
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

    def add(self, report: PhotoReport) -> None:
        """Count a photo's items."""
        self.num_unusable += not report.usable
        self.num_items += len(report.category_ids) + report.num_refused
        self.num_refused += report.num_refused
        self.num_without_landmarks += report.num_without_landmarks
        for category_id in report.category_ids:
            self.per_category[category_id - 1] += 1

    def to_json(self) -> dict[str, Any]:
        """Return found and released figures for a JSON file."""
        values = {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}
        return values | {"released": released(self.name)._asdict()}


class InformationFile(NamedTuple):
    """An information file: its rows, None where it has no such list or cannot be read."""

    path: Path
    num_images: int | None = None
    num_annotations: int | None = None


@dataclass
class Diagnosis:
    """The doctor's findings on one raw folder; `information` holds the files of INFORMATION_FILES found."""

    root: Path
    splits: dict[str, SplitDiagnosis] = field(default_factory=dict)
    information: dict[str, InformationFile] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

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
        values = {"root": str(self.root), "verdict": self.verdict, "reasons": self.reasons}
        values["splits"] = {name: split.to_json() for name, split in self.splits.items()}
        values["information"] = {key: one._asdict() | {"path": str(one.path)} for key, one in self.information.items()}
        return values | {"findings": self.tally.rows()}


CHUNK_FILES, CHUNK_DECODED = 256, 32


def diagnose(data_root: Path | str, *, workers: int | None = None, decode: bool = False) -> Diagnosis:
    """Examine a raw DeepFashion2 folder; RULE says what the verdict means.

    Every annotation is read and every image's header and end, with `decode` its pixels too, which takes many times
    longer; broken content is reported, never raised. `workers` are processes; None takes all cores. InputError:
    `data_root` is no folder.
    """
    diagnosis = Diagnosis(Path(data_root))
    try:
        raw = find_raw(data_root)
    except InputError as error:
        if not diagnosis.root.is_dir():
            raise
        diagnosis.tally.add("", "nothing_found", str(error))
        return diagnosis
    for folder in raw.unreadable:
        diagnosis.tally.add("", "folder_passed_over", f"{folder}: cannot be listed")
    for name in SPLITS:
        _add_split(diagnosis, raw, name, workers=workers, decode=decode)
    for key, file_name in INFORMATION_FILES.items():
        if key not in raw.information:
            text = f"{file_name}: {_instead_of(key)}"
            diagnosis.tally.add(_split_of(key), "information_absent", text)
        elif key not in diagnosis.information:  # its split was not found
            diagnosis.information[key] = InformationFile(raw.information[key])
    return diagnosis


def _split_of(key: str) -> str:
    """The split that a file of INFORMATION_FILES is about."""
    return key.split("_")[0]


def _instead_of(key: str) -> str:
    """What stands in for an absent file of INFORMATION_FILES."""
    return "the images of the folder count" if key == "test" else "rebuilt from the annotations"


def _add_split(diagnosis: Diagnosis, raw: RawDataset, name: str, *, workers: int | None, decode: bool) -> None:
    tally = diagnosis.tally
    try:
        raw.split(name)
    except InputError as error:
        tally.add(name, error.code, str(error))
        if name not in raw.splits:
            return
    folders = raw.splits[name]
    split = diagnosis.splits[name] = SplitDiagnosis(name, folders.image_dir, folders.annos_dir)
    images = _list_files(split, folders.image_dir, IMAGES, tally)
    annotated = _list_files(split, folders.annos_dir, ANNOTATIONS, tally) if folders.annos_dir else {}
    split.num_images, split.num_annotations = len(images), len(annotated)
    numbers = sorted(images.keys() | annotated.keys())
    photos = [(number, images.get(number), annotated.get(number)) for number in numbers]
    chunk = CHUNK_DECODED if decode else CHUNK_FILES
    reports = ordered_map(partial(examine_photo, folders, decode), photos, workers=workers, chunk=chunk)
    sizes: dict[int, Size] = {}
    for report in progress(reports, desc=f"examining {name}", total=len(photos), unit="photo"):
        for finding in report.findings:
            tally.add(name, *finding)
        split.add(report)
        sizes[report.number] = report.size_wh
    for key, path in raw.information.items():
        if _split_of(key) == name:
            diagnosis.information[key] = _check_information(path, name, images, sizes, tally)
    _compare_counts(split, tally)


def _list_files(split: SplitDiagnosis, folder: Path, endings: tuple[str, ...], tally: Tally) -> dict[int, str]:
    """Return a folder's files by number; what cannot be used is counted."""
    try:
        files, problems = numbered_files(folder, endings)
    except InputError as error:
        tally.add(split.name, "folder_unreadable", str(error))
        return {}
    for code, text in problems:
        tally.add(split.name, code, text)
    split.num_unusable += len(problems)
    return files


def _check_information(
    path: Path, split: str, images: dict[int, str], sizes: dict[int, Size], tally: Tally
) -> InformationFile:
    """Hold an information file's image rows against the files on disk."""
    try:
        rows, num_annotations = read_information(path)
    except InputError as error:
        tally.add(split, "information_unreadable", str(error))
        return InformationFile(path)
    known: set[int] = set()
    for row in rows:
        where = f"{path}: image id {row.id}"
        if row.id in known:
            tally.add(split, "information_id_repeated", where)
        elif images.get(row.id) != row.name:
            tally.add(split, "information_image_absent", f"{where}, {row.name}")
        elif row.size_wh and sizes[row.id] and row.size_wh != sizes[row.id]:
            stated, found = (f"{width} x {height}" for width, height in (row.size_wh, sizes[row.id]))
            tally.add(split, "information_size_differs", f"{where} is stated as {stated}, but it is {found}")
        known.add(row.id)
    for number in sorted(images.keys() - known):
        tally.add(split, "information_lacks_image", f"{path}: no image id {number} for {images[number]}")
    return InformationFile(path, len(rows), num_annotations)


def _compare_counts(split: SplitDiagnosis, tally: Tally) -> None:
    """Note the counts that differ from the released ones: a part of the data set is legitimate."""
    expected = released(split.name)
    counts = [("images", split.num_images, expected.num_images)]
    if split.annotated:
        counts.append(("annotation files", split.num_annotations, expected.num_images))
        counts.append(("items", split.num_items, expected.num_items))
    for what, found, number in counts:
        if found != number:
            tally.add(split.name, "count_differs", f"{found:,} {split.name} {what}, {number:,} were released")
    pairs = zip(split.per_category, expected.per_category, strict=False)  # the test split has none
    if differing := sum(found != number for found, number in pairs):
        text = f"the items of {differing} of {NUM_CATEGORIES} categories in {split.name} differ in number"
        tally.add(split.name, "count_differs", text)


WIDTH = 100
Row = tuple[str, ...]


def format_diagnosis(diagnosis: Diagnosis) -> str:
    """Return the summary: where everything is, counts, findings with examples, the verdict."""
    sections = [f"DeepFashion2 in {diagnosis.root}"]
    if diagnosis.splits:
        sections += [_files(diagnosis), _items(diagnosis)]
    lines = [f"{'Findings':<10}{'count':>9}  {'split':<12}what"] if diagnosis.tally.counts else []
    for row in diagnosis.tally.rows():
        line = f"  {row['severity']:<8}{row['count']:>9,}  {row['split']:<12}{row['what']} ({row['kind']})"
        lines.append(textwrap.fill(line, WIDTH, subsequent_indent=" " * 33))
        lines += [_fill(_below(diagnosis, text), 6) for text in row["examples"]]
    sections += ["\n".join(lines)] if lines else []
    counts = {severity: diagnosis.tally.count(severity) for severity in SEVERITIES}
    words = (f"{count:,} {severity}{'s' * (count != 1)}" for severity, count in counts.items())
    lines = [f"Verdict: {VERDICTS[diagnosis.verdict]} ({', '.join(words)})"]
    lines += [_fill(_below(diagnosis, text), 2) for text in diagnosis.reasons]
    return "\n\n".join([*sections, "\n".join([*lines, _fill(f"The rule: {RULE}.", 2)])])


def _files(diagnosis: Diagnosis) -> str:
    rows: list[Row] = [("Files", "found", "released", "where")]
    for name in SPLITS:
        split, expected = diagnosis.splits.get(name), f"{released(name).num_images:,}"
        if split is None:
            rows.append((name, "absent", "", ""))
            continue
        rows.append((f"{name} images", f"{split.num_images:,}", expected, _below(diagnosis, split.image_dir)))
        if split.annos_dir is not None:
            where = _below(diagnosis, split.annos_dir)
            rows.append((f"{name} annotations", f"{split.num_annotations:,}", expected, where))
    for key, file_name in INFORMATION_FILES.items():
        file, expected = diagnosis.information.get(key), f"{released(_split_of(key)).num_images:,}"
        if file is None:
            rows.append((file_name, "absent", expected, _instead_of(key)))
            continue
        found = "not read" if file.num_images is None else f"{file.num_images:,}"
        annotations = "" if file.num_annotations is None else f", {file.num_annotations:,} annotations"
        rows.append((file_name, found, expected, f"{_below(diagnosis, file.path)}{annotations}"))
    return _table(rows, "<>><")


def _items(diagnosis: Diagnosis) -> str:
    splits = [split for split in diagnosis.splits.values() if split.annotated]
    rows: list[Row] = [("Items", *(word for split in splits for word in (split.name, "released")))]
    for i, item in enumerate(CATEGORIES):
        counts = [(split.per_category[i], released(split.name).per_category[i]) for split in splits]
        rows.append((f"{item.id:>2} {item.name}", *(f"{count:,}" for pair in counts for count in pair)))
    totals = [(split.num_items - split.num_refused, released(split.name).num_items) for split in splits]
    rows.append(("   all that convert", *(f"{count:,}" for pair in totals for count in pair)))
    for what, attribute in (("refused", "num_refused"), ("without landmarks", "num_without_landmarks")):
        rows.append((f"   {what}", *(word for split in splits for word in (f"{getattr(split, attribute):,}", ""))))
    note = "Released items: Table 3 of the paper; the competition's page says "
    note += f"{VALIDATION_ITEMS_ON_THE_PAGE:,} in validation."
    return _table(rows, "<" + ">" * (len(rows[0]) - 1)) + "\n" + _fill(note, 2)


def _below(diagnosis: Diagnosis, text: object) -> str:
    return str(text).replace(f"{diagnosis.root}/", "")


def _table(rows: list[Row], alignment: str) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{text:{side}{width}}" for text, side, width in zip(row, alignment, widths, strict=True)).rstrip()
        for row in rows
    )


def _fill(text: str, indent: int) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
