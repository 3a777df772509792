"""Who stands for whom, what kind of error a landmark is, and what it costs: all losses sum to 1 - AP."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import make_coco, make_predictions, together
from evaluation_cases import distinct_scores, perfect, random_case
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.data.coco import Coco
from kps.evaluation.causes import CAUSES, KINDS, MEAN, UNLABELLED, Causes, analyse_causes, landmark_errors
from kps.evaluation.matching import BACKGROUND, DUPLICATE, OWN, WRONG_CATEGORY, Association, associate, oks_of_pairs
from kps.evaluation.scores import evaluate
from kps.results.predictions import Predictions
from kps.schema import CATEGORIES, own_flip_indices, own_landmark_mask, own_sigmas

GARMENTS = (1, 8, 13)


def side_by_side(coco: Coco) -> Coco:
    """The photos' second half of garments beside their first half, 900 px to the right."""
    items, half = coco.instances, len(coco.images) // 2
    right = (np.arange(2 * half) >= half)[:, None] * 900
    items = replace(
        items,
        image_id=np.tile(np.arange(1, half + 1), 2),
        keypoints=items.keypoints + right[:, None] * [1, 0, 0],
        bbox_xywh=items.bbox_xywh + right * [1, 0, 0, 0],
    )
    return replace(coco, images=coco.images[:half], instances=items)


@pytest.fixture
def pair(tmp_path: Path) -> Coco:
    """A pair of trousers and a short sleeve top on one photo."""
    return side_by_side(make_coco(tmp_path, (8, 1)))


@pytest.fixture(scope="module")
def garments(tmp_path_factory: pytest.TempPathFactory) -> tuple[Coco, Predictions]:
    """24 photos with two garments, and perfect results with distinct scores."""
    coco = side_by_side(make_coco(tmp_path_factory.mktemp("garments"), GARMENTS * 16))
    return coco, distinct_scores(perfect(coco))


def moved(results: Predictions, pixels: float, *, box: float = 0, score: float = 0.5) -> Predictions:
    return replace(
        results,
        keypoints=results.keypoints + [pixels, 0, 0],
        bbox_xywh=results.bbox_xywh + [box, 0, 0, 0],
        score=np.full(len(results), score),
    )


def joined(pair: Coco, *parts: Predictions, counted: tuple[bool, bool] = (True, True)) -> Association:
    return associate(pair.instances, np.array(counted), together(*parts))


def test_the_best_fit_stands_for_an_item_not_the_best_score(pair: Coco) -> None:
    truth = perfect(pair).take([0])
    parts = moved(truth, 4, score=0.9), moved(truth, 1, score=0.2), moved(truth, 4000, box=4000)
    found = joined(pair, *parts)
    assert found.kind.tolist() == [DUPLICATE, OWN, BACKGROUND]
    assert found.item.tolist() == [0, 0, -1] and found.result.tolist() == [1, -1]


def test_a_box_that_fits_is_enough(pair: Coco) -> None:
    truth = perfect(pair).take([0])
    for box, kind in ((60, OWN), (70, BACKGROUND)):  # IoU of boxes 200 wide: 0.54 and 0.48
        assert joined(pair, moved(truth, 4000, box=box)).kind[0] == kind
    assert joined(pair, moved(truth, 0, box=4000)).kind[0] == OWN


def test_the_best_of_another_category_stands_for_an_item_without_its_own(pair: Coco) -> None:
    wrong = replace(perfect(pair), category_id=np.array([7, 7]))
    found = joined(pair, moved(wrong.take([0]), 0, score=0.1), moved(wrong.take([0]), 0, score=0.3))
    assert found.kind.tolist() == [WRONG_CATEGORY] * 2
    assert found.item.tolist() == [-1, 0] and found.result.tolist() == [1, -1]
    taken = joined(pair, perfect(pair), wrong)
    assert taken.kind.tolist() == [OWN, OWN, WRONG_CATEGORY, WRONG_CATEGORY]
    assert taken.item.tolist() == [0, 1, -1, -1]


def test_items_that_do_not_count_and_other_photos_get_nothing(pair: Coco) -> None:
    assert joined(pair, perfect(pair), counted=(False, True)).kind.tolist() == [BACKGROUND, OWN]
    elsewhere = replace(perfect(pair), image_id=np.array([2, 2]))
    assert (joined(pair, elsewhere).kind == BACKGROUND).all()


def distance(similarity: float, category_id: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(N, 39) px from the truth at which a landmark has this similarity."""
    return 2 * own_sigmas()[category_id - 1] * np.sqrt(-2 * np.log(similarity) * area[:, None])


def test_each_landmark_gets_its_kind(pair: Coco) -> None:
    items = pair.instances
    points = items.keypoints[:1, :, :2].copy()
    for landmark, similarity in ((1, 0.86), (2, 0.84), (3, 0.51)):
        points[0, landmark, 0] += distance(similarity, items.category_id, items.area)[0, landmark]
    points[0, 4] = 5000
    points[0, 5] = items.keypoints[0, 11, :2] + 1  # trousers 6 and 12 mirror each other
    points[0, 6] = items.keypoints[1, 20, :2] + 1
    found = landmark_errors(items, np.array([0]), points)[0]
    names = [KINDS[kind] for kind in found[:7]]
    assert names == ["good", "good", "jitter", "jitter", "miss", "inversion", "swap"]
    assert (found[14:] == UNLABELLED).all()

    far = landmark_errors(items, np.array([0]), items.keypoints[:1, :, :2] + 3000)[0]
    assert {KINDS[kind] for kind in far[:14]} == {"miss"}  # also on the axis, whose landmarks mirror themselves


def test_an_unlabelled_landmark_is_no_error_and_no_place_to_land_on(pair: Coco) -> None:
    keypoints = pair.instances.keypoints.copy()
    keypoints[0, [4, 11], 2], keypoints[1, :, 2] = 0, 0
    items = replace(pair.instances, keypoints=keypoints)
    points = keypoints[:1, :, :2].copy()
    points[0, 5], points[0, 6] = keypoints[0, 11, :2], keypoints[1, 20, :2]
    found = landmark_errors(items, np.array([0]), points)[0]
    assert found[4] == UNLABELLED and [KINDS[kind] for kind in found[5:7]] == ["miss", "miss"]


def with_points(coco: Coco, results: Predictions, points: np.ndarray) -> Predictions:
    """The results with other landmarks (48, 39, 2), confidences following the fit."""
    moved = np.concatenate([points, results.keypoints[:, :, 2:]], axis=2)
    rows = np.arange(len(moved))
    fit = oks_of_pairs(coco.instances, moved, rows, rows)
    return replace(results, keypoints=moved, score=fit - 1e-6 * results.score)


def shifted(coco: Coco, results: Predictions, similarity: float) -> Predictions:
    """Every landmark so far to the right that its similarity is as given."""
    step = distance(similarity, coco.instances.category_id, coco.instances.area)[:, :, None] * [1, 0]
    return with_points(coco, results, results.keypoints[:, :, :2] + step)


def with_copies(results: Predictions, every: int, **changes: np.ndarray) -> Predictions:
    """The results, and changed copies of some of them."""
    copies = replace(results, detection_id=results.detection_id + 100, **changes)
    return together(results, copies.take(np.arange(48) % every == 0))


def doubled(coco: Coco, results: Predictions) -> Predictions:
    return with_copies(results, 3, score=results.score - 1e-3)


def on_nothing(coco: Coco, results: Predictions) -> Predictions:
    box, points = results.bbox_xywh + [0, 5000, 0, 0], results.keypoints + [0, 5000, 0]
    return with_copies(results, 2, bbox_xywh=box, keypoints=points, score=results.score + 0.1)


def of_another_category(coco: Coco, results: Predictions) -> Predictions:
    kind = np.where((np.arange(48) % 5 == 0) & (results.category_id == 1), 8, results.category_id)
    return replace(results, category_id=kind, keypoints=results.keypoints * own_landmark_mask()[kind - 1][:, :, None])


def worse_one_leads(coco: Coco, results: Predictions) -> Predictions:
    return with_copies(results, 1, keypoints=shifted(coco, results, 0.72).keypoints, score=results.score + 1)


def far_off(coco: Coco, results: Predictions) -> Predictions:
    points = results.keypoints[:, :, :2].copy()
    points[::2, :3] += 9999
    return with_points(coco, results, points)


def on_the_other_garment(coco: Coco, results: Predictions) -> Predictions:
    points = results.keypoints[:, :, :2].copy()
    points[:24, :3] = results.keypoints[24:, :3, :2]
    return with_points(coco, results, points)


def mirrored(coco: Coco, results: Predictions) -> Predictions:
    points = results.keypoints[:, :, :2]
    flip = np.take_along_axis(points, own_flip_indices()[results.category_id - 1][:, :, None], axis=1)
    far = np.linalg.norm(points - flip, axis=2) > 80  # otherwise left and right are too near to be told apart
    return with_points(coco, results, np.where(far[:, :, None], flip, points))


INJECTED: dict[str, Callable[[Coco, Predictions], Predictions]] = {
    "missed box": lambda coco, results: results.take(np.arange(48) % 4 > 0),
    "duplicate": doubled,
    "background": on_nothing,
    "wrong category": of_another_category,
    "scoring": worse_one_leads,
    "miss": far_off,
    "swap": on_the_other_garment,
    "inversion": mirrored,
    "jitter": lambda coco, results: shifted(coco, results, 0.72),
    "small offset": lambda coco, results: shifted(coco, results, 0.92),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_an_error_is_found_under_its_cause_alone(garments, cause: str) -> None:
    coco, results = garments
    found = analyse_causes(coco, INJECTED[cause](coco, results))
    assert found.AP[MEAN] < 0.98
    expected = {name: pytest.approx(1 - found.AP[MEAN] if name == cause else 0, abs=1e-9) for name in CAUSES}
    assert found.loss[MEAN].to_dict() == expected
    shares = found.landmarks.loc[found.landmarks["labelled"] > 0, list(KINDS)]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    if cause in KINDS:
        assert shares[cause].max() > 0.4
        assert (shares.drop(columns=["good", cause]) == 0).all(axis=None)
    else:
        assert (shares["good"] == 1).all()


def test_perfect_results_lose_nothing(garments) -> None:
    found = analyse_causes(*garments)
    present = [CATEGORIES[kind - 1].name for kind in GARMENTS]
    np.testing.assert_allclose(found.AP[[MEAN, *present]], 1)
    np.testing.assert_allclose(found.loss[[MEAN, *present]], 0, atol=1e-12)
    assert found.loss.drop(columns=[MEAN, *present]).isna().all(axis=None)


def test_the_order_between_items_is_part_of_scoring(garments) -> None:
    coco, results = garments
    points = shifted(coco, results, 0.72).keypoints[:, :, :2]
    points[::2] = results.keypoints[::2, :, :2]
    ordered = with_points(coco, results, points)
    right, wrong = (analyse_causes(coco, replace(ordered, score=sign * ordered.score)) for sign in (1, -1))
    assert right.loss.loc["scoring", MEAN] == pytest.approx(0, abs=1e-12)
    assert right.AP[MEAN] - wrong.AP[MEAN] > 0.05
    assert wrong.loss.loc["scoring", MEAN] == pytest.approx(right.AP[MEAN] - wrong.AP[MEAN])
    assert wrong.loss.loc["jitter", MEAN] == pytest.approx(right.loss.loc["jitter", MEAN])


def sums_to_one(found: Causes) -> bool:
    total = found.AP + found.loss.sum(skipna=False)
    return np.allclose(total.dropna(), 1, atol=1e-12) and (total.isna() == found.AP.isna()).all()


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.booleans())
def test_losses_and_ap_sum_to_one(seed: int, visible_only: bool) -> None:
    coco, results = random_case(seed)
    found = analyse_causes(coco, results, visible_only=visible_only)
    scores = evaluate(coco, results, visible_only=visible_only)
    expected = [scores.AP, *scores.per_category.values()]
    np.testing.assert_allclose(found.AP, expected, rtol=0, atol=1e-9)
    assert sums_to_one(found)
    assert found.counts.drop(index="missed box").to_numpy().sum() <= len(results)


def test_without_results_every_box_is_missed(garments) -> None:
    found = analyse_causes(garments[0], make_predictions(0))
    assert found.loss.loc["missed box", MEAN] == 1 and sums_to_one(found)
    assert found.counts.loc["missed box"].sum() == 48
    assert (found.landmarks["labelled"] == 0).all()


def test_without_items_nothing_is_known(garments) -> None:
    coco, results = garments
    found = analyse_causes(replace(coco, instances=coco.instances.take(np.zeros(0, int))), results)
    assert found.AP.isna().all() and found.loss.isna().all(axis=None)
    assert found.counts.loc["background"].sum() == 48


def test_counts_name_what_each_result_is(garments) -> None:
    coco, results = garments
    double = analyse_causes(coco, doubled(coco, results)).counts
    assert double.loc["right item"].sum() == 48 and double.loc["duplicate"].sum() == 16
    wrong = analyse_causes(coco, of_another_category(coco, results)).counts
    assert wrong.loc["wrong category", "trousers"] > 0 and wrong.loc["missed box"].sum() == 0


def test_values_are_json_without_nan(garments) -> None:
    coco, results = garments
    value = json.loads(json.dumps(analyse_causes(coco, far_off(coco, results)).to_json(), allow_nan=False))
    assert value["AP"]["vest"] is None and list(value["loss"]) == list(CAUSES)
    assert value["counts"]["right item"]["trousers"] == 16 and len(value["landmarks"]) == 294
    first = {"category_id": 1, "category": "short sleeve top", "landmark": 1, "labelled": 16}
    assert value["landmarks"][0] == first | dict.fromkeys(KINDS, 0) | {"good": 0.5, "miss": 0.5}
