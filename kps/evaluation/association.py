"""Which item each result stands for, across categories: the ground on which errors are told apart.

The scorer matches anew at each threshold and within a category only. Here every result gets one item or none,
and every item one result or none.

Letters: D results, G items, P pairs of a result and an item on one image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kps.data.coco import Instances
from kps.evaluation.similarity import oks_of_pairs
from kps.results.predictions import Predictions

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
