"""Hard cases for the evaluation, and what stock pycocotools makes of them."""

import contextlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from builders import make_predictions
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kps.data.coco import Coco, ImageRow, Instances
from kps.evaluation.scores import Scores
from kps.results.detections import Detections
from kps.results.predictions import Predictions
from kps.schema import NUM_LANDMARKS, SIGMAS, full_from_own, own_landmark_mask


def random_case(seed: int, *, num_images: int = 6, num_items: int = 25, scale: float = 1) -> tuple[Coco, Predictions]:
    """Few images and categories, so that one image holds several items and more than 20 detections of a kind;
    crowds, items without landmarks, images without annotations, tied scores, perfect and far predictions,
    garments whose landmarks all lie at (0, 0), a box of no width, attributes of 0 (unknown) to 3.

    `scale` multiplies coordinates: from about 1000 on, areas leave the range that COCO counts.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.choice(np.arange(1, 14), 3, replace=False)
    kind = rng.choice(kinds, num_items)
    box = np.column_stack([rng.uniform(0, 100, (num_items, 2)), rng.uniform(0, 200, (num_items, 2))]) * scale
    box[0, 2] = 0
    mask = own_landmark_mask()[kind - 1][:, :, None]
    visibility = rng.integers(0, 3, (num_items, 39, 1)) * rng.integers(0, 2, (num_items, 1, 1))
    place = box[:, None, :2] + rng.uniform(-0.1, 1.1, (num_items, 39, 2)) * box[:, None, 2:]
    place[1] = 0
    keypoints = np.concatenate([place * (visibility > 0), visibility], axis=2) * mask
    items = Instances(
        annotation_id=rng.permutation(num_items) + 1,
        image_id=rng.integers(2, num_images + 1, num_items),  # the first image has none
        category_id=kind,
        bbox_xywh=box,
        area=box[:, 2] * box[:, 3],
        keypoints=keypoints,
        num_keypoints=(keypoints[:, :, 2] > 0).sum(axis=1),
        iscrowd=rng.random(num_items) < 0.15,
        attributes={name: rng.integers(0, 4, num_items) for name in ("scale", "occlusion", "zoom_in", "viewpoint")},
        segmentation=np.full(num_items, None),
    )
    sources = rng.choice(["shop", "user"], num_images).tolist()
    images = tuple(ImageRow(i, f"{i}.jpg", 300, 300, source) for i, source in enumerate(sources, start=1))
    source = rng.integers(0, num_items, 10 * num_items)
    noise = scale * rng.choice([0, 1, 5, 20, 400], (len(source), 1, 1)) * rng.normal(size=(len(source), 39, 2))
    points = np.concatenate([place[source] + noise, np.ones((len(source), 39, 1))], axis=2) * mask[source]
    points[::17] = 0
    moved = rng.random(len(source)) < 0.2  # on another image, often one without annotations
    results = make_predictions(
        len(source),
        image_id=np.where(moved, rng.integers(1, num_images + 1, len(source)), items.image_id[source]),
        category_id=kind[source],
        bbox_xywh=np.abs(box[source] + noise[:, 0, :1]),
        score=rng.integers(0, 8, len(source)) / 8,
        keypoints=points,
    )
    return Coco(Path("case.json"), images, items), results


def perfect(coco: Coco) -> Predictions:
    """The ground truth as predictions."""
    items, ones = coco.instances, np.ones(len(coco.instances))
    boxes = Detections(items.annotation_id, items.image_id, items.category_id, items.bbox_xywh, ones)
    return Predictions.on(boxes, items.keypoints.copy(), ones.copy())


def boxes_of(results: Predictions) -> Detections:
    """The boxes that the results lie on."""
    return Detections(results.detection_id, results.image_id, results.category_id, results.bbox_xywh, results.score)


def distinct_scores(results: Predictions, *, seed: int = 0) -> Predictions:
    """The results with scores in random order and without ties."""
    order = np.random.default_rng(seed).permutation(len(results))
    return replace(results, score=(order + 1) / (len(order) + 1))


def repeated(coco: Coco, results: Predictions, times: np.ndarray) -> tuple[Coco, Predictions]:
    """Each image as many times as given, with its items and results; its copies have neighbouring ids."""
    rows, items, found = [], [], []
    for image, count in zip(coco.images, times, strict=True):
        for copy in range(count):
            rows.append(replace(image, id=100 * image.id + copy))
            items.append(np.flatnonzero(coco.instances.image_id == image.id))
            found.append(np.flatnonzero(results.image_id == image.id))
    new_id = np.array([row.id for row in rows])
    instances = coco.instances.take(np.concatenate(items).astype(int))
    instances = replace(
        instances,
        image_id=np.repeat(new_id, [len(part) for part in items]),
        annotation_id=np.arange(1, len(instances) + 1),
    )
    copies = results.take(np.concatenate(found).astype(int))
    copies = replace(copies, image_id=np.repeat(new_id, [len(part) for part in found]))
    return replace(coco, images=tuple(rows), instances=instances), copies


def stock_scores(coco: Coco, results: Predictions | Detections, *, ignored: np.ndarray | bool = False) -> list[float]:
    """AP, AP50, AP75, AR and AP per category by pycocotools as it is, with the official sigmas.

    `ignored` (G,) marks items as not counting, besides crowds and items without landmarks.
    """
    items, boxes = coco.instances, isinstance(results, Detections)
    # It ignores what states no landmarks, and boxes of areas out of range; their overlap is of the boxes themselves.
    columns = {
        "id": items.annotation_id,
        "image_id": items.image_id,
        "category_id": items.category_id,
        "bbox": items.bbox_xywh,
        "area": np.where(ignored, -1, items.area) if boxes else items.area,
        "iscrowd": items.iscrowd.astype(int),
        "num_keypoints": np.where(ignored, 0, items.num_keypoints),
        "keypoints": full_from_own(items.category_id, items.keypoints).reshape(-1, 3 * NUM_LANDMARKS),
    }
    truth = COCO()
    truth.dataset = {
        "images": [{"id": row.id} for row in coco.images],
        "categories": [{"id": number} for number in range(1, 14)],
        "annotations": as_dicts(columns),
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(public_rows(results)), "bbox" if boxes else "keypoints")
        if not boxes:
            evaluation.params.kpt_oks_sigmas = SIGMAS
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = evaluation.stats[[0, 1, 2, 8 if boxes else 5]]
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    per_category = [precision[:, :, i].mean() if precision[:, :, i].max() > -1 else float("nan") for i in range(13)]
    return [*np.where(stats == -1, np.nan, stats).tolist(), *per_category]


def public_rows(results: Predictions | Detections) -> list[dict[str, Any]]:
    """Rows of a result file, without rounding."""
    columns = {"image_id": results.image_id, "category_id": results.category_id, "score": results.score}
    if isinstance(results, Detections):
        return as_dicts(columns | {"bbox": results.bbox_xywh})
    full = full_from_own(results.category_id, results.keypoints)
    return as_dicts(columns | {"keypoints": full.reshape(-1, 3 * NUM_LANDMARKS)})


def as_dicts(columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """A row for each element of the arrays."""
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def as_list(scores: Scores) -> list[float]:
    """Our scores in the order of `stock_scores`."""
    return [scores.AP, scores.AP50, scores.AP75, scores.AR, *scores.per_category.values()]
