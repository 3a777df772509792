"""kps.likeness.homogeneity: cues together, files that come back, agreement with a map and with other samples."""

import json

import numpy as np
import pytest
from homogeneity_garments import SLING, VEST, make_garments
from scipy.stats import mannwhitneyu

from kps.aggregation import Aggregation
from kps.files import InputError
from kps.likeness.cues import CROSS_PAIRS, Cue, cue
from kps.likeness.homogeneity import (
    WEIGHTS,
    Homogeneity,
    fuse,
    leave_one_out,
    measure,
    resampled,
    separation,
    split_half,
)
from kps.schema import LANDMARK_CATEGORY, NUM_LANDMARKS, SIGMAS

SQUARE = (NUM_LANDMARKS, NUM_LANDMARKS)
HAND = Aggregation.named("hand81")
APART = (HAND.group[:, None] != HAND.group).astype(float)
NOISE = np.random.default_rng(0).random(SQUARE)


@pytest.fixture(scope="module")
def measured() -> Homogeneity:
    return measure(make_garments(noise=0.02))


def uniform(value: float) -> Cue:
    """A cue that calls all pairs equally far apart."""
    return cue("uniform", np.full(SQUARE, value), "the same for all")


def test_fused_is_the_weighted_geometric_mean_of_likenesses():
    cues = {"a": uniform(0.19), "b": uniform(0.5)}
    assert fuse(cues, {"a": 1.0, "b": 1.0})[0, 50] == pytest.approx(1 - np.sqrt(0.81 * 0.5))
    assert fuse(cues, {"a": 2.0, "b": 1.0})[0, 50] == pytest.approx(1 - (0.81**2 * 0.5) ** (1 / 3))
    assert fuse(cues, {"a": 1.0, "b": 0.0})[0, 50] == pytest.approx(0.19)
    cues = {"a": uniform(1.0), "b": uniform(0.0)}
    assert fuse(cues, {"a": 1.0, "b": 1.0})[0, 50] == pytest.approx(0.9), "no cue decides alone"


def test_an_unknown_cue_leaves_the_decision_to_the_others():
    unknown = np.full(SQUARE, 0.5)
    unknown[:25], unknown[:, :25] = np.nan, np.nan
    cues = {"a": uniform(0.19), "b": cue("b", unknown, "")}
    fused = fuse(cues, {"a": 1.0, "b": 1.0})
    assert fused[0, 50] == pytest.approx(0.19) and fused[50, 100] == pytest.approx(1 - np.sqrt(0.405))
    assert np.isnan(fuse({"b": cues["b"]}, {"b": 1.0})[0, 50])


def test_the_cues_of_annotations_are_measured(measured):
    assert list(measured.cues) == ["position", "sigma", "contour"]
    assert measured.weights == {name: WEIGHTS[name] for name in measured.cues}
    assert all(each.meaning.endswith(".") for each in measured.cues.values())
    unseen = ~np.isin(LANDMARK_CATEGORY, (VEST, SLING))
    for distance in (measured.cues["position"].distance, measured.cues["contour"].distance, measured.fused):
        assert np.isnan(distance[unseen]).all() and np.isfinite(distance[np.ix_(~unseen, ~unseen)]).all()
    Cue("fused", measured.fused, "obeys the rules of a cue")


def test_sigma_distance_is_half_for_twice_the_sigma(measured):
    distance = measured.cues["sigma"].distance
    i, j = 0, int(np.argmin(np.abs(SIGMAS - 2 * SIGMAS[0])))
    assert distance[i, j] == pytest.approx(1 - SIGMAS[0] / SIGMAS[j])
    assert not np.diag(distance).any() and (distance >= 0).all() and (distance < 1).all()


def test_what_is_saved_is_read_back(tmp_path, measured):
    measured.save(tmp_path / "h.json")
    loaded = Homogeneity.load(tmp_path / "h.json")
    assert loaded.weights == measured.weights and list(loaded.cues) == list(measured.cues)
    for name, each in measured.cues.items():
        assert np.allclose(loaded.cues[name].distance, each.distance, atol=1e-4, equal_nan=True)
        assert loaded.cues[name].meaning == each.meaning
    assert np.allclose(loaded.fused, measured.fused, atol=1e-4, equal_nan=True)
    for name, value in vars(measured.shapes).items():
        assert np.allclose(vars(loaded.shapes)[name], value, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("text", ["{}", '{"mean": [[1]]}', "[]", '{"cues": {"a": 1}, "shapes": {"mean": [[1]]}}'])
def test_a_file_of_another_kind_is_refused(tmp_path, text):
    path = tmp_path / "h.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"h\.json: expected"):
        Homogeneity.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value["cues"]["sigma"]["distance"][0].__setitem__(40, 0.987), "cue sigma: .* both ways"),
        (lambda value: value["fused"][128].__setitem__(150, 3.0), r"cue fused: expected a distance in \[0, 1\]"),
        (lambda value: value["cues"]["sigma"].update(weight=-1), "a weight of at least 0 for cue 'sigma'"),
        (lambda value: value["cues"]["sigma"].update(distance=[1]), "cues sigma distance of shape"),
    ],
)
def test_a_file_that_was_changed_is_refused(tmp_path, measured, change, message):
    path = tmp_path / "h.json"
    measured.save(path)
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match=rf"h\.json: (expected )?{message}") as caught:
        Homogeneity.load(path)
    assert str(caught.value).count("h.json") == 1


def test_separation_is_perfect_for_its_own_map_and_unknown_for_none():
    assert separation(APART, HAND) == 1.0
    assert separation(1 - APART, HAND) == 0.0
    assert separation(NOISE, HAND) == pytest.approx(0.5, abs=0.05)
    assert np.isnan(separation(APART, Aggregation.named("identity")))


def test_separation_is_the_area_under_the_roc_curve():
    distance = NOISE.round(1)
    merged, likeness = APART[CROSS_PAIRS] == 0, -distance[CROSS_PAIRS]
    wins = mannwhitneyu(likeness[merged], likeness[~merged]).statistic
    assert separation(distance, HAND) == pytest.approx(wins / merged.sum() / (~merged).sum())


def test_leaving_out_the_only_good_cue_costs_everything(measured):
    cues = {"position": cue("position", APART, "the map itself"), "sigma": cue("sigma", NOISE, "noise")}
    of_cues = Homogeneity(measured.shapes, cues, WEIGHTS, fuse(cues, WEIGHTS))
    gain = leave_one_out(of_cues, lambda distance: separation(distance, HAND))
    assert gain["position"] > 0.4 and abs(gain["sigma"]) < 0.1


def test_a_bootstrap_sample_draws_photos_with_all_their_garments():
    garments = make_garments(each=20)
    garments.image_id[:] = np.arange(len(garments)) // 2  # two garments a photo
    sample = resampled(garments, 3)
    times = np.bincount(sample.annotation_id, minlength=len(garments) + 1)[1:]
    assert (times[::2] == times[1::2]).all()
    assert len(sample) == len(garments) and times.max() > 1 and times.min() == 0
    assert (resampled(garments, 3).annotation_id == sample.annotation_id).all()
    assert not np.array_equal(resampled(garments, 4).annotation_id, sample.annotation_id)


def test_two_halves_of_clean_data_agree():
    garments = make_garments(each=12, noise=0.02)
    agreement = split_half(garments, seed=1)
    assert agreement > 0.9 and split_half(garments, seed=1) == agreement
    assert np.isnan(split_half(garments.take(np.array([0]))))
