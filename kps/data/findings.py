"""What the doctor can find: one table of codes, and the tally of what was found."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Literal, NamedTuple

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
