#!/usr/bin/env python3
"""What scripts/bench.py holds whole commands against: each thing as one writes it first, or scores by another library.

One process, everything in memory, and only the imports that it takes.
"""

import json
import sys
import zipfile
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image

from kps.data.coco import coco_head
from kps.results.predictions import Predictions
from kps.results.submission import NAME_IN_ZIP
from kps.schema import NUM_LANDMARKS, SIGMAS, category


def in_slots(category_id: int, own: list[float]) -> list[float]:
    """The 882 numbers of a garment's own."""
    keypoints, start = [0] * (3 * NUM_LANDMARKS), 3 * category(category_id).first_index
    keypoints[start : start + len(own)] = own
    return keypoints


def convert(split: Path) -> None:
    """Convert annotations of a raw split, with the sizes of their photos."""
    images, annotations = [], []
    for path in sorted((split / "annos").iterdir()):
        with Image.open(split / "image" / f"{path.stem}.jpg") as image:
            size = {"width": image.width, "height": image.height}
        images.append({"id": int(path.stem), "file_name": f"{path.stem}.jpg", **size})
        for item in (value for key, value in json.loads(path.read_text()).items() if key.startswith("item")):
            x1, y1, x2, y2 = item["bounding_box"]
            row = {"id": len(annotations) + 1, "image_id": int(path.stem), "category_id": item["category_id"]}
            row |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            row["keypoints"] = in_slots(item["category_id"], item["landmarks"])
            annotations.append(row | {"segmentation": item["segmentation"]})
    Path("out.json").write_text(json.dumps(coco_head("") | {"images": images, "annotations": annotations}))


def write(run: Path) -> None:
    """Write the submission of a run."""
    found, rows = Predictions.load(run), []
    columns = (found.image_id.tolist(), found.category_id.tolist(), found.keypoints.round(2), found.score.tolist())
    for image_id, kind, own, score in zip(*columns, strict=True):
        keypoints = in_slots(kind, own[: category(kind).num_landmarks].ravel().tolist())
        rows.append({"image_id": image_id, "category_id": kind, "keypoints": keypoints, "score": score})
    with zipfile.ZipFile("out.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME_IN_ZIP, json.dumps(rows))


def validate(submission: Path) -> None:
    """Read a submission back."""
    with zipfile.ZipFile(submission) as archive, archive.open(NAME_IN_ZIP) as file:
        assert all(len(row["keypoints"]) == 3 * NUM_LANDMARKS for row in json.load(file))


def score(library: str, ground_truth: Path, results: Path) -> None:
    """Score with pycocotools, or with what offers its interface."""
    found = import_module(library)
    if library == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    else:
        COCO, COCOeval = found.COCO, getattr(found, "COCOeval_faster", None) or found.COCOeval
    sigmas = list(SIGMAS) if library == "hotcoco" else np.array(SIGMAS)
    extra = {"kpt_oks_sigmas": sigmas} if library == "faster_coco_eval" else {}
    truth = COCO(str(ground_truth))
    evaluation = COCOeval(truth, truth.loadRes(str(results)), "keypoints", **extra)
    evaluation.params.kpt_oks_sigmas = sigmas
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    print(f"AP {evaluation.stats[0]:.9f}")


if __name__ == "__main__":
    what, *files = sys.argv[1:]
    ways = {"convert": convert, "write": write, "validate": validate}
    ways.get(what, partial(score, what))(*map(Path, files))
