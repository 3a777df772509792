"""Where every artifact of a run lies: each path is named here and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kps.errors import InputError
from kps.files import identity, read_json, write_json

SPLITS = ("train", "validation", "test")
REPOSITORY = Path(__file__).resolve().parents[1]  # notebooks count relative paths from here
GROUND_TRUTH = "ground_truth"  # the name under which ground-truth boxes stand beside the detectors


def check_split(split: str) -> str:
    """Return `split`, or raise InputError where it is none of the three."""
    if split not in SPLITS:
        raise InputError(f"expected a split out of {', '.join(SPLITS)}, but got {split!r}")
    return split


@dataclass(frozen=True)
class Workspace:
    """The work folder of one run of the flow."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    @property
    def built_in_data(self) -> Path:
        """The built-in data set, in the raw DeepFashion2 layout."""
        return self.root / "data"

    @property
    def data(self) -> Path:
        """Which COCO file and image folder each split has, and which raw folder they come from."""
        return self.root / "data.json"

    def coco(self, split: str) -> Path:
        """COCO-294 annotations of a split, visible and occluded landmarks."""
        return self.root / "coco" / f"{check_split(split)}.json"

    def coco_visible_only(self, split: str) -> Path:
        """COCO-294 annotations of a split, occluded landmarks unlabelled."""
        return self.root / "coco" / f"{check_split(split)}_visible_only.json"

    def write_data(self, image_dirs: dict[str, Path], *, source: str) -> None:
        """Remember each split's image folder; `source` says in words where the data come from."""
        folders = {check_split(split): str(path) for split, path in image_dirs.items()}
        write_json(self.data, {"source": source, "image_dirs": folders}, indent=True)

    def image_dir(self, split: str) -> Path:
        """The image folder of a split, as 01_prepare_data noted it."""
        self.available([split])
        return Path(read_json(self.data)["image_dirs"][split])

    def available(self, splits: Sequence[str]) -> list[str]:
        """Those of the splits that the data have: the test split may be absent.

        Raises:
            InputError: the data have none of them.
        """
        folders = read_json(self.data)["image_dirs"]
        found = [split for split in splits if check_split(split) in folders]
        if not found:
            wanted = " or ".join(splits)
            raise InputError(f"{self.data}: no images of the {wanted} split, only of {', '.join(folders)}")
        return found

    def data_source(self) -> str:
        """In words where the data come from ("built-in" for the procedural set)."""
        return read_json(self.data)["source"]

    @property
    def homogeneity(self) -> Path:
        """Distances between the 294 landmarks."""
        return self.root / "homogeneity.json"

    def aggregation(self, name: str) -> Path:
        """The aggregation map of that name."""
        return self.root / "aggregation" / f"{name}.json"

    @property
    def study(self) -> Path:
        """Trainings that compare aggregation maps, a folder each."""
        return self.root / "study"

    def detector_dir(self, detector: str) -> Path:
        """Training folder of a detector."""
        return self.root / "detectors" / detector

    def detections(self, detector: str, split: str) -> Path:
        """Boxes of a split from a detector, or GROUND_TRUTH's, in the public box format."""
        return self.root / "detections" / detector / f"{check_split(split)}.json"

    def universal_dir(self, aggregation: str) -> Path:
        """Training folder of the universal landmark model."""
        return self.root / "landmarks" / aggregation / "universal"

    def finetune_dir(self, aggregation: str, variant: str, category_id: int) -> Path:
        """Training folder of a landmark model finetuned for one category; `variant` says how."""
        if not re.fullmatch(r"[\w.-]+", variant):
            raise InputError(f"expected a variant's name of letters and digits, but got {variant!r}")
        return self.root / "landmarks" / aggregation / f"finetune_{variant}" / f"category_{category_id:02d}"

    def predictions(self, run: str, split: str) -> Path:
        """Landmarks of a split as predicted by a named run."""
        return self.root / "predictions" / run / f"{check_split(split)}.npz"

    def record(self, step: str) -> Path:
        """What a step did: parameters, hashes, versions, metrics."""
        return self.root / "records" / f"{step}.json"

    def executed(self, step: str) -> Path:
        """The executed copy of a step's notebook."""
        return self.root / "executed" / f"{step}.ipynb"

    def figure(self, name: str) -> Path:
        """A picture of the report, for the README."""
        return self.root / "figures" / f"{name}.png"

    @property
    def report(self) -> Path:
        """The report as one HTML file."""
        return self.root / "report.html"


def submission_zip(name: str, folder: Path = Path("submissions")) -> Path:
    """The zip of a submission."""
    return folder / name / "submission.zip"


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse outputs that would destroy an input, each other or raw data, before anything is done.

    Raises:
        InputError: an output is an input or another output, under whatever name, or lies in raw data.
    """
    used = {identity(path): path for path in inputs}
    roots = [Path(os.path.realpath(path)) for path in used.values()]
    for output in outputs:
        if (other := used.setdefault(identity(output), output)) is not output:
            raise InputError(f"{output}: expected a place of its own to write to, but it is {other} too")
        path = Path(os.path.realpath(output))
        for folder in (path, *path.parents):
            # A raw set's own folder may be the home of much else: it counts below an input, or right above.
            near = folder in (path, path.parent) or not set(roots).isdisjoint((folder, *folder.parents))
            splits = (folder, *(folder / name for name in SPLITS)) if near else (folder,)
            if any(map(_is_split, splits)) or (folder.name.startswith("json_for_") and folder.is_dir()):
                raise InputError(f"{output}: expected an output outside of raw data, but it lies in {folder}")


def _is_split(folder: Path) -> bool:
    return folder.name.lower() in SPLITS and (folder / "image").is_dir()
