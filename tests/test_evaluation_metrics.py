"""Our scores equal those of stock pycocotools on the 882 numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import REAL_SAMPLE, make_coco, needs_real_sample
from evaluation_cases import as_list, boxes_of, perfect, random_case, stock_scores
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.data.coco import Coco, load_coco
from kps.evaluation.scores import evaluate_boxes, evaluate_landmarks, mean_shape, mean_shape_predictions
from kps.files import InputError
from kps.results.detections import Detections, ground_truth_detections
from kps.results.predictions import Predictions, empty_predictions

SEEDS = st.integers(0, 10**6)
SCALES = st.sampled_from([1e-6, 0.01, 1, 1e3, 1e6])


def assert_same(coco: Coco, results: Predictions | Detections) -> None:
    ours = (evaluate_landmarks if isinstance(results, Predictions) else evaluate_boxes)(coco, results)
    np.testing.assert_allclose(as_list(ours), stock_scores(coco, results), rtol=0, atol=1e-9)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SEEDS, st.booleans())
def test_landmark_scores_equal_stock_pycocotools(seed: int, visible_only: bool) -> None:
    coco, results = random_case(seed)
    ours = evaluate_landmarks(coco, results, visible_only=visible_only)
    stock = stock_scores(coco.visible_only() if visible_only else coco, results)
    np.testing.assert_allclose(as_list(ours), stock, rtol=0, atol=1e-9)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(SEEDS, SCALES)
def test_scores_of_huge_and_tiny_garments_equal_stock_pycocotools(seed: int, scale: float) -> None:
    coco, results = random_case(seed, scale=scale)
    assert_same(coco, results)
    assert_same(coco, boxes_of(results))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(SEEDS)
def test_box_scores_equal_stock_pycocotools(seed: int) -> None:
    coco, results = random_case(seed)
    assert_same(coco, boxes_of(results))


def only(results: Predictions, rows: Any) -> Predictions:
    return results.take(np.asarray(rows))


@pytest.mark.parametrize(
    "change",
    [
        lambda coco, results: (coco, replace(results, score=np.full(len(results), 0.5))),
        lambda coco, results: (coco, replace(results, score=-results.score)),
        lambda coco, results: (coco, replace(results, keypoints=np.zeros_like(results.keypoints))),
        lambda coco, results: (coco, only(results, results.image_id == 1)),  # where nothing is annotated
        lambda coco, results: (coco, only(results, [0])),
        lambda coco, results: (all_at_zero(coco), results),
        lambda coco, results: (all_crowds(coco), results),
        lambda coco, results: (replace(coco, instances=coco.instances.take(np.zeros(0, int))), results),
        lambda coco, results: (replace(coco, images=coco.images[::-1]), results),
    ],
    ids=["tied scores", "negative scores", "results at zero", "empty image", "one result", "truth at zero",
         "only crowds", "no items", "images in another order"],
)  # fmt: skip
@pytest.mark.parametrize("seed", [1, 2])
def test_corners_equal_stock_pycocotools(change: Any, seed: int) -> None:
    coco, results = change(*random_case(seed))
    assert_same(coco, results)
    assert_same(coco, boxes_of(results))


def all_at_zero(coco: Coco) -> Coco:
    keypoints = coco.instances.keypoints * [0, 0, 1]
    return replace(coco, instances=replace(coco.instances, keypoints=keypoints))


def all_crowds(coco: Coco) -> Coco:
    everything = np.ones(len(coco.instances), bool)
    return replace(coco, instances=replace(coco.instances, iscrowd=everything))


@needs_real_sample
def test_scores_on_real_annotations_equal_stock_pycocotools() -> None:
    coco = load_coco(REAL_SAMPLE / "train_coco.json")
    results = mean_shape_predictions(mean_shape(coco), ground_truth_detections(coco))
    assert 0.2 < evaluate_landmarks(coco, results).AP < 0.5  # a shape without a look at the photo
    assert_same(coco, results)


def test_random_cases_are_not_trivial() -> None:
    coco, results = random_case(3)
    scores = evaluate_landmarks(coco, results)
    assert 0.05 < scores.AP < 0.95 and scores.AP50 > scores.AP75
    _, counts = np.unique(np.column_stack([results.image_id, results.category_id]), axis=0, return_counts=True)
    assert counts.max() > 20
    assert coco.instances.iscrowd.any() and (coco.instances.num_keypoints == 0).any()


def test_evaluation_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_landmarks(*random_case(0))
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == ""


def test_perfect_results_score_one_and_none_score_zero(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (1, 5, 9))
    results = perfect(coco)
    scores = evaluate_landmarks(coco, results)
    np.testing.assert_allclose([scores.AP, scores.AR], 1)
    assert scores.per_category[5] == pytest.approx(1) and np.isnan(scores.per_category[2])
    assert (scores.num_images, scores.num_items, scores.num_results) == (3, 3, 3)
    np.testing.assert_allclose(evaluate_boxes(coco, ground_truth_detections(coco)).AP, 1)
    assert evaluate_landmarks(coco, empty_predictions()).AP == 0


def test_only_the_categories_own_landmarks_count(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (8,))
    results = perfect(coco)
    results.keypoints[:, 14:] = 999  # trousers have 14
    np.testing.assert_allclose(evaluate_landmarks(coco, results).AP, 1)


def test_scores_are_json_without_nan(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (1,))
    value = evaluate_landmarks(coco, perfect(coco)).to_json()
    assert value["per_category"]["1"] == pytest.approx(1) and value["per_category"]["2"] is None
    assert set(value) == {
        "AP", "AP50", "AP75", "AR", "per_category", "num_images", "num_items", "num_results",
    }  # fmt: skip


def test_results_on_unknown_images_are_refused(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (1, 2))
    results = replace(perfect(coco), image_id=np.array([1, 77]))
    with pytest.raises(InputError, match="first row 1 with image id 77"):
        evaluate_landmarks(coco, results)
