"""Average precision of many resamples of the images at once.

What a result is matched to depends on its own image alone, so matching happens once. A resample is a vector
of whole weights, how often each image was drawn, and changes only the counts behind precision and recall.

Letters: S resamples, I images, D results, K right results, T thresholds.
"""

from __future__ import annotations

import numpy as np

from kps.evaluation.average_precision import Matches, match
from kps.evaluation.protocol import Comparison
from kps.files import progress
from kps.schema import NUM_CATEGORIES

RECALL_STEPS = np.linspace(0, 1, 101)  # COCO's
CELLS_AT_ONCE = 4_000_000  # of (S, D): bounds the memory


def resampled_scores(comparison: Comparison, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AP and recall of each resample, category and threshold: two arrays (S, 13, T).

    Values are NaN where a resample holds no item of the category. Copies of an image stand next to each other
    in the order of equal scores, and so do copies of a result.

    Args:
        comparison: ground truth beside results.
        weights: (S, I) how often each image occurs, columns in the order of `comparison.image_ids`.
    """
    per_category = [
        weighted_average_precision(match(*comparison.of_category(category_id)), comparison.image_ids, weights)
        for category_id in progress(range(1, NUM_CATEGORIES + 1), desc="resampling", unit="garment kind")
    ]
    return np.stack([ap for ap, _ in per_category], axis=1), np.stack([ar for _, ar in per_category], axis=1)


def weighted_average_precision(
    matches: Matches, image_ids: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """AP and recall of one category: two arrays (S, T)."""
    order = np.argsort(image_ids)
    image = order[np.searchsorted(image_ids, matches.image_id, sorter=order)]
    item_image = order[np.searchsorted(image_ids, matches.item_image_id, sorter=order)]
    items_on = np.bincount(item_image, minlength=len(image_ids))
    at_once = max(CELLS_AT_ONCE // max(len(image), len(image_ids), 1), 1)
    parts = [
        _score_chunk(matches, image, weights[start : start + at_once], items_on)
        for start in range(0, len(weights), at_once)
    ]
    return np.concatenate([ap for ap, _ in parts]), np.concatenate([recall for _, recall in parts])


def _score_chunk(
    matches: Matches, image: np.ndarray, weights: np.ndarray, items_on: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(S, T) AP and recall, with image (D,) and items_on (I,) as columns of weights (S, I)."""
    num_items = (weights @ items_on.astype(float))[:, None]
    num_items[num_items == 0] = np.nan
    seen = np.cumsum(weights[:, image], axis=1, dtype=np.int32)
    shape = len(weights), len(matches.right)
    precision_area, recall = np.zeros(shape), np.zeros(shape)
    for t, (right, ignored) in enumerate(zip(matches.right, matches.ignored, strict=True)):
        places, passed = np.flatnonzero(right), np.flatnonzero(ignored)
        if len(places) == 0:
            continue
        hits = np.cumsum(weights[:, image[places]], axis=1, dtype=np.int32)
        ignored_before = np.zeros((len(weights), len(passed) + 1), dtype=np.int32)
        np.cumsum(weights[:, image[passed]], axis=1, out=ignored_before[:, 1:])
        counted = seen[:, places] - ignored_before[:, np.searchsorted(passed, places)]
        precision_area[:, t] = _area(hits, counted, num_items)
        recall[:, t] = hits[:, -1]
    nothing = np.where(np.isnan(num_items), np.nan, 0)
    return precision_area + nothing, recall / num_items


def _area(hits: np.ndarray, counted: np.ndarray, num_items: np.ndarray) -> np.ndarray:
    """(S,) area under COCO's curve from right (S, K) and counted (S, K) results up to each right one.

    Precision need only be known at right results: it falls between them, and COCO's curve is its running
    maximum from the right, read at 101 recalls. Each right result is worth the recalls that it newly reaches.
    """
    precision = hits / (counted + np.spacing(1))
    best_to_come = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALL_STEPS, hits / num_items, side="right")
    gained = np.diff(reached, axis=1, prepend=0)
    return (best_to_come * gained).sum(axis=1) / len(RECALL_STEPS)
