"""What the doctor hands back: counts, findings and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kps.data.findings import Tally
from kps.data.numbering import Numbering
from kps.data.released import released
from kps.schema import NUM_CATEGORIES

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
