"""Accuracy on ground-truth boxes equals mmpose's, and the mean shape fits any box."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import make_coco
from evaluation_cases import perfect, random_case
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.data.coco import Instances
from kps.evaluation.matching import oks, similarity_at
from kps.evaluation.scores import auc, epe, landmark_accuracy, mean_shape, mean_shape_predictions, pck
from kps.files import InputError
from kps.results.detections import ground_truth_detections
from kps.schema import full_from_own, own_sigmas


def in_mmposes_form(items: Instances, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted and true places (N, 294, 2), and the mask (N, 294) of labelled landmarks."""
    truth = full_from_own(items.category_id, items.keypoints)
    return full_from_own(items.category_id, points)[:, :, :2], truth[:, :, :2], truth[:, :, 2] > 0


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_pck_equals_mmposes(seed: int) -> None:
    evaluation = pytest.importorskip("mmpose.evaluation.functional")
    coco, results = random_case(seed)
    items = coco.instances
    points = results.keypoints[: len(items)]
    places, truth, mask = in_mmposes_form(items, points)
    side = np.repeat(items.bbox_xywh[:, 2:].max(axis=1)[:, None], 2, axis=1)
    for threshold in (0.05, 0.2):
        _, expected, _ = evaluation.keypoint_pck_accuracy(places, truth, mask, threshold, side)
        if mask.any():
            assert pck(items, points, threshold) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 1.0, 10.0, 40.0]))
def test_auc_and_epe_equal_mmposes(seed: int, noise: float) -> None:
    evaluation = pytest.importorskip("mmpose.evaluation.functional")
    items = random_case(seed)[0].instances
    points = items.keypoints + np.random.default_rng(seed).normal(0, noise, items.keypoints.shape)
    points = np.round(points * 2) / 2  # many distances lie on a threshold
    places, truth, mask = in_mmposes_form(items, points)
    assert mask.any()
    assert auc(items, points) == pytest.approx(evaluation.keypoint_auc(places, truth, mask, 30), abs=1e-6)
    assert epe(items, points) == pytest.approx(evaluation.keypoint_epe(places, truth, mask), rel=1e-5)


def test_accuracies_without_labels_are_unknown() -> None:
    items = random_case(0)[0].instances.take(np.zeros(0, int))
    assert np.isnan([pck(items, items.keypoints, 0.2), auc(items, items.keypoints)]).all()
    assert np.isnan(epe(items, items.keypoints))


def test_accuracy_on_ground_truth_boxes_matches_by_annotation_id(tmp_path: Path) -> None:
    coco = make_coco(tmp_path)
    results = perfect(coco).take(np.arange(13)[::-1])
    accuracy = landmark_accuracy(coco, results)
    assert accuracy.mean_oks == pytest.approx(1) and accuracy.pck == {0.2: 1, 0.05: 1}
    assert accuracy.to_json() == {
        "mean_oks": 1.0,
        "PCK@0.2": 1.0,
        "PCK@0.05": 1.0,
        "AUC": pytest.approx(0.95),  # mmpose's first threshold is 0, which nothing passes
        "EPE": 0.0,
        "num_items": 13,
    }
    with pytest.raises(InputError, match="first annotation 13"):
        landmark_accuracy(coco, results.take(np.arange(1, 13)))
    with pytest.raises(InputError, match="annotation 1 is of another image or category"):
        landmark_accuracy(coco, replace(results, detection_id=results.detection_id[::-1].copy()))


def test_oks_follows_its_formula(tmp_path: Path) -> None:
    items = make_coco(tmp_path, (8,)).instances
    moved = items.keypoints.copy()
    moved[0, 3, 0] += 7
    alone = np.exp(-49 / (2 * (2 * own_sigmas()[7, 3]) ** 2 * items.area[0]))
    assert oks(items, moved)[0] == pytest.approx((13 + alone) / 14, abs=1e-12)
    squared = np.full((1, 39), 49.0)
    assert similarity_at(squared, items.category_id, items.area)[0, 3] == pytest.approx(alone, abs=1e-12)


def test_a_mean_shape_fits_boxes_of_any_place_and_size(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (8, 9))
    shape = mean_shape(coco)
    assert shape.shape == (13, 39, 2)
    assert (shape[0] == 0.5).all()  # no short sleeve top in the training set
    baseline = mean_shape_predictions(shape, ground_truth_detections(coco))
    assert landmark_accuracy(coco, baseline).mean_oks == pytest.approx(1)
    boxes = replace(ground_truth_detections(coco), bbox_xywh=np.tile([50.0, 20.0, 20.0, 60.0], (2, 1)))
    moved = mean_shape_predictions(shape, boxes).keypoints
    place = (coco.instances.keypoints[0, :14, :2] - [100, 50]) / [200, 300] * [20, 60] + [50, 20]
    np.testing.assert_allclose(moved[0, :14, :2], place)
    assert not moved[0, 14:].any()
