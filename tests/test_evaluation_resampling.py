"""Weighted images score as pycocotools scores them physically repeated."""

import numpy as np
import pytest
from evaluation_cases import as_list, boxes_of, distinct_scores, random_case, repeated, stock_scores
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.evaluation.intervals import resampled_scores
from kps.evaluation.matching import compare
from kps.evaluation.scores import evaluate_boxes, evaluate_landmarks

SEEDS = st.integers(0, 10**6)


def as_rows(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """(S, 17) in the order of `stock_scores`."""
    means = [precision.mean(2), precision[:, :, 0], precision[:, :, 5], recall.mean(2)]
    return np.column_stack([*(np.nanmean(values, axis=1) for values in means), means[0]])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(SEEDS)
def test_weights_of_one_give_the_scores_themselves(seed: int) -> None:
    coco, results = random_case(seed)
    ones = np.ones((2, len(coco.images)), np.uint16)
    for found, evaluate in ((results, evaluate_landmarks), (boxes_of(results), evaluate_boxes)):
        ours = as_rows(*resampled_scores(compare(coco, found), ones))
        expected = as_list(evaluate(coco, found))
        np.testing.assert_allclose(ours, [expected, expected], rtol=0, atol=1e-9)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(SEEDS, st.lists(st.integers(0, 3), min_size=6, max_size=6).filter(lambda times: sum(times[1:]) > 0))
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_weights_equal_stock_pycocotools_on_repeated_images(seed: int, times: list[int]) -> None:
    coco, results = random_case(seed)
    results = distinct_scores(results, seed=seed)
    copies, found = repeated(coco, results, np.array(times))
    for kind in (lambda rows: rows, boxes_of):
        ours = as_rows(*resampled_scores(compare(coco, kind(results)), np.array([times])))[0]
        np.testing.assert_allclose(ours, stock_scores(copies, kind(found)), rtol=0, atol=1e-9)


def test_ties_across_images_keep_the_order_of_repeated_images() -> None:
    coco, results = random_case(5)
    # One score an image: ties within an image would stand side by side here, interleaved among copies there.
    rank = distinct_scores(results).score
    results = results.take(np.unique(results.image_id * 100 + results.category_id, return_index=True)[1])
    results.score[:] = np.round(rank[: len(results)])
    times = np.array([1, 2, 0, 3, 1, 2])
    ours = as_rows(*resampled_scores(compare(coco, results), times[None]))[0]
    np.testing.assert_allclose(ours, stock_scores(*repeated(coco, results, times)), rtol=0, atol=1e-9)


def test_chunks_do_not_change_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    coco, results = random_case(2)
    weights = np.random.default_rng(0).integers(0, 4, (9, len(coco.images)))
    whole = resampled_scores(compare(coco, results), weights)
    monkeypatch.setattr("kps.evaluation.intervals.CELLS_AT_ONCE", 1)
    np.testing.assert_array_equal(whole, resampled_scores(compare(coco, results), weights))
