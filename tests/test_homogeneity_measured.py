"""kps.likeness.homogeneity and sigma: cues together, their weights, and files that come back."""

import json

import numpy as np
import pytest
from homogeneity_garments import SLING, VEST, make_garments

from kps.files import InputError
from kps.likeness.cues import Cue, cue, sigma_cue
from kps.likeness.homogeneity import WEIGHTS, Homogeneity, fuse, measure
from kps.schema import LANDMARK_CATEGORY, MAX_LANDMARKS, NUM_CATEGORIES, NUM_LANDMARKS, SIGMAS

SQUARE = (NUM_LANDMARKS, NUM_LANDMARKS)


@pytest.fixture(scope="module")
def garments(tmp_path_factory):
    return make_garments(tmp_path_factory.mktemp("garments"), noise=0.02)


def uniform(name: str, value: float) -> Cue:
    """A cue that calls all pairs equally far apart."""
    return cue(name, np.full(SQUARE, value), "the same for all")


def test_sigma_distance_is_half_for_twice_the_sigma():
    distance = sigma_cue().distance
    i, j = 0, int(np.argmin(np.abs(SIGMAS - 2 * SIGMAS[0])))
    assert distance[i, j] == pytest.approx(1 - SIGMAS[0] / SIGMAS[j])
    assert not np.diag(distance).any() and (distance >= 0).all() and (distance < 1).all()


def test_fused_is_the_weighted_geometric_mean_of_likenesses():
    cues = {"a": uniform("a", 0.19), "b": uniform("b", 0.5)}
    assert fuse(cues, {"a": 1.0, "b": 1.0})[0, 50] == pytest.approx(1 - np.sqrt(0.81 * 0.5))
    assert fuse(cues, {"a": 2.0, "b": 1.0})[0, 50] == pytest.approx(1 - (0.81**2 * 0.5) ** (1 / 3))
    assert fuse(cues, {"a": 1.0, "b": 0.0})[0, 50] == pytest.approx(0.19)


def test_an_unknown_cue_leaves_the_decision_to_the_others():
    unknown = np.full(SQUARE, 0.5)
    unknown[:25], unknown[:, :25] = np.nan, np.nan
    cues = {"a": uniform("a", 0.19), "b": cue("b", unknown, "")}
    fused = fuse(cues, {"a": 1.0, "b": 1.0})
    assert fused[0, 50] == pytest.approx(0.19) and fused[50, 100] == pytest.approx(1 - np.sqrt(0.405))
    assert np.isnan(fuse({"b": cues["b"]}, {"b": 1.0})[0, 50])


def test_a_table_alone_does_not_make_a_pair_known(garments):
    measured = measure(garments)
    unseen = ~np.isin(LANDMARK_CATEGORY, (VEST, SLING))
    assert np.isfinite(measured.cues["sigma"].distance).all()
    assert np.isnan(measured.fused[unseen]).all()


def test_no_cue_decides_alone():
    fused = fuse({"a": uniform("a", 1.0), "b": uniform("b", 0.0)}, {"a": 1.0, "b": 1.0})
    assert fused[0, 50] == pytest.approx(0.9)


def test_the_cues_of_annotations_are_measured(garments):
    measured = measure(garments)
    assert list(measured.cues) == ["position", "sigma", "contour"]
    assert measured.weights == {name: WEIGHTS[name] for name in measured.cues}
    known = np.isin(LANDMARK_CATEGORY, (VEST, SLING))
    assert np.isfinite(measured.fused[np.ix_(known, known)]).all()
    Cue("fused", measured.fused, "obeys the rules of a cue")
    assert all(each.meaning.endswith(".") for each in measured.cues.values())


def test_what_is_saved_is_read_back(tmp_path, garments):
    measured = measure(garments)
    measured.save(tmp_path / "h.json")
    loaded = Homogeneity.load(tmp_path / "h.json")
    assert loaded.weights == measured.weights and list(loaded.cues) == list(measured.cues)
    for name, each in measured.cues.items():
        assert np.allclose(loaded.cues[name].distance, each.distance, atol=1e-4, equal_nan=True)
        assert loaded.cues[name].meaning == each.meaning
    assert np.allclose(loaded.fused, measured.fused, atol=1e-4, equal_nan=True)
    assert np.allclose(loaded.shapes.covariance, measured.shapes.covariance, atol=1e-4, equal_nan=True)
    assert (loaded.shapes.count == measured.shapes.count).all()
    assert loaded.shapes.mean.shape == (NUM_CATEGORIES, MAX_LANDMARKS, 2)


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
def test_a_file_that_was_changed_is_refused(tmp_path, garments, change, message):
    path = tmp_path / "h.json"
    measure(garments).save(path)
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match=rf"h\.json: (expected )?{message}") as caught:
        Homogeneity.load(path)
    assert str(caught.value).count("h.json") == 1
