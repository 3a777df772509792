"""Who stands for whom, and what kind of error a landmark is."""

from dataclasses import replace

import numpy as np
import pytest
from builders import make_coco
from evaluation_cases import perfect

from kps.data.coco import Coco
from kps.evaluation.causes import KINDS, UNLABELLED, landmark_errors
from kps.evaluation.matching import BACKGROUND, DUPLICATE, OWN, WRONG_CATEGORY, associate
from kps.results.predictions import Predictions, concatenate
from kps.schema import own_sigmas


@pytest.fixture
def pair(tmp_path) -> Coco:
    """A pair of trousers and a short sleeve top, 900 px apart on one photo."""
    coco = make_coco(tmp_path, (8, 1))
    items = coco.instances
    return replace(
        coco,
        instances=replace(
            items,
            image_id=np.array([1, 1]),
            keypoints=items.keypoints + [[[0, 0, 0]], [[900, 0, 0]]],
            bbox_xywh=items.bbox_xywh + [[0, 0, 0, 0], [900, 0, 0, 0]],
        ),
    )


def moved(results: Predictions, pixels: float, *, box: float = 0, score: float = 0.5) -> Predictions:
    return replace(
        results,
        keypoints=results.keypoints + [pixels, 0, 0],
        bbox_xywh=results.bbox_xywh + [box, 0, 0, 0],
        score=np.full(len(results), score),
    )


def test_the_best_fit_stands_for_an_item_not_the_best_score(pair: Coco) -> None:
    truth = perfect(pair).take([0])
    results = concatenate([moved(truth, 4, score=0.9), moved(truth, 1, score=0.2), moved(truth, 4000, box=4000)])
    joined = associate(pair.instances, np.ones(2, bool), results)
    assert joined.kind.tolist() == [DUPLICATE, OWN, BACKGROUND]
    assert joined.item.tolist() == [0, 0, -1] and joined.result.tolist() == [1, -1]


def test_a_box_that_fits_is_enough(pair: Coco) -> None:
    truth = perfect(pair).take([0])
    for box, kind in ((60, OWN), (70, BACKGROUND)):  # IoU of boxes 200 wide: 0.54 and 0.48
        assert associate(pair.instances, np.ones(2, bool), moved(truth, 4000, box=box)).kind[0] == kind
    assert associate(pair.instances, np.ones(2, bool), moved(truth, 0, box=4000)).kind[0] == OWN


def test_the_best_of_another_category_stands_for_an_item_without_its_own(pair: Coco) -> None:
    wrong = replace(perfect(pair), category_id=np.array([7, 7]))
    results = concatenate([moved(wrong.take([0]), 0, score=0.1), moved(wrong.take([0]), 0, score=0.3)])
    joined = associate(pair.instances, np.ones(2, bool), results)
    assert joined.kind.tolist() == [WRONG_CATEGORY] * 2
    assert joined.item.tolist() == [-1, 0] and joined.result.tolist() == [1, -1]
    taken = associate(pair.instances, np.ones(2, bool), concatenate([perfect(pair), wrong]))
    assert taken.kind.tolist() == [OWN, OWN, WRONG_CATEGORY, WRONG_CATEGORY]
    assert taken.item.tolist() == [0, 1, -1, -1]


def test_items_that_do_not_count_and_other_photos_get_nothing(pair: Coco) -> None:
    truth = perfect(pair)
    assert associate(pair.instances, np.array([False, True]), truth).kind.tolist() == [BACKGROUND, OWN]
    elsewhere = replace(truth, image_id=np.array([2, 2]))
    assert (associate(pair.instances, np.ones(2, bool), elsewhere).kind == BACKGROUND).all()


def distance(similarity: float, landmark: int, area: float) -> float:
    """px from the truth at which a landmark of trousers has this similarity."""
    return 2 * own_sigmas()[7, landmark] * np.sqrt(-2 * np.log(similarity) * area)


def test_each_landmark_gets_its_kind(pair: Coco) -> None:
    items = pair.instances
    points = items.keypoints[:1, :, :2].copy()
    points[0, 1, 0] += distance(0.86, 1, items.area[0])
    points[0, 2, 0] += distance(0.84, 2, items.area[0])
    points[0, 3, 0] += distance(0.51, 3, items.area[0])
    points[0, 4] = 5000
    points[0, 5] = items.keypoints[0, 11, :2] + 1  # trousers 6 and 12 mirror each other
    points[0, 6] = items.keypoints[1, 20, :2] + 1
    found = landmark_errors(items, np.array([0]), points)[0]
    names = [KINDS[kind] for kind in found[:7]]
    assert names == ["good", "good", "jitter", "jitter", "miss", "inversion", "swap"]
    assert (found[14:] == UNLABELLED).all()


def test_an_unlabelled_landmark_is_no_error_and_no_place_to_land_on(pair: Coco) -> None:
    keypoints = pair.instances.keypoints.copy()
    keypoints[0, [4, 11], 2], keypoints[1, :, 2] = 0, 0
    items = replace(pair.instances, keypoints=keypoints)
    points = keypoints[:1, :, :2].copy()
    points[0, 5], points[0, 6] = keypoints[0, 11, :2], keypoints[1, 20, :2]
    found = landmark_errors(items, np.array([0]), points)[0]
    assert found[4] == UNLABELLED and [KINDS[kind] for kind in found[5:7]] == ["miss", "miss"]


def test_a_landmark_on_the_axis_cannot_be_inverted(pair: Coco) -> None:
    points = pair.instances.keypoints[:1, :, :2] + 3000
    assert {KINDS[kind] for kind in landmark_errors(pair.instances, np.array([0]), points)[0, :14]} == {"miss"}
