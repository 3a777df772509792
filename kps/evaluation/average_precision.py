"""Precision and recall of one category by pycocotools, fed with rows instead of COCO files.

The matching and the precision curve are pycocotools' own. Only the object keypoint similarity is computed
here, on the category's own landmarks of all detections at once: on 294 landmarks, one detection at a time, it
takes most of the time.

Letters: D detections and G items of one image, n_c landmarks of the category, T thresholds, R recall steps.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from kps.results.predictions import MAX_PER_IMAGE_AND_CATEGORY
from kps.schema import LANDMARK_CATEGORY, SIGMAS, category

MAX_BOXES_PER_IMAGE_AND_CATEGORY = 100  # COCO's box protocol
Row = dict[str, Any]


@dataclass(frozen=True)
class Matches:
    """A category's results from the best scored down, as matched at each of T thresholds.

    A result is right, ignored (it lies on something that does not count), or wrong.
    """

    image_id: np.ndarray  # (D,) of the results
    right: np.ndarray  # (T, D) bool
    ignored: np.ndarray  # (T, D) bool
    item_image_id: np.ndarray  # (G,) of the items that count


def precision_and_recall(
    kind: str, category_id: int, targets: list[Row], rows: list[Row]
) -> tuple[np.ndarray, np.ndarray]:
    """Match a category's results to its items: precision (T, R) and recall (T,), -1 where there are no items.

    Args:
        kind: "keypoints" (OKS, at most 20 results an image) or "bbox" (IoU, at most 100).
        category_id: 1..13, of all rows.
        targets: items with id (from 1), image_id, bbox, area, iscrowd, ignore, and keypoints (39, 3).
        rows: results with id (from 1), image_id, score, area, and keypoints (39, 3) or bbox.
    """
    evaluation = _OneCategory(kind, category_id, targets, rows)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, 0, 0], evaluation.eval["recall"][:, 0, 0, 0]


def match(kind: str, category_id: int, targets: list[Row], rows: list[Row]) -> Matches:
    """Match a category's results to its items without scoring them; arguments as `precision_and_recall`."""
    evaluation = _OneCategory(kind, category_id, targets, rows)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    images = [image for image in evaluation.evalImgs if image is not None]
    num_thresholds = len(evaluation.params.iouThrs)
    nothing = np.zeros((num_thresholds, 0), dtype=bool)
    score = np.concatenate([image["dtScores"] for image in images] or [[]])
    order = np.argsort(-score, kind="mergesort")  # pycocotools' order of ties: by image, then by row
    matched = np.concatenate([nothing, *(image["dtMatches"] > 0 for image in images)], axis=1)[:, order]
    ignored = np.concatenate([nothing, *(image["dtIgnore"] for image in images)], axis=1)[:, order]
    num_results = [len(image["dtScores"]) for image in images]
    num_items = [np.count_nonzero(image["gtIgnore"] == 0) for image in images]
    image_id = np.array([image["image_id"] for image in images], dtype=np.int64)
    return Matches(
        image_id=np.repeat(image_id, num_results)[order],
        right=matched & ~ignored,
        ignored=ignored,
        item_image_id=np.repeat(image_id, num_items),
    )


class _OneCategory(COCOeval):
    """COCOeval without COCO objects."""

    def __init__(self, kind: str, category_id: int, targets: list[Row], rows: list[Row]) -> None:
        super().__init__(iouType=kind)
        for target in targets:
            self._gts[target["image_id"], category_id].append(target)
        for row in rows:
            self._dts[row["image_id"], category_id].append(row)
        landmarks = kind == "keypoints"
        self.params.imgIds = sorted({row["image_id"] for row in (*targets, *rows)})
        self.params.catIds = [category_id]
        self.params.areaRng, self.params.areaRngLbl = [[0, 1e10]], ["all"]
        self.params.maxDets = [MAX_PER_IMAGE_AND_CATEGORY if landmarks else MAX_BOXES_PER_IMAGE_AND_CATEGORY]
        self.own = category(category_id).slice
        self.foreign_variance = (2 * SIGMAS[category_id != LANDMARK_CATEGORY]) ** 2

    def _prepare(self) -> None:
        """Nothing: the rows were handed over."""

    def computeOks(self, imgId: int, catId: int) -> Any:  # noqa: N802 - pycocotools' name
        """(D, G) similarities, best scored detections first."""
        targets, rows = self._gts[imgId, catId], self._dts[imgId, catId]
        if not targets or not rows:
            return []
        order = np.argsort([-row["score"] for row in rows], kind="mergesort")[: self.params.maxDets[-1]]
        own = self.own.stop - self.own.start
        places = np.stack([rows[i]["keypoints"][:own, :2] for i in order])
        return np.stack([self._similarity(target, places) for target in targets], axis=1)

    def _similarity(self, target: Row, places: np.ndarray) -> np.ndarray:
        """(D,) OKS of detections (D, n_c, 2) to one item.

        To an item without landmarks, pycocotools measures how far all 294 lie outside its doubled box; those
        of other categories stand at (0, 0) in a submission.
        """
        scale = target["area"] + np.spacing(1)
        variance = (2 * SIGMAS[self.own]) ** 2
        points = target["keypoints"][: places.shape[1]]
        labelled = points[:, 2] > 0
        if labelled.any():
            squared = ((places - points[:, :2]) ** 2).sum(axis=2)
            return np.exp(-squared / variance / scale / 2)[:, labelled].sum(axis=1) / labelled.sum()
        x, y, width, height = target["bbox"]
        low, high = np.array([x - width, y - height]), np.array([x + 2 * width, y + 2 * height])
        squared = ((np.maximum(0, low - places) + np.maximum(0, places - high)) ** 2).sum(axis=2)
        at_zero = ((np.maximum(0, low) + np.maximum(0, -high)) ** 2).sum()
        own = np.exp(-squared / variance / scale / 2).sum(axis=1)
        return (own + np.exp(-at_zero / self.foreign_variance / scale / 2).sum()) / len(SIGMAS)
