"""Our scores equal those of stock pycocotools on the 882 numbers, and the accuracies mean what they say."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import make_coco, make_predictions
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kps.coco import Coco, ImageRow, Instances, load_coco
from kps.detections import Detections, ground_truth_detections
from kps.errors import InputError
from kps.evaluation.metrics import (
    evaluate_boxes,
    evaluate_landmarks,
    landmark_accuracy,
    mean_shape,
    mean_shape_predictions,
    oks,
    pck,
)
from kps.predictions import Predictions, empty_predictions
from kps.schema import SIGMAS, full_from_own, own_landmark_mask, own_sigmas

REAL_SAMPLE = (
    Path(os.environ.get("KPS_REAL_SAMPLE", Path(__file__).parents[2] / "shared" / "deepfashion2" / "sample"))
    / "train_coco.json"
)


def random_case(seed: int, *, num_images: int = 6, num_items: int = 25) -> tuple[Coco, Predictions]:
    """Few images and categories, so that one image holds several items and more than 20 detections of a kind;
    crowds, items without landmarks, images without annotations, tied scores, perfect and far predictions."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(np.arange(1, 14), 3, replace=False)
    kind = rng.choice(kinds, num_items)
    box = np.column_stack([rng.uniform(0, 100, (num_items, 2)), rng.uniform(0, 200, (num_items, 2))])
    box[0, 2] = 0
    mask = own_landmark_mask()[kind - 1][:, :, None]
    visibility = rng.integers(0, 3, (num_items, 39, 1)) * rng.integers(0, 2, (num_items, 1, 1))
    place = box[:, None, :2] + rng.uniform(-0.1, 1.1, (num_items, 39, 2)) * box[:, None, 2:]
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
        attributes={},
        segmentation=tuple([] for _ in range(num_items)),
    )
    coco = Coco(
        Path("case.json"), tuple(ImageRow(i, f"{i}.jpg", 300, 300) for i in range(1, num_images + 1)), items
    )
    source = rng.integers(0, num_items, 10 * num_items)
    noise = rng.choice([0, 1, 5, 20, 400], (len(source), 1, 1)) * rng.normal(size=(len(source), 39, 2))
    points = np.concatenate([place[source] + noise, np.ones((len(source), 39, 1))], axis=2) * mask[source]
    moved = rng.random(len(source)) < 0.2  # on another image, often one without annotations
    results = make_predictions(
        len(source),
        image_id=np.where(moved, rng.integers(1, num_images + 1, len(source)), items.image_id[source]),
        category_id=kind[source],
        bbox_xywh=np.abs(box[source] + noise[:, 0, :1]),
        score=rng.integers(0, 8, len(source)) / 8,
        keypoints=points,
    )
    return coco, results


def stock_scores(
    coco: Coco, rows: list[dict[str, Any]], kind: str
) -> tuple[float, float, float, float, dict]:
    """AP, AP50, AP75, AR and AP per category by pycocotools as it is, with the official sigmas."""
    items = coco.instances
    full = full_from_own(items.category_id, items.keypoints).reshape(len(items), -1)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": row.id} for row in coco.images],
        "categories": [{"id": number} for number in range(1, 14)],
        "annotations": [
            {
                "id": int(items.annotation_id[i]),
                "image_id": int(items.image_id[i]),
                "category_id": int(items.category_id[i]),
                "bbox": items.bbox_xywh[i].tolist(),
                "area": float(items.area[i]),
                "iscrowd": int(items.iscrowd[i]),
                "num_keypoints": int(items.num_keypoints[i]),
                "keypoints": full[i].tolist(),
            }
            for i in range(len(items))
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(rows), kind)
        if kind == "keypoints":
            evaluation.params.kpt_oks_sigmas = SIGMAS
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = evaluation.stats[[0, 1, 2, 5 if kind == "keypoints" else 8]]
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    per_category = {
        i + 1: precision[:, :, i].mean() if precision[:, :, i].max() > -1 else float("nan") for i in range(13)
    }
    return (*np.where(stats == -1, np.nan, stats).tolist(), per_category)


def landmark_rows(results: Predictions) -> list[dict[str, Any]]:
    """Public rows without rounding."""
    full = full_from_own(results.category_id, results.keypoints).reshape(len(results), -1)
    return [
        {
            "image_id": int(results.image_id[i]),
            "category_id": int(results.category_id[i]),
            "keypoints": full[i].tolist(),
            "score": float(results.score[i]),
        }
        for i in range(len(results))
    ]


def assert_same(ours: Any, stock: tuple) -> None:
    got = [ours.AP, ours.AP50, ours.AP75, ours.AR, *ours.per_category.values()]
    np.testing.assert_allclose(got, [*stock[:4], *stock[4].values()], rtol=0, atol=1e-9)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.booleans())
def test_landmark_scores_equal_stock_pycocotools(seed: int, visible_only: bool) -> None:
    coco, results = random_case(seed)
    stock = stock_scores(coco.visible_only() if visible_only else coco, landmark_rows(results), "keypoints")
    assert_same(evaluate_landmarks(coco, results, visible_only=visible_only), stock)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_box_scores_equal_stock_pycocotools(seed: int) -> None:
    coco, results = random_case(seed)
    detections = Detections(
        results.detection_id, results.image_id, results.category_id, results.bbox_xywh, results.score
    )
    rows = [
        {"image_id": int(image), "category_id": int(kind), "bbox": box, "score": float(score)}
        for image, kind, box, score in zip(
            detections.image_id,
            detections.category_id,
            detections.bbox_xywh.tolist(),
            detections.score,
            strict=True,
        )
    ]
    assert_same(evaluate_boxes(coco, detections), stock_scores(coco, rows, "bbox"))


@pytest.mark.skipif(not REAL_SAMPLE.exists(), reason="the real sample is not here")
def test_scores_on_real_annotations_equal_stock_pycocotools() -> None:
    coco = load_coco(REAL_SAMPLE)
    results = mean_shape_predictions(mean_shape(coco), ground_truth_detections(coco))
    scores = evaluate_landmarks(coco, results)
    assert 0.2 < scores.AP < 0.5  # a shape without a look at the photo
    assert_same(scores, stock_scores(coco, landmark_rows(results), "keypoints"))


def test_random_cases_are_not_trivial() -> None:
    coco, results = random_case(3)
    scores = evaluate_landmarks(coco, results)
    assert 0.05 < scores.AP < 0.95 and scores.AP50 > scores.AP75
    _, counts = np.unique(
        np.column_stack([results.image_id, results.category_id]), axis=0, return_counts=True
    )
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


def test_oks_follows_its_formula(tmp_path: Path) -> None:
    items = make_coco(tmp_path, (8,)).instances
    moved = items.keypoints.copy()
    moved[0, 3, 0] += 7
    sigma = own_sigmas()[7, 3]
    expected = (13 + np.exp(-49 / (2 * (2 * sigma) ** 2 * items.area[0]))) / 14
    assert oks(items, moved)[0] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_pck_equals_mmposes(seed: int) -> None:
    evaluation = pytest.importorskip("mmpose.evaluation.functional")
    coco, results = random_case(seed)
    items = coco.instances
    points = results.keypoints[: len(items)]
    truth = full_from_own(items.category_id, items.keypoints)
    mask = truth[:, :, 2] > 0
    side = items.bbox_xywh[:, 2:].max(axis=1)
    for threshold in (0.05, 0.2):
        _, expected, _ = evaluation.keypoint_pck_accuracy(
            full_from_own(items.category_id, points)[:, :, :2],
            truth[:, :, :2],
            mask,
            threshold,
            np.repeat(side[:, None], 2, axis=1),
        )
        if mask.any():
            assert pck(items, points, threshold) == pytest.approx(expected, abs=1e-6)


def test_accuracy_on_ground_truth_boxes_matches_by_annotation_id(tmp_path: Path) -> None:
    coco = make_coco(tmp_path)
    results = perfect(coco).take(np.arange(13)[::-1])
    accuracy = landmark_accuracy(coco, results)
    assert accuracy.mean_oks == pytest.approx(1) and accuracy.pck == {0.2: 1, 0.05: 1}
    assert accuracy.to_json() == {"mean_oks": 1.0, "PCK@0.2": 1.0, "PCK@0.05": 1.0, "num_items": 13}
    with pytest.raises(InputError, match="first annotation 13"):
        landmark_accuracy(coco, results.take(np.arange(1, 13)))
    with pytest.raises(InputError, match="annotation 1 is of another image or category"):
        landmark_accuracy(coco, replace(results, detection_id=results.detection_id[::-1].copy()))


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


def perfect(coco: Coco) -> Predictions:
    """The ground truth as predictions."""
    items = coco.instances
    return Predictions(
        detection_id=items.annotation_id,
        image_id=items.image_id,
        category_id=items.category_id,
        bbox_xywh=items.bbox_xywh,
        bbox_score=np.ones(len(items)),
        score=np.ones(len(items)),
        keypoints=items.keypoints.copy(),
    )
