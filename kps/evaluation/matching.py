"""Matching: similarity of landmarks and boxes, results matched to items by pycocotools, average precision from it."""

import contextlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pycocotools.cocoeval import COCOeval

from kps.data.coco import Coco, Instances
from kps.files import InputError
from kps.results.detections import Detections
from kps.results.predictions import MAX_PER_IMAGE_AND_CATEGORY, Predictions
from kps.schema import LANDMARK_CATEGORY, SIGMAS, category, own_sigmas


@dataclass(frozen=True)
class Comparison:
    """Ground truth beside results; `kind` is "keypoints" or "bbox"."""

    kind: str
    image_ids: np.ndarray  # (I,) of all images, also those that hold nothing
    item_category: np.ndarray  # (G,)
    result_category: np.ndarray  # (D,)
    targets: "list[Row]"  # of items
    rows: "list[Row]"  # of results

    def of_category(self, category_id: int) -> "tuple[str, int, list[Row], list[Row]]":
        """Return the arguments of `precision_and_recall` and `match` for one category."""
        return (
            self.kind,
            category_id,
            [self.targets[i] for i in np.flatnonzero(self.item_category == category_id)],
            [self.rows[i] for i in np.flatnonzero(self.result_category == category_id)],
        )

    @property
    def num_items(self) -> int:
        """Number of items that count: no crowds, and for landmarks at least one labelled."""
        return sum(not target["ignore"] for target in self.targets)


def compare(
    ground_truth: Coco,
    results: Predictions | Detections,
    *,
    visible_only: bool = False,
    counted: np.ndarray | None = None,
) -> Comparison:
    """Put results beside the ground truth; InputError: a result lies on an image that the ground truth does not have.

    Args:
        ground_truth: all images and items.
        results: Predictions are compared by landmarks (OKS), Detections by boxes (IoU).
        visible_only: occluded landmarks are treated as unlabelled; has no meaning for boxes.
        counted: (G,) items outside this mask are ignored, as crowds are.
    """
    check_images(ground_truth, results.image_id)
    if visible_only:
        ground_truth = ground_truth.visible_only()
    items = ground_truth.instances
    landmarks = isinstance(results, Predictions)
    ignored = items.iscrowd | (landmarks & (items.num_keypoints == 0))
    if counted is not None:
        ignored = ignored | ~counted
    return Comparison(
        kind="keypoints" if landmarks else "bbox",
        image_ids=ground_truth.image_ids,
        item_category=items.category_id,
        result_category=results.category_id,
        targets=_rows(
            image_id=items.image_id,
            area=items.area,
            bbox=items.bbox_xywh,
            iscrowd=items.iscrowd.astype(int),
            ignore=ignored.astype(int),
            keypoints=items.keypoints,
        ),
        rows=_rows(
            image_id=results.image_id,
            score=results.score,
            **(
                {"area": _submitted_area(results), "keypoints": results.keypoints}
                if landmarks
                else {"area": results.bbox_xywh[:, 2:].prod(axis=1), "bbox": results.bbox_xywh}
            ),
        ),
    )


def _rows(**columns: np.ndarray) -> "list[Row]":
    """One row for each index, numbered from 1: pycocotools reads an id of 0 as "not matched"."""
    # Keypoints stay arrays; everything else becomes what a JSON file would hold.
    values = [list(value) if name == "keypoints" else value.tolist() for name, value in columns.items()]
    names = ("id", *columns)
    return [dict(zip(names, row, strict=True)) for row in zip(count(1), *values, strict=False)]


def check_images(ground_truth: Coco, image_id: np.ndarray, where: Path | None = None) -> None:
    """Raise InputError where a result (of the file `where`) lies on an image that the truth does not have."""
    unknown = ~np.isin(image_id, ground_truth.image_ids)
    if unknown.any():
        raise InputError(
            f"{where or 'results'}: {int(unknown.sum())} lie on images that {ground_truth.path} does not "
            f"have, first row {int(np.argmax(unknown))} with image id {image_id[np.argmax(unknown)]}"
        )


def _submitted_area(results: Predictions) -> np.ndarray:
    """(N,) px^2, as pycocotools derives it from 882 numbers: the tight box of the landmarks and of (0, 0)."""
    low = np.minimum(results.keypoints[:, :, :2].min(axis=1, initial=0), 0)
    high = np.maximum(results.keypoints[:, :, :2].max(axis=1, initial=0), 0)
    return (high - low).prod(axis=1)


PAIRS_AT_ONCE = 20_000  # bounds the memory


def similarity_at(squared_distance: np.ndarray, category_id: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(N, 39) OKS of each landmark alone, exp(-d^2 / (2 area (2 sigma)^2)) as in COCO's evaluation.

    Args:
        squared_distance: (N, 39) px^2 between a predicted and a true place.
        category_id: (N,) 1..13, whose sigmas are used.
        area: (N,) px^2 of the items.
    """
    variance = (2 * own_sigmas()[category_id - 1]) ** 2
    return np.exp(-squared_distance / variance / (area[:, None] + np.spacing(1)) / 2)


def oks(items: Instances, keypoints: np.ndarray) -> np.ndarray:
    """(N,) object keypoint similarity of each item to its prediction (N, 39, 2 or 3); NaN without labels."""
    rows = np.arange(len(items))
    return oks_of_pairs(items, keypoints, rows, rows)


def oks_of_pairs(items: Instances, keypoints: np.ndarray, item: np.ndarray, row: np.ndarray) -> np.ndarray:
    """(P,) OKS of the items of rows `item` (P,) to the predictions (N, 39, 2 or 3) of rows `row` (P,)."""
    values = np.zeros(len(item))
    for start in range(0, len(item), PAIRS_AT_ONCE):
        i, j = (part[start : start + PAIRS_AT_ONCE] for part in (item, row))
        truth = items.keypoints[i]
        squared = ((keypoints[j, :, :2] - truth[:, :, :2]) ** 2).sum(axis=2)
        similarity = similarity_at(squared, items.category_id[i], items.area[i])
        labelled = truth[:, :, 2] > 0
        with np.errstate(invalid="ignore"):
            values[start : start + len(i)] = (similarity * labelled).sum(axis=1) / labelled.sum(axis=1)
    return values


NEAR = 0.5  # OKS of the landmarks, or IoU of the boxes, from which a result fits: the protocol's lowest
OWN, DUPLICATE, WRONG_CATEGORY, BACKGROUND = "right item", "duplicate", "wrong category", "background"


@dataclass(frozen=True)
class Association:
    """What each result is, and who stands for each item."""

    kind: np.ndarray  # (D,) OWN, DUPLICATE, WRONG_CATEGORY or BACKGROUND
    item: np.ndarray  # (D,) row of the item that it stands for, or that it doubles; -1 without one
    result: np.ndarray  # (G,) row of the result that stands for the item (OWN or WRONG_CATEGORY); -1 missed


def associate(items: Instances, counted: np.ndarray, results: Predictions) -> Association:
    """Give results to items.

    A result fits an item of its own category from an OKS or a box IoU of NEAR. Pairs are joined one to one,
    the best OKS first (then the best IoU and score): these are OWN. Another result that fits such an item is
    a DUPLICATE. A remaining result whose box fits an item of another category has the WRONG_CATEGORY; the
    best scored one stands for the item where no result of the right category does. The rest is BACKGROUND.

    Args:
        items: G items.
        counted: (G,) items that the protocol counts; the others get no result.
        results: D results.
    """
    pairs = _pairs(items, np.flatnonzero(counted), results)
    same = pairs[pairs["same"] & ((pairs["oks"] >= NEAR) | (pairs["iou"] >= NEAR))]
    same = same.sort_values(["oks", "iou", "score"], ascending=False, kind="stable")
    result_of = np.full(len(items), -1)
    item_of = np.full(len(results), -1)
    kind = np.full(len(results), BACKGROUND, dtype=object)
    _join(same, result_of, item_of)
    kind[item_of >= 0] = OWN

    doubled = same[item_of[same["result"]] < 0].drop_duplicates("result")
    kind[doubled["result"]] = DUPLICATE

    other = pairs[~pairs["same"] & (pairs["iou"] >= NEAR) & (kind[pairs["result"]] == BACKGROUND)]
    other = other.sort_values(["score", "iou"], ascending=False, kind="stable")
    kind[other["result"]] = WRONG_CATEGORY
    _join(other, result_of, item_of)
    item_of[doubled["result"]] = doubled["item"]
    return Association(kind, item_of, result_of)


def _join(pairs: pd.DataFrame, result_of: np.ndarray, item_of: np.ndarray) -> None:
    """Join the pairs one to one in their order, leaving what is joined already; fills both maps."""
    rows: Iterable[tuple[int, int]] = zip(pairs["result"].tolist(), pairs["item"].tolist(), strict=True)
    for result, item in rows:
        if result_of[item] < 0 and item_of[result] < 0:
            result_of[item], item_of[result] = result, item


def _pairs(items: Instances, counted: np.ndarray, results: Predictions) -> pd.DataFrame:
    """One row for each result and counted item on its image: result, item, same category, iou, oks, score."""
    pairs = pd.merge(
        pd.DataFrame({"image": results.image_id, "result": np.arange(len(results))}),
        pd.DataFrame({"image": items.image_id[counted], "item": counted}),
        on="image",
    )
    result, item = pairs["result"].to_numpy(), pairs["item"].to_numpy()
    pairs["same"] = results.category_id[result] == items.category_id[item]
    pairs["score"] = results.score[result]
    pairs["iou"] = iou(results.bbox_xywh[result], items.bbox_xywh[item])
    pairs["oks"] = -1.0
    rows = np.flatnonzero(pairs["same"])
    pairs.loc[rows, "oks"] = oks_of_pairs(items, results.keypoints, item[rows], result[rows])
    return pairs


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) intersection over union of boxes (P, 4) x, y, w, h; 0 where both have no area."""
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=1)
    union = first[:, 2:].prod(axis=1) + second[:, 2:].prod(axis=1) - common
    return np.divide(common, union, out=np.zeros(len(common)), where=union > 0)


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
