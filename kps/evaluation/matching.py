"""Matching: similarity of landmarks and boxes, results matched to items by the rules of COCO's evaluation.

The rules are pycocotools', which stays the referee in the tests; here all photos of a category are matched at once,
one rank of results after the other. Letters: I images, G items, D results, P pairs of a result and an item, T
thresholds.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kps.data.coco import Coco, Instances
from kps.files import InputError
from kps.results.detections import Detections
from kps.results.predictions import MAX_PER_IMAGE_AND_CATEGORY, Predictions, Results, place_among_equals, span
from kps.schema import NUM_CATEGORIES, SIGMAS, full_from_own, own_sigmas

PAIRS_AT_ONCE = 1_000  # bounds the memory, and fits the cache
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
    truth: Coco, results: Results, *, visible_only: bool = False, counted: np.ndarray | None = None
) -> Comparison:
    """Match results to the truth: Predictions by landmarks (OKS), Detections by boxes (IoU).

    `visible_only` treats occluded landmarks as unlabelled; items outside the mask `counted` (G,) are ignored, as
    crowds are. InputError: a result lies on an image that the truth does not have.
    """
    check_images(truth, results.image_id)
    items = truth.visible_only().instances if visible_only else truth.instances
    ignored = items.iscrowd | (isinstance(results, Predictions) & (items.num_keypoints == 0))
    if counted is not None:
        ignored = ignored | ~counted
    matches = {}
    for category_id in range(1, NUM_CATEGORIES + 1):
        own, found = items.category_id == category_id, results.category_id == category_id
        matches[category_id] = match(items.take(own), ignored[own], results.take(found))
    return Comparison(truth.image_ids, matches, int((~ignored).sum()), len(results))


def check_images(truth: Coco, image_id: np.ndarray, where: Path | None = None) -> None:
    """Raise InputError where a result (of the file `where`) lies on an image that the truth does not have."""
    unknown = ~np.isin(image_id, truth.image_ids)
    if unknown.any():
        raise InputError(
            f"{where or 'results'}: {int(unknown.sum())} lie on images that {truth.path} does not have, "
            f"first row {int(np.argmax(unknown))} with image id {image_id[np.argmax(unknown)]}"
        )


def match(items: Instances, ignored: np.ndarray, results: Results) -> Matches:
    """Match the results of one category to its items; (G,) `ignored` items are neither right nor missed."""
    landmarks = isinstance(results, Predictions)
    ignored = ignored | (items.area > MAX_AREA)
    order = np.lexsort((ignored, items.image_id))  # the items that count first
    items, ignored = items.take(order), ignored[order]
    order = np.lexsort((-results.score, results.image_id))
    rank = place_among_equals(results.image_id[order])
    kept = rank < (MAX_PER_IMAGE_AND_CATEGORY if landmarks else MAX_BOXES_PER_IMAGE_AND_CATEGORY)
    results, rank = results.take(order[kept]), rank[kept]
    images, first, count = np.unique(items.image_id, return_index=True, return_counts=True)
    image = pd.Index(images).get_indexer(results.image_id)  # (D,) row of the image; -1 without items
    rows = np.flatnonzero(image >= 0)
    row = np.repeat(rows, count[image[rows]])
    place = place_among_equals(row)  # of the item on its image
    most = int(count.max(initial=0))
    similarity = np.full((len(results), most), -1.0)
    similarity[row, place] = _similarity(items, first[image[row]] + place, results, row)
    # What is beyond an image's last item has no similarity.
    of_place = np.minimum(first[:, None] + np.arange(most), len(items) - 1)
    is_ignored, is_crowd = ignored[of_place], items.iscrowd[of_place]
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


def _submitted_area(results: Predictions) -> np.ndarray:
    """(N,) px^2, as pycocotools derives it from 882 numbers: the tight box of the landmarks and of (0, 0)."""
    low, high = span(results.keypoints)
    return (np.maximum(high, 0) - np.minimum(low, 0)).prod(axis=1)


def _similarity(items: Instances, item: np.ndarray, results: Results, row: np.ndarray) -> np.ndarray:
    """(P,) IoU of boxes or OKS of landmarks of the items `item` (P,) to the results `row` (P,)."""
    if isinstance(results, Detections):
        return iou(results.bbox_xywh[row], items.bbox_xywh[item], crowd=items.iscrowd[item])
    values = oks_of_pairs(items, results.keypoints, item, row)
    bare = np.flatnonzero(items.num_keypoints[item] == 0)
    for start in range(0, len(bare), PAIRS_AT_ONCE):
        part = bare[start : start + PAIRS_AT_ONCE]
        values[part] = _oks_without_landmarks(items, item[part], results.keypoints[row[part]])
    return values


def _oks_without_landmarks(items: Instances, item: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """(P,) what pycocotools takes for the OKS of keypoints (P, 39, 3) to items (P,) without landmarks.

    It measures how far all 294 lie outside the doubled box; those of other categories stand at (0, 0).
    """
    corner, size = items.bbox_xywh[item, None, :2], items.bbox_xywh[item, None, 2:]
    places = full_from_own(items.category_id[item], keypoints[:, :, :2])
    outside = np.maximum(np.maximum(corner - size - places, places - (corner + 2 * size)), 0)
    squared, scale = (outside**2) @ [1, 1], items.area[item, None] + np.spacing(1)
    return np.exp(-squared / (2 * SIGMAS) ** 2 / scale / 2).mean(axis=1)


def similarity_at(squared_distance: np.ndarray, category_id: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(N, 39) OKS of each landmark alone, exp(-d^2 / (2 area (2 sigma)^2)) as in COCO's evaluation.

    Of squared distances (N, 39) px^2 between predicted and true places of items, with their areas (N,) px^2.
    """
    variance = (2 * own_sigmas()[category_id - 1]) ** 2
    return np.exp(-squared_distance / variance / (area[:, None] + np.spacing(1)) / 2)


def oks_of_pairs(items: Instances, keypoints: np.ndarray, item: np.ndarray, row: np.ndarray) -> np.ndarray:
    """(P,) OKS of the items of rows `item` (P,) to the predictions (N, 39, 2 or 3) of rows `row` (P,).

    NaN where nothing is labelled.
    """
    values = np.zeros(len(item))
    for start in range(0, len(item), PAIRS_AT_ONCE):
        i, j = (part[start : start + PAIRS_AT_ONCE] for part in (item, row))
        truth = items.keypoints[i]
        squared = (keypoints[j, :, :2] - truth[:, :, :2]) ** 2 @ [1, 1]  # faster than a sum over two
        similarity = similarity_at(squared, items.category_id[i], items.area[i])
        labelled = truth[:, :, 2] > 0
        with np.errstate(invalid="ignore"):
            values[start : start + len(i)] = (similarity * labelled).sum(axis=1) / labelled.sum(axis=1)
    return values


NEAR = 0.5  # OKS of the landmarks, or IoU of the boxes, from which a result fits: the protocol's lowest


def precision_at_recall(matches: Matches, recall: np.ndarray) -> np.ndarray:
    """(T, R) the highest precision at each recall (R,) or above, 0 where it is not reached; NaN without items."""
    right, wrong = ((one & ~matches.ignored).cumsum(1) for one in (matches.right, ~matches.right))
    if not len(matches.item_image_id):
        return np.full((len(right), len(recall)), np.nan)
    best = np.maximum.accumulate((right / np.maximum(right + wrong, 1))[:, ::-1], axis=1)[:, ::-1]
    best = np.hstack([best, np.zeros((len(best), 1))])
    reached = right / len(matches.item_image_id)
    return np.stack([row[np.searchsorted(share, recall)] for row, share in zip(best, reached, strict=True)])


def confusions(truth: Coco, results: Results, *, least_score: float) -> np.ndarray:
    """(13, 14) items of each category, by that of the best scored result on them (box IoU from 0.5); last: none."""
    items = truth.instances.take(truth.instances.counted)
    surest = results.take(np.argsort(-results.score, kind="stable")[::-1])  # the last to name an item stands
    surest = surest.take(surest.score >= least_score)
    result, item = same_image(surest.image_id, items.image_id)
    near = iou(surest.bbox_xywh[result], items.bbox_xywh[item]) >= NEAR
    named = np.full(len(items), NUM_CATEGORIES)
    named[item[near]] = surest.category_id[result[near]] - 1
    counts = np.zeros((NUM_CATEGORIES, NUM_CATEGORIES + 1), int)
    np.add.at(counts, (items.category_id - 1, named), 1)
    return counts


def same_image(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P,), (P,) rows of every pair of one of the first (N,) and one of the second (M,) of equal image ids."""
    tables = (pd.DataFrame({"image": image_id}).reset_index() for image_id in (first, second))
    return tuple(pd.merge(*tables, on="image")[["index_x", "index_y"]].to_numpy().T)


OWN, DUPLICATE, WRONG_CATEGORY, BACKGROUND = "right item", "duplicate", "wrong category", "background"


@dataclass(frozen=True)
class Association:
    """What each result is, and who stands for each item."""

    kind: np.ndarray  # (D,) OWN, DUPLICATE, WRONG_CATEGORY or BACKGROUND
    item: np.ndarray  # (D,) row of the item that it stands for, or that it doubles; -1 without one
    result: np.ndarray  # (G,) row of the result that stands for the item (OWN or WRONG_CATEGORY); -1 missed
    oks: np.ndarray  # (D,) of an OWN result to its item; else 0


def associate(items: Instances, counted: np.ndarray, results: Predictions) -> Association:
    """Give results to items, but none to those outside the mask `counted` (G,), which the protocol does not count.

    A result fits an item of its own category from an OKS or a box IoU of NEAR. Pairs are joined one to one,
    the best OKS first (then the best IoU and score): these are OWN. Another result that fits such an item is
    a DUPLICATE. A remaining result whose box fits an item of another category has the WRONG_CATEGORY; the
    best scored one stands for the item where no result of the right category does. The rest is BACKGROUND.
    """
    countable = np.flatnonzero(counted)
    result, place = same_image(results.image_id, items.image_id[countable])
    item, score = countable[place], results.score[result]
    same = results.category_id[result] == items.category_id[item]
    overlap, oks = iou(results.bbox_xywh[result], items.bbox_xywh[item]), np.full(len(same), -1.0)
    oks[same] = oks_of_pairs(items, results.keypoints, item[same], result[same])
    pairs = pd.DataFrame({"result": result, "item": item, "oks": oks, "iou": overlap, "score": score})
    result_of, item_of = np.full(len(items), -1), np.full(len(results), -1)
    kind = np.full(len(results), BACKGROUND, dtype=object)

    fitting = pairs[same & ((oks >= NEAR) | (overlap >= NEAR))]
    fitting = fitting.sort_values(["oks", "iou", "score"], ascending=False, kind="stable")
    _join(fitting, result_of, item_of)
    kind[item_of >= 0] = OWN

    doubled = fitting[item_of[fitting["result"]] < 0].drop_duplicates("result")
    kind[doubled["result"]] = DUPLICATE

    other = pairs[~same & (overlap >= NEAR) & (kind[result] == BACKGROUND)]
    other = other.sort_values(["score", "iou"], ascending=False, kind="stable")
    kind[other["result"]] = WRONG_CATEGORY
    _join(other, result_of, item_of)
    item_of[doubled["result"]] = doubled["item"]
    fit, own = np.zeros(len(results)), np.flatnonzero(kind == OWN)
    fit[own] = oks_of_pairs(items, results.keypoints, item_of[own], own)
    return Association(kind, item_of, result_of, fit)


def _join(pairs: pd.DataFrame, result_of: np.ndarray, item_of: np.ndarray) -> None:
    """Join the pairs one to one in their order, leaving what is joined already; fills both maps."""
    for result, item in pairs[["result", "item"]].to_numpy().tolist():
        if result_of[item] < 0 and item_of[result] < 0:
            result_of[item], item_of[result] = result, item


def iou(first: np.ndarray, second: np.ndarray, *, crowd: np.ndarray | bool = False) -> np.ndarray:
    """(P,) intersection over union of boxes (P, 4) x, y, w, h, with a `crowd` over the first; 0 where that is 0."""
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=1)
    area = first[:, 2:].prod(axis=1)
    union = np.where(crowd, area, area + second[:, 2:].prod(axis=1) - common)
    return np.divide(common, union, out=np.zeros(len(common)), where=union > 0)
