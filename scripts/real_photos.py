#!/usr/bin/env python3
"""Hold models against annotated photos, such as real ones, of which they have learnt nothing.

Prints a Markdown table: garments found by the whole chain of `kps predict`, and landmarks on ground-truth boxes, each
with the 95 % interval of a bootstrap over the photos. Without --models it is about the ready weights.

    python scripts/real_photos.py --models runs/demo --coco sample/train_coco.json --images sample/image

With --drawn, a folder of COCO files and photos of `kps run`, also what their photos look like beside those of it.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from kps.data.coco import Coco, load_coco
from kps.data.photos import photo_of
from kps.evaluation.matching import iou
from kps.evaluation.scores import landmark_accuracy, mean_shape, mean_shape_predictions
from kps.files import InputError
from kps.models.landmarks import predict_landmarks
from kps.predict import LEAST_SCORE, find_garments, find_models
from kps.report import markdown
from kps.results.detections import ground_truth_detections
from kps.results.predictions import Predictions
from kps.workspace import Workspace

DRAWS = 1000
Row = tuple[float, float, float]  # value, and the ends of its interval
MEASURES = {"mean_oks": "mean OKS", "PCK@0.2": "PCK@0.2", "PCK@0.05": "PCK@0.05"}


def main() -> int:
    """Read the options, measure, print the table; 1 where the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--models", type=Path, metavar="DIR", help="work folder of a run (the ready weights)")
    parser.add_argument("--coco", type=Path, required=True, metavar="FILE", help="COCO-294 file of the photos")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="the photos")
    parser.add_argument(
        "--drawn", type=Path, metavar="DIR", help="work folder of a run: its photos and mean shape beside"
    )
    arguments = parser.parse_args()
    try:
        coco, models = load_coco(arguments.coco), find_models(arguments.models)
        boxes = ground_truth_detections(coco)
        landmarks = {models.name: predict_landmarks(models.landmarks, boxes, coco, arguments.images)}
        looks = {}
        if drawn := arguments.drawn and Workspace(arguments.drawn):
            landmarks["mean shape"] = mean_shape_predictions(mean_shape(load_coco(drawn.coco("train"))), boxes)
            looks = {"these": photo_looks(coco, arguments.images)}
            looks["drawn"] = photo_looks(
                load_coco(drawn.coco("validation")), drawn.root / "data" / "validation" / "image"
            )
        found = find_garments(models, coco, arguments.images)
        rows = found_rows(coco, found)
    except InputError as error:
        print(f"real_photos: {error}", file=sys.stderr)
        return 1
    for name, predictions in landmarks.items():
        rows |= {f"{label}, ground-truth boxes, {name}": row for label, row in accuracy_rows(coco, predictions).items()}
    print(f"{len(coco.images)} photos, {len(coco.instances)} garments; boxes from a score of {LEAST_SCORE}.\n")
    print("|  | value | 95 % interval |\n| --- | ---: | --- |")
    for label, (value, low, high) in rows.items():
        print(f"| {label} | {value:.3f} | {low:.3f} to {high:.3f} |")
    if looks:
        print(f"\nMedians of photos and garments:\n\n{markdown(pd.DataFrame(looks))}")
    return 0


def photo_looks(coco: Coco, images: Path) -> dict[str, float]:
    """Medians over photos, shrunk to 256 px, and over garments, of what tells drawn photos from real ones."""
    items, photos = coco.instances, []
    for row in coco.images:
        photo = photo_of(row, images)
        small = cv2.resize(
            photo, None, fx=256 / max(photo.shape), fy=256 / max(photo.shape), interpolation=cv2.INTER_AREA
        )
        grey, hsv = (cv2.cvtColor(small, kind) for kind in (cv2.COLOR_RGB2GRAY, cv2.COLOR_RGB2HSV))
        photos.append(
            {
                "brightness": grey.mean() / 255,
                "contrast": grey.std() / 255,
                "saturation": hsv[..., 1].mean() / 255,
                "sharpness (sd of the Laplacian)": cv2.Laplacian(grey, cv2.CV_64F).std(),
                "share of pixels on edges": (cv2.Canny(grey, 80, 160) > 0).mean(),
            }
        )
    size = coco.sizes_wh(items.image_id)
    low, high = items.bbox_xywh[:, :2], items.bbox_xywh[:, :2] + items.bbox_xywh[:, 2:]
    visibility = items.keypoints[..., 2]
    garments = {
        "box, share of the photo": items.bbox_xywh[:, 2:].prod(1) / size.prod(1),
        "occluded, share of the landmarks": (visibility == 1).sum(1) / np.maximum((visibility > 0).sum(1), 1),
    }
    cut = ((low < 3) | (high > size - 3)).any(1).mean()
    garments = {name: float(np.median(values)) for name, values in garments.items()}
    return pd.DataFrame(photos).median().to_dict() | garments | {"share of garments cut by the border": float(cut)}


def found_rows(coco: Coco, found: Predictions) -> dict[str, Row]:
    """Of garments, the shares that a box overlaps by half, and rightly named; of boxes, the share without a garment."""
    items = coco.instances
    boxed, right, used = np.zeros(len(items), bool), np.zeros(len(items), bool), np.zeros(len(found), bool)
    for row in np.argsort(-found.score):  # the best first, each garment once
        free = np.flatnonzero((items.image_id == found.image_id[row]) & ~boxed)
        overlap = iou(found.bbox_xywh[[row] * len(free)], items.bbox_xywh[free])
        if len(free) and overlap.max() >= 0.5:
            best = free[overlap.argmax()]
            boxed[best], used[row] = True, True
            right[best] = items.category_id[best] == found.category_id[row]
    rows = {"garments boxed (IoU 0.5)": boxed, "boxed, of the right category": right}
    rows = {
        label: with_interval(lambda drawn, of=value: of[drawn].mean(), items.image_id) for label, value in rows.items()
    }
    return rows | {"boxes without a garment": with_interval(lambda drawn: 1 - used[drawn].mean(), found.image_id)}


def accuracy_rows(coco: Coco, predictions: Predictions) -> dict[str, Row]:
    """Mean OKS and PCK on ground-truth boxes."""

    def measure(drawn: np.ndarray, name: str) -> float:
        return landmark_accuracy(replace(coco, instances=coco.instances.take(drawn)), predictions)[name]

    return {
        label: with_interval(partial(measure, name=name), coco.instances.image_id) for name, label in MEASURES.items()
    }


def with_interval(measure: Callable[[np.ndarray], float], image_id: np.ndarray) -> Row:
    """A measure of the rows given, on all of them, and its 95 % interval by a bootstrap over their photos."""
    rng, photos = np.random.default_rng(0), np.unique(image_id)
    rows = {photo: np.flatnonzero(image_id == photo) for photo in photos}
    drawn = (np.concatenate([rows[photo] for photo in rng.choice(photos, len(photos))]) for _ in range(DRAWS))
    low, high = np.percentile([measure(each) for each in drawn], [2.5, 97.5])
    return float(measure(np.arange(len(image_id)))), float(low), float(high)


if __name__ == "__main__":
    sys.exit(main())
