"""Our scores, of all items, of subsets and of weighted images, equal those of stock pycocotools on the 882 numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import REAL_SAMPLE, make_coco, make_predictions, needs_real_sample
from evaluation_cases import as_list, boxes_of, distinct_scores, perfect, random_case, repeated, stock_scores
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.data.coco import Coco, load_coco
from kps.evaluation.intervals import resampled_scores
from kps.evaluation.matching import compare, confusions, precision_at_recall
from kps.evaluation.scores import (
    ITEM_SUBSETS,
    SUBSETS,
    evaluate,
    evaluate_subsets,
    landmark_accuracy,
    mean_shape,
    mean_shape_predictions,
    pck,
    reliability,
)
from kps.files import InputError
from kps.results.detections import Detections, ground_truth_detections
from kps.results.predictions import Predictions, instance_score
from kps.schema import CATEGORIES, MAX_LANDMARKS, full_from_own

SEEDS = st.integers(0, 10**6)
SCALES = st.sampled_from([1, 1, 1, 1e-6, 0.01, 1e3, 1e6])  # of the smallest and largest, areas do not count


def some_examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, derandomize=True)


def assert_equal(ours: Any, stock: Any) -> None:
    np.testing.assert_allclose(ours, stock, rtol=0, atol=1e-9)


def assert_same(coco: Coco, results: Predictions | Detections) -> None:
    assert_equal(as_list(evaluate(coco, results)), stock_scores(coco, results))


@some_examples(30)
@given(SEEDS, SCALES, st.booleans())
def test_scores_equal_stock_pycocotools(seed: int, scale: float, visible_only: bool) -> None:
    coco, results = random_case(seed, scale=scale)
    ours = evaluate(coco, results, visible_only=visible_only)
    assert_equal(as_list(ours), stock_scores(coco.visible_only() if visible_only else coco, results))
    assert_same(coco, boxes_of(results))


def with_items(coco: Coco, **changes: np.ndarray) -> Coco:
    return replace(coco, instances=replace(coco.instances, **changes))


@pytest.mark.parametrize(
    "change",
    [
        lambda coco, results: (coco, replace(results, score=np.full(len(results), 0.5))),
        lambda coco, results: (coco, replace(results, score=-results.score)),
        lambda coco, results: (coco, replace(results, keypoints=np.zeros_like(results.keypoints))),
        lambda coco, results: (coco, results.take(results.image_id == 1)),  # where nothing is annotated
        lambda coco, results: (coco, results.take(np.array([0]))),
        lambda coco, results: (with_items(coco, keypoints=coco.instances.keypoints * [0, 0, 1]), results),
        lambda coco, results: (with_items(coco, iscrowd=np.ones(len(coco.instances), bool)), results),
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


@needs_real_sample
def test_scores_on_real_annotations_equal_stock_pycocotools() -> None:
    coco = load_coco(REAL_SAMPLE / "train_coco.json")
    results = mean_shape_predictions(mean_shape(coco), ground_truth_detections(coco))
    assert 0.2 < evaluate(coco, results).AP < 0.5  # a shape without a look at the photo
    assert_same(coco, results)


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_of_a_curve_is_the_ap(seed: int) -> None:
    coco, results = random_case(seed)
    recall = np.linspace(0, 1, 101)
    curves = [precision_at_recall(one, recall) for one in compare(coco, results).matches.values()]
    assert (np.diff(curves) <= 0).sum() > 0 and not (np.diff(curves) > 0).any()
    assert_equal(np.mean(curves, axis=(1, 2)), stock_scores(coco, results)[4:])


def test_confusions_count_each_garment_once(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (1, 1, 2, 9))
    found = perfect(coco).take(np.array([0, 0, 1, 2, 3]))
    found = replace(found, category_id=np.array([1, 5, 1, 4, 9]), score=np.array([0.5, 0.9, 0.8, 0.7, 0.05]))
    counts = confusions(coco, found, least_score=0.1)
    assert counts.shape == (13, 14) and counts.sum() == 4
    assert counts[0, 4] == counts[0, 0] == counts[1, 3] == counts[8, 13] == 1


def test_a_score_is_held_against_the_oks_it_came_to(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (8,) * 8)
    results = perfect(coco)
    results.score[:] = [0.25] * 4 + [0.95] * 3 + [0.5]  # of 0.5 there is one, of which no interval can be had
    results.keypoints[[0, 1, 4], :, :2] += 9999
    found = reliability(coco, results)
    assert found["results"].tolist() == [4, 3] and found["score"].tolist() == pytest.approx([0.25, 0.95])
    assert found["estimate"].tolist() == pytest.approx([0.5, 2 / 3])
    half = 1.96 * np.std([0, 0, 1, 1], ddof=1) / 2
    assert (found["high"] - found["estimate"]).iloc[0] == pytest.approx(half)


def test_random_cases_are_not_trivial_and_scored_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    coco, results = random_case(3)
    scores = evaluate(coco, results)
    assert 0.05 < scores.AP < 0.95 and scores.AP50 > scores.AP75
    _, counts = np.unique(np.column_stack([results.image_id, results.category_id]), axis=0, return_counts=True)
    assert counts.max() > 20
    assert coco.instances.iscrowd.any() and (coco.instances.num_keypoints == 0).any()
    assert capsys.readouterr() == ("", "")


def test_perfect_results_score_one_and_none_score_zero(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (1, 5, 8))
    results = perfect(coco)
    results.keypoints[2, 14:] = 999  # trousers have 14 landmarks: only those count
    scores = evaluate(coco, results)
    assert scores.to_json() == {
        **dict.fromkeys(("AP", "AP50", "AP75", "AR"), pytest.approx(1)),
        "per_category": {str(kind): pytest.approx(1) if kind in (1, 5, 8) else None for kind in range(1, 14)},
        **dict.fromkeys(("num_images", "num_items", "num_results"), 3),
    }
    np.testing.assert_allclose(evaluate(coco, ground_truth_detections(coco)).AP, 1)
    assert evaluate(coco, make_predictions(0)).AP == 0


def as_rows(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """(S, 17) in the order of `stock_scores`."""
    means = [precision.mean(2), precision[:, :, 0], precision[:, :, 5], recall.mean(2)]
    return np.column_stack([*(np.nanmean(values, axis=1) for values in means), means[0]])


@some_examples(20)
@given(SEEDS, st.lists(st.integers(0, 3), min_size=6, max_size=6).filter(lambda times: sum(times[1:]) > 0))
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_weights_equal_stock_pycocotools_on_repeated_images(seed: int, times: list[int]) -> None:
    coco, results = random_case(seed)
    results = distinct_scores(results, seed=seed)
    copies, found = repeated(coco, results, np.array(times))
    for kind in (lambda rows: rows, boxes_of):
        weights = np.array([times, [1] * 6])
        ours = as_rows(*resampled_scores(compare(coco, kind(results)), weights))
        assert_equal(ours, [stock_scores(copies, kind(found)), stock_scores(coco, kind(results))])


def test_ties_across_images_keep_the_order_of_repeated_images() -> None:
    coco, results = random_case(5)
    # One score an image: ties within an image would stand side by side here, interleaved among copies there.
    rank = distinct_scores(results).score
    results = results.take(np.unique(results.image_id * 100 + results.category_id, return_index=True)[1])
    results.score[:] = np.round(rank[: len(results)])
    times = np.array([1, 2, 0, 3, 1, 2])
    ours = as_rows(*resampled_scores(compare(coco, results), times[None]))[0]
    assert_equal(ours, stock_scores(*repeated(coco, results, times)))


def test_chunks_do_not_change_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    coco, results = random_case(2)
    weights = np.random.default_rng(0).integers(0, 4, (9, len(coco.images)))
    whole = resampled_scores(compare(coco, results), weights)
    monkeypatch.setattr("kps.evaluation.intervals.CELLS_AT_ONCE", 1)
    monkeypatch.setattr("kps.evaluation.matching.PAIRS_AT_ONCE", 1)
    np.testing.assert_array_equal(whole, resampled_scores(compare(coco, results), weights))


@pytest.mark.parametrize("by", SUBSETS)
@some_examples(3)
@given(SEEDS)
def test_subsets_equal_stock_pycocotools_with_other_items_ignored(by: str, seed: int) -> None:
    coco, results = random_case(seed, num_images=12)
    items, source = coco.instances, np.array([row.source for row in coco.images])
    for found in (results, boxes_of(results)):
        scores = evaluate_subsets(coco, found, by=by)
        assert list(scores) == list(ITEM_SUBSETS.get(by, ("shop", "user")))
        for value, (label, score) in enumerate(scores.items(), start=1):
            inside = np.ones(len(items), bool) if by == "source" else items.attributes[by] == value
            photos = coco.image_ids[source == label] if by == "source" else np.unique(items.image_id[inside])
            part, some = coco.subset(image_ids=photos), found.take(np.isin(found.image_id, photos))
            if len(some):
                ignored = ~inside[np.isin(items.image_id, photos)]
                assert_equal(as_list(score), stock_scores(part, some, ignored=ignored))
            assert score.num_images == len(photos) and score.num_results == len(some)


def test_a_result_on_an_item_of_another_subset_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (8, 8))
    coco = with_items(
        coco,
        image_id=np.array([1, 1]),
        keypoints=coco.instances.keypoints + [[[0, 0, 0]], [[300, 0, 0]]],
        attributes={"scale": np.array([1, 3])},
    )
    results = replace(perfect(coco), score=np.array([0.4, 0.9]))
    scores = evaluate_subsets(coco, results, by="scale")
    np.testing.assert_allclose([scores["small"].AP, scores["large"].AP], 1)
    assert (scores["small"].num_images, scores["small"].num_items) == (1, 1)
    assert np.isnan(scores["moderate"].AP) and scores["moderate"].num_images == 0
    nowhere = replace(results, keypoints=results.keypoints + [[[0, 0, 0]], [[5000, 0, 0]]])
    np.testing.assert_allclose(evaluate_subsets(coco, nowhere, by="scale")["small"].AP, 0.5)


def test_visible_only_reaches_the_subsets() -> None:
    coco, results = random_case(6)
    scores = evaluate_subsets(coco, results, by="viewpoint", visible_only=True)
    expected = evaluate_subsets(coco.visible_only(), results, by="viewpoint")
    assert as_list(scores["frontal"]) == pytest.approx(as_list(expected["frontal"]), nan_ok=True)


def test_senseless_subsets_are_refused(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (8,))
    unknown = with_items(coco, attributes={"scale": np.array([0])})
    for truth, image_id, by, says in (
        (coco, 1, "colour", "scale, occlusion, zoom_in, viewpoint, source, but got 'colour'"),
        (coco, 1, "source", "expected source to be known"),
        (unknown, 1, "scale", "expected scale to be known"),
        (coco, 77, "scale", "image id 77"),
    ):
        with pytest.raises(InputError, match=says):
            evaluate_subsets(truth, replace(perfect(coco), image_id=np.array([image_id])), by=by)


@some_examples(10)
@given(SEEDS)
def test_pck_equals_mmposes(seed: int) -> None:
    evaluation = pytest.importorskip("mmpose.evaluation.functional")
    coco, results = random_case(seed)
    items = coco.instances
    truth, found = (full_from_own(items.category_id, rows) for rows in (items.keypoints, results.keypoints[:25]))
    distance = np.linalg.norm((results.keypoints[:25] - items.keypoints)[:, :, :2], axis=2)
    side = np.repeat(items.bbox_xywh[:, 2:].max(axis=1)[:, None], 2, axis=1)
    mask = truth[:, :, 2] > 0
    for threshold in (0.05, 0.2):
        ours = pck(items, distance, threshold)
        places = found[:, :, :2], truth[:, :, :2]
        expected = evaluation.keypoint_pck_accuracy(*places, mask, threshold, side)[1] if mask.any() else np.nan
        assert ours == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_accuracy_on_ground_truth_boxes_matches_by_annotation_id(tmp_path: Path) -> None:
    coco = make_coco(tmp_path)
    results = perfect(coco).take(np.arange(13)[::-1])
    expected = {"mean_oks": pytest.approx(1), "PCK@0.2": 1, "PCK@0.05": 1, "EPE": 0, "num_items": 13}
    assert landmark_accuracy(coco, results) == expected
    away = replace(results, keypoints=results.keypoints + [3, 4, 0])
    assert landmark_accuracy(coco, away)["EPE"] == pytest.approx(5)
    without = replace(coco, instances=coco.instances.take(np.zeros(0, int)))
    nothing = landmark_accuracy(without, results)
    assert nothing.pop("num_items") == 0 and np.isnan(list(nothing.values())).all()
    with pytest.raises(InputError, match="but 1 have none, first annotation 13"):
        landmark_accuracy(coco, results.take(np.arange(1, 13)))
    with pytest.raises(InputError, match="annotation 1 is of another image or category"):
        landmark_accuracy(coco, replace(results, detection_id=results.detection_id[::-1].copy()))


def test_a_mean_shape_fits_boxes_of_any_place_and_size(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (8, 9))
    shape = mean_shape(coco)
    assert shape.shape == (13, 39, 2)
    assert (shape[0] == 0.5).all()  # no short sleeve top in the training set
    baseline = mean_shape_predictions(shape, ground_truth_detections(coco))
    assert landmark_accuracy(coco, baseline)["mean_oks"] == pytest.approx(1)
    boxes = replace(ground_truth_detections(coco), bbox_xywh=np.tile([50.0, 20.0, 20.0, 60.0], (2, 1)))
    moved = mean_shape_predictions(shape, boxes).keypoints
    place = (coco.instances.keypoints[0, :14, :2] - [100, 50]) / [200, 300] * [20, 60] + [50, 20]
    np.testing.assert_allclose(moved[0, :14, :2], place)
    assert not moved[0, 14:].any()


def test_an_instance_is_scored_by_its_box_and_its_own_landmarks() -> None:
    box, *confidence = np.random.default_rng(0).random((1 + MAX_LANDMARKS, 13))
    confidence = np.transpose(confidence)
    expected = []
    for item, row in zip(CATEGORIES, confidence, strict=True):
        expected.append(box[item.id - 1] * row[: item.num_landmarks].mean())
        row[item.num_landmarks :] = np.nan  # padding is not read
    np.testing.assert_allclose(instance_score(box, confidence, np.arange(1, 14)), expected)
