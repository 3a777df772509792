"""Bootstrap intervals mean what they say."""

import json
from dataclasses import replace

import numpy as np
import pytest
from builders import make_coco
from evaluation_cases import as_list, boxes_of, distinct_scores, perfect

from kps.data.coco import Coco
from kps.evaluation.intervals import bootstrap, paired_bootstrap
from kps.evaluation.scores import evaluate
from kps.files import InputError
from kps.results.predictions import Predictions


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Coco, Predictions]:
    """60 images with one item each of three categories; half of the results are far off."""
    coco = make_coco(tmp_path_factory.mktemp("many"), (1, 8, 13) * 20)
    results = distinct_scores(perfect(coco))
    results.keypoints[::2, :, :2] += 500
    return coco, results


def test_estimates_are_the_scores_and_lie_inside_their_intervals(many) -> None:
    for results in (many[1], boxes_of(many[1])):
        found, scores = bootstrap(many[0], results, samples=200), evaluate(many[0], results)
        intervals = [found.AP, found.AP50, found.AP75, found.AR, *found.per_category.values()]
        np.testing.assert_allclose([one.estimate for one in intervals], as_list(scores), atol=1e-9)
        assert all(one.low <= one.estimate <= one.high for one in intervals[:4])
    assert np.isnan(found.per_category[2].low) and found.num_images == 60


def test_the_standard_error_of_a_share_is_that_of_the_binomial(tmp_path) -> None:
    coco = make_coco(tmp_path, (8,) * 100)
    results = perfect(coco)
    results.keypoints[:40, :, :2] += 9999
    results.score[:40] = 0.1  # recall is 60 of 100 images
    found = bootstrap(coco, results, samples=2000, seed=3).AR
    assert found.estimate == pytest.approx(0.6)
    assert found.standard_error == pytest.approx(np.sqrt(0.6 * 0.4 / 100), rel=0.1)
    assert found.low == pytest.approx(0.6 - 1.96 * 0.049, abs=0.02)
    assert found.high == pytest.approx(0.6 + 1.96 * 0.049, abs=0.02)


def test_intervals_follow_the_seed(many) -> None:
    first, again, other = (bootstrap(*many, samples=20, seed=seed).AP for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("right", [0, 1])
def test_a_category_absent_from_a_half_widens_the_mean_but_does_not_move_it(tmp_path, right) -> None:
    coco = make_coco(tmp_path, (1,) * 9 + (2,))  # every other half lacks the tenth image
    results = perfect(coco)
    results.keypoints[:9] += 9999 * (right == 0)
    results.keypoints[9:] += 9999 * (right == 1)
    found = bootstrap(coco, results, samples=300)
    assert found.AP.estimate == pytest.approx(0.5)
    assert 0 <= found.AP.low < 0.1 and 0.9 < found.AP.high <= 1


def test_a_category_on_fewer_than_three_photos_has_no_interval(tmp_path) -> None:
    coco = make_coco(tmp_path, (1,) + (8,) * 2 + (13,) * 3)
    found = bootstrap(coco, perfect(coco), samples=50).per_category
    assert [found[key].estimate for key in (1, 8, 13)] == pytest.approx([1, 1, 1])
    assert np.isnan([found[1].low, found[1].high, found[8].low]).all()
    assert [found[13].low, found[13].high, found[13].standard_error] == pytest.approx([1, 1, 0], abs=1e-12)
    lone = make_coco(tmp_path / "lone", (1,))
    assert np.isnan(bootstrap(lone, perfect(lone), samples=50).AP.low), "one photo says nothing of others"


def test_an_interval_does_not_lean_upwards(tmp_path) -> None:
    """AP of few garments is too high, of fewer still higher: the interval reaches further down than up."""
    coco = make_coco(tmp_path, (1, 2, 3, 4) * 10)
    results = distinct_scores(perfect(coco), seed=1)
    results.keypoints[np.random.default_rng(0).random(40) < 0.6, :, :2] += 9999
    found = bootstrap(coco, results, samples=500).AP
    assert found.estimate - found.low > 1.2 * (found.high - found.estimate) > 0


def test_a_paired_difference_is_sharper_than_two_intervals(many) -> None:
    coco, first = many
    second = replace(first, keypoints=first.keypoints.copy())
    second.keypoints[0, :, :2] -= 500  # one more is right
    paired = paired_bootstrap(coco, first, second, samples=300)
    a, b = bootstrap(coco, first, samples=300), bootstrap(coco, second, samples=300)
    assert paired.AP.estimate == pytest.approx(b.AP.estimate - a.AP.estimate, abs=1e-12)
    assert paired.AP.estimate > 0 and paired.AP.high - paired.AP.low < 0.5 * (a.AP.high - a.AP.low)
    assert 0.4 < paired.AP.share_better < 0.9  # half of the halves hold the image
    assert paired.per_category[8].estimate == 0 and paired.per_category[8].share_better == 0
    turned = paired_bootstrap(coco, second, first, samples=300)
    assert turned.AP.estimate == -paired.AP.estimate and turned.AP.share_better == 0


def test_an_interval_over_seeds_holds_photos_and_seeds(many) -> None:
    """Equal seeds say what one says; seeds that differ widen the interval by their own variance."""
    coco, first = many

    def right(count: int) -> Predictions:
        """As many more right than `first`, on photos in turn."""
        moved = first.keypoints.copy()
        moved[: 2 * count : 2, :, :2] -= 500
        return replace(first, keypoints=moved)

    alone = paired_bootstrap(coco, first, right(4), samples=300).AP
    equal = paired_bootstrap(coco, [first] * 3, [right(4)] * 3, samples=300).AP
    assert vars(equal) == pytest.approx(vars(alone))
    seeds = [paired_bootstrap(coco, first, right(count), samples=300).AP.estimate for count in (1, 4, 10)]
    spread = paired_bootstrap(coco, [first] * 3, [right(count) for count in (1, 4, 10)], samples=300).AP
    assert spread.estimate == pytest.approx(np.mean(seeds))
    assert spread.standard_error > np.std(seeds, ddof=1) / np.sqrt(3)
    assert spread.high - spread.low > 2 * 1.97 * spread.standard_error, "three seeds are few: Student's quantile"
    with pytest.raises(InputError, match="as many seeds"):
        paired_bootstrap(coco, first, [first] * 2)


def test_values_are_json_without_nan(many) -> None:
    value = bootstrap(*many, samples=20).to_json()
    assert set(value["AP"]) == {"estimate", "low", "high", "standard_error"}
    assert value["per_category"]["2"]["low"] is None
    json.dumps(value, allow_nan=False)
    paired = paired_bootstrap(many[0], many[1], many[1], samples=20).to_json()
    assert paired["per_category"]["1"]["share_better"] == 0 and paired["samples"] == 20
    assert set(paired["AP"].values()) == {0}, "the same results do not differ"
    json.dumps(paired, allow_nan=False)


def test_senseless_requests_are_refused(many) -> None:
    coco, results = many
    with pytest.raises(InputError, match="at least 2 samples, but got 1"):
        bootstrap(coco, results, samples=1)
    with pytest.raises(InputError, match=r"got \['Predictions'\] and \['Detections'\]"):
        paired_bootstrap(coco, results, boxes_of(results))
