"""What `benchmark_data.py` measures: each a function of the prepared inputs, ours beside the plain way.

The plain ways are what one writes first: the standard library's json, PIL, zipfile and pycocotools, in one
process, with everything in memory at once.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kps.coco import coco_categories, load_coco
from kps.convert import convert_split
from kps.evaluation.metrics import evaluate_landmarks
from kps.predictions import Predictions, iter_results, load_results
from kps.schema import CATEGORIES, NUM_LANDMARKS, SIGMAS
from kps.submission import NAME_IN_ZIP, validate_submission, write_submission

Facts = dict[str, Any]  # what a measure found; ours and the plain way of a subject must agree


@dataclass(frozen=True)
class Inputs:
    """Files that the measures read, below one folder; `out` is for what they write."""

    root: Path

    @property
    def tree(self) -> Path:
        """The raw folder."""
        return self.root / "tree"

    @property
    def out(self) -> Path:
        """For what a measure writes; nobody reads it."""
        return self.root / "out"

    def coco(self, split: str) -> Path:
        """The split's COCO-294 file."""
        return self.root / f"{split}.json"

    def results(self, name: str) -> Path:
        """A public result list on the validation photos: `all` or `tenth`."""
        return self.root / f"results_{name}.json"

    @property
    def predictions(self) -> Path:
        """Predictions on the test photos, as a run writes them."""
        return self.root / "test.npz"

    @property
    def submission(self) -> Path:
        """The same as a submission."""
        return self.root / "submission.zip"


@dataclass(frozen=True)
class Target:
    """What a measure should not exceed; None where nothing was set."""

    seconds: float | None = None
    peak_gb: float | None = None


@dataclass(frozen=True)
class Measure:
    """One row of the table.

    `run` gets the inputs and what `load` returned; only `run` is timed, and memory counts from its start.
    """

    subject: str
    way: str
    run: Callable[[Inputs, Any], Facts]
    load: Callable[[Inputs], Any] = lambda inputs: None
    target: Target = Target()
    needs_gb: float = 2  # of free memory; not run with less
    only_full: bool = False


def convert(inputs: Inputs, _: None, *, split: str) -> Facts:
    """`kps convert` with a process for each core."""
    counts = convert_split(inputs.tree, split, inputs.out)
    return {"photos": counts.num_images, "items": counts.num_items}


def convert_plainly(inputs: Inputs, _: None, *, split: str) -> Facts:
    """One photo after the other, everything in one object, dumped at once."""
    from PIL import Image

    images, annotations = [], []
    annos = inputs.tree / split / "annos"
    for name in sorted(os.listdir(annos)):
        number, photo = int(name[:-5]), inputs.tree / split / "image" / f"{name[:-5]}.jpg"
        with open(annos / name) as file:
            value = json.load(file)
        with Image.open(photo) as image:
            width, height = image.size
        images.append({"id": number, "file_name": photo.name, "width": width, "height": height})
        for item in (value[key] for key in value if key.startswith("item")):
            keypoints = [0] * (3 * NUM_LANDMARKS)
            start = 3 * CATEGORIES[item["category_id"] - 1].first_index
            keypoints[start : start + len(item["landmarks"])] = item["landmarks"]
            x1, y1, x2, y2 = item["bounding_box"]
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": item["category_id"],
                "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0,
                "num_keypoints": sum(v > 0 for v in item["landmarks"][2::3]), "keypoints": keypoints,
                "segmentation": item["segmentation"],
            })  # fmt: skip
    with open(inputs.out, "w") as file:
        json.dump({"images": images, "annotations": annotations, "categories": coco_categories()}, file)
    return {"photos": len(images), "items": len(annotations)}


def read(inputs: Inputs, _: None, *, split: str) -> Facts:
    """`load_coco`: read, validated, as arrays."""
    return {"annotations": len(load_coco(inputs.coco(split)).instances)}


def read_plainly(inputs: Inputs, _: None, *, split: str) -> Facts:
    """`json.load` of the file, as Python lists."""
    with open(inputs.coco(split)) as file:
        return {"annotations": len(json.load(file)["annotations"])}


def evaluate(inputs: Inputs, _: None, *, results: str) -> Facts:
    """`kps evaluate`: both files read and scored."""
    scores = evaluate_landmarks(load_coco(inputs.coco("validation")), load_results(inputs.results(results)))
    return {"results": scores.num_results, "AP": f"{scores.AP:.6f}"}


def evaluate_plainly(inputs: Inputs, _: None, *, results: str) -> Facts:
    """pycocotools with the official sigmas."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(inputs.coco("validation")))
        found = truth.loadRes(str(inputs.results(results)))
        evaluation = COCOeval(truth, found, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(SIGMAS)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {"results": len(found.anns), "AP": f"{evaluation.stats[0]:.6f}"}


def load_predictions(inputs: Inputs) -> Predictions:
    """The predictions, in memory before the clock starts."""
    return Predictions.load(inputs.predictions)


def write(inputs: Inputs, predictions: Predictions) -> Facts:
    """`kps submit`: rows are written as they are made."""
    return {"rows": write_submission(predictions, inputs.out)}


def write_plainly(inputs: Inputs, predictions: Predictions) -> Facts:
    """All rows with their 882 numbers, one text, one zip."""
    text = json.dumps(list(iter_results(predictions)))
    with zipfile.ZipFile(inputs.out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME_IN_ZIP, text)
    return {"rows": len(predictions)}


def validate(inputs: Inputs, _: None) -> Facts:
    """`kps validate`: every row checked, a few in memory at a time."""
    return {"rows": validate_submission(inputs.submission).num_rows}


def validate_plainly(inputs: Inputs, _: None) -> Facts:
    """`json.load` of the whole list; nothing checked but that each row has 882 numbers."""
    with zipfile.ZipFile(inputs.submission) as archive, archive.open(NAME_IN_ZIP) as file:
        rows = json.load(file)
    if any(len(row["keypoints"]) != 3 * NUM_LANDMARKS for row in rows):
        raise ValueError("expected 882 numbers in every row")
    return {"rows": len(rows)}


def examine(inputs: Inputs, _: None) -> Facts:
    """`kps doctor`: every annotation and every photo's header."""
    from kps.doctor import diagnose

    splits = diagnose(inputs.tree).splits.values()
    return {
        "photos": sum(split.num_images for split in splits),
        "items": sum(split.num_items for split in splits),
    }


MEASURES = {
    "convert": Measure("conversion, validation", "kps convert", partial(convert, split="validation"),
                       target=Target(seconds=60)),
    "convert_plainly": Measure("conversion, validation", "json, PIL, one process",
                               partial(convert_plainly, split="validation"), needs_gb=4),
    "convert_train": Measure("conversion, train", "kps convert", partial(convert, split="train"),
                             only_full=True),
    "read": Measure("reading the COCO file, validation", "load_coco", partial(read, split="validation")),
    "read_plainly": Measure("reading the COCO file, validation", "json.load",
                            partial(read_plainly, split="validation"), needs_gb=4),
    "read_train": Measure("reading the COCO file, train", "load_coco", partial(read, split="train"),
                          target=Target(peak_gb=4), only_full=True),
    "read_train_plainly": Measure("reading the COCO file, train", "json.load",
                                  partial(read_plainly, split="train"), needs_gb=14, only_full=True),
    "evaluate": Measure("evaluation, all results", "kps evaluate", partial(evaluate, results="all"),
                        target=Target(seconds=300, peak_gb=12), needs_gb=12),
    "evaluate_tenth": Measure("evaluation, a tenth of the results", "kps evaluate",
                              partial(evaluate, results="tenth"), needs_gb=4),
    "evaluate_tenth_plainly": Measure("evaluation, a tenth of the results", "pycocotools",
                                      partial(evaluate_plainly, results="tenth"), needs_gb=6),
    "write": Measure("writing the submission", "kps submit", write, load_predictions,
                     Target(seconds=60, peak_gb=1), needs_gb=3),
    "write_plainly": Measure("writing the submission", "json.dumps, zipfile", write_plainly, load_predictions,
                             needs_gb=12),
    "validate": Measure("validating the submission", "kps validate", validate),
    "validate_plainly": Measure("validating the submission", "json.load", validate_plainly, needs_gb=12),
    "examine": Measure("looking at every file", "kps doctor", examine),
}  # fmt: skip
