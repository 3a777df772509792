"""Matching: similarity of landmarks and boxes, results matched to items by the rules of COCO's evaluation.

The rules are pycocotools', which stays the referee in the tests; here all photos of a category are matched at once,
one rank of results after the other. Letters: I images, G items, D results, P pairs of a result and an item, T
thresholds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kps.data.coco import Coco, Instances
from kps.files import InputError
from kps.results.detections import Detections
from kps.results.predictions import MAX_PER_IMAGE_AND_CATEGORY, Predictions
from kps.schema import LANDMARK_CATEGORY, NUM_CATEGORIES, SIGMAS, own_landmark_mask, own_sigmas

PAIRS_AT_ONCE = 20_000  # bounds the memory
THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_BOXES_PER_IMAGE_AND_CATEGORY = 100  # COCO's box protocol
MAX_AREA = 1e10  # px^2; what is larger does not count


@dataclass(frozen=True)
class Matches:
    """A category's results from the best scored down, as matched at each of T thresholds.

    A result is right, ignored (it lies on something that does not count), or wrong.
    """

    image_id: np.ndarray  # (D,) of the results
    right: np.ndarray  # (T, D) bool
    ignored: np.ndarray  # (T, D) bool
    item_image_id: np.ndarray  # (G,) of the items that count


@dataclass(frozen=True)
class Comparison:
    """Ground truth beside results, matched: of each category id its Matches."""

    image_ids: np.ndarray  # (I,) of all images, also those that hold nothing
    matches: dict[int, Matches]
    num_items: int  # that count: no crowds, and for landmarks at least one labelled
    num_results: int


def compare(
    ground_truth: Coco,
    results: Predictions | Detections,
    *,
    visible_only: bool = False,
    counted: np.ndarray | None = None,
) -> Comparison:
    """Match results to the ground truth; InputError: a result lies on an image that the ground truth does not have.

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
    ignored = items.iscrowd | (isinstance(results, Predictions) & (items.num_keypoints == 0))
    if counted is not None:
        ignored = ignored | ~counted
    matches = {}
    for category_id in range(1, NUM_CATEGORIES + 1):
        own, found = items.category_id == category_id, results.category_id == category_id
        matches[category_id] = match(items.take(own), ignored[own], results.take(found))
    return Comparison(ground_truth.image_ids, matches, int((~ignored).sum()), len(results))


def check_images(ground_truth: Coco, image_id: np.ndarray, where: Path | None = None) -> None:
    """Raise InputError where a result (of the file `where`) lies on an image that the truth does not have."""
    unknown = ~np.isin(image_id, ground_truth.image_ids)
    if unknown.any():
        raise InputError(
            f"{where or 'results'}: {int(unknown.sum())} lie on images that {ground_truth.path} does not "
            f"have, first row {int(np.argmax(unknown))} with image id {image_id[np.argmax(unknown)]}"
        )


def match(items: Instances, ignored: np.ndarray, results: Predictions | Detections) -> Matches:
    """Match the results of one category to its items; (G,) `ignored` items are neither right nor missed."""
    landmarks = isinstance(results, Predictions)
    ignored = ignored | (items.area > MAX_AREA)
    order = np.lexsort((ignored, items.image_id))  # the items that count first
    items, ignored = items.take(order), ignored[order]
    order = np.lexsort((-results.score, results.image_id))
    rank = _place_in_run(results.image_id[order])
    kept = rank < (MAX_PER_IMAGE_AND_CATEGORY if landmarks else MAX_BOXES_PER_IMAGE_AND_CATEGORY)
    results, rank = results.take(order[kept]), rank[kept]
    images, first, count = np.unique(items.image_id, return_index=True, return_counts=True)
    image = np.searchsorted(images, results.image_id)  # (D,) row of the image; one past the end, or a neighbour's
    has_items = (image < len(images)) & np.isin(results.image_id, images)
    rows = np.flatnonzero(has_items)
    row = np.repeat(rows, count[image[rows]])
    place = _place_in_run(row)  # of the item on its image
    most = int(count.max(initial=0))
    similarity = np.full((len(results), most), -1.0)
    similarity[row, place] = _similarity(items, first[image[row]] + place, results, row)
    shape = len(images), most
    is_ignored, is_crowd = np.zeros(shape, bool), np.zeros(shape, bool)
    of_item = np.repeat(np.arange(len(images)), count), _place_in_run(items.image_id)
    is_ignored[of_item], is_crowd[of_item] = ignored, items.iscrowd
    free = np.ones((len(images), len(THRESHOLDS), most), bool)
    right, passed = np.zeros((2, len(results), len(THRESHOLDS)), bool)
    least = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    for step in range(int(rank[rows].max(initial=-1)) + 1):
        now = rows[rank[rows] == step]  # one result an image
        on = image[now]
        close = similarity[now][:, None]  # (n, 1, G)
        fits = (close >= least) & (free[on] | is_crowd[on][:, None])
        counts = fits & ~is_ignored[on][:, None]
        fits = np.where(counts.any(axis=2, keepdims=True), counts, fits)  # what counts goes before what does not
        best = most - 1 - np.where(fits, close, -2)[:, :, ::-1].argmax(axis=2)  # of equals the last
        hit, threshold = np.nonzero(fits.any(axis=2))
        item = best[hit, threshold]
        free[on[hit], threshold, item] = False
        passes = is_ignored[on[hit], item]
        right[now[hit], threshold], passed[now[hit], threshold] = ~passes, passes
    area = _submitted_area(results) if landmarks else results.bbox_xywh[:, 2:].prod(axis=1)
    passed |= ~right & (area > MAX_AREA)[:, None]
    order = np.argsort(-results.score, kind="stable")  # ties by image, then by row
    return Matches(results.image_id[order], right[order].T, passed[order].T, items.image_id[~ignored])


def _place_in_run(values: np.ndarray) -> np.ndarray:
    """(N,) place of each value in its run of equal ones, from 0."""
    new = np.ones(len(values), bool)
    new[1:] = values[1:] != values[:-1]
    starts = np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))
    return np.arange(len(values)) - starts


def _submitted_area(results: Predictions) -> np.ndarray:
    """(N,) px^2, as pycocotools derives it from 882 numbers: the tight box of the landmarks and of (0, 0)."""
    low = np.minimum(results.keypoints[:, :, :2].min(axis=1, initial=0), 0)
    high = np.maximum(results.keypoints[:, :, :2].max(axis=1, initial=0), 0)
    return (high - low).prod(axis=1)


def _similarity(items: Instances, item: np.ndarray, results: Predictions | Detections, row: np.ndarray) -> np.ndarray:
    """(P,) IoU of boxes or OKS of landmarks of the items `item` (P,) to the results `row` (P,)."""
    if isinstance(results, Detections):
        return iou(results.bbox_xywh[row], items.bbox_xywh[item], crowd=items.iscrowd[item])
    values = oks_of_pairs(items, results.keypoints, item, row)
    bare = np.flatnonzero(items.num_keypoints[item] == 0)
    for part in np.split(bare, range(PAIRS_AT_ONCE, len(bare), PAIRS_AT_ONCE)) if len(bare) else ():
        values[part] = _oks_without_landmarks(items, item[part], results.keypoints[row[part]])
    return values


def _oks_without_landmarks(items: Instances, item: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """(P,) what pycocotools takes for the OKS of keypoints (P, 39, 3) to items (P,) of one category without landmarks.

    It measures how far all 294 lie outside the doubled box; those of other categories stand at (0, 0).
    """
    category_id = items.category_id[item[0]]
    corner, size = items.bbox_xywh[item, :2], items.bbox_xywh[item, 2:]
    low, high, scale = corner - size, corner + 2 * size, items.area[item] + np.spacing(1)

    def outside(places: np.ndarray) -> np.ndarray:
        return ((np.maximum(0, low[:, None] - places) + np.maximum(0, places - high[:, None])) ** 2).sum(axis=2)

    own = keypoints[:, own_landmark_mask()[category_id - 1], :2]
    total = np.zeros(len(item))
    for places, of in (
        (own, category_id == LANDMARK_CATEGORY),
        (np.zeros((1, 1, 2)), category_id != LANDMARK_CATEGORY),
    ):
        total += np.exp(-outside(places) / (2 * SIGMAS[of]) ** 2 / scale[:, None] / 2).sum(axis=1)
    return total / len(SIGMAS)


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


def iou(first: np.ndarray, second: np.ndarray, *, crowd: np.ndarray | bool = False) -> np.ndarray:
    """(P,) intersection over union of boxes (P, 4) x, y, w, h, with a `crowd` over the first; 0 where that is 0."""
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=1)
    area = first[:, 2:].prod(axis=1)
    union = np.where(crowd, area, area + second[:, 2:].prod(axis=1) - common)
    return np.divide(common, union, out=np.zeros(len(common)), where=union > 0)
