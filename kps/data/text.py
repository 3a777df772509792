"""A diagnosis as text for people, at most 100 columns wide but for long names of files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from kps.data.diagnosis import (
    RULE,
    Diagnosis,
    InformationFile,
    instead_of_information,
    split_of_information,
)
from kps.data.findings import SEVERITIES
from kps.data.raw import INFORMATION_FILES
from kps.data.released import VALIDATION_ITEMS_ON_THE_PAGE, released
from kps.schema import CATEGORIES
from kps.workspace import SPLITS

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
