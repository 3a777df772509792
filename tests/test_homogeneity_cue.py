"""kps.likeness.cues: what every distance obeys; the same place is near, whatever the size, another is far."""

from dataclasses import replace

import numpy as np
import pytest
from homogeneity_garments import SLING, SLINGS, VEST, VESTS, make_garments
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.files import InputError
from kps.likeness.contour import counterparts
from kps.likeness.cues import CROSS_PAIRS, Cue, align, cue, hellinger, position_distance
from kps.likeness.shapes import Shapes, category_shapes
from kps.schema import FLIP_INDICES, LANDMARK_CATEGORY, NUM_LANDMARKS

SQUARE = (NUM_LANDMARKS, NUM_LANDMARKS)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), unknown=st.floats(0, 0.9))
def test_any_matrix_becomes_a_distance(seed, unknown):
    rng = np.random.default_rng(seed)
    matrix = np.where(rng.random(SQUARE) < unknown, np.nan, rng.random(SQUARE))
    distance = cue("any", matrix, "").distance  # Cue itself checks symmetry, flip and bounds
    i, j = rng.integers(0, NUM_LANDMARKS, 2)
    if i != j:
        four = [matrix[i, j], matrix[j, i]]
        four += [matrix[FLIP_INDICES[i], FLIP_INDICES[j]], matrix[FLIP_INDICES[j], FLIP_INDICES[i]]]
        expected = np.nanmean(four) if np.isfinite(four).any() else np.nan
        assert distance[i, j] == pytest.approx(expected, nan_ok=True)
    assert np.isnan(np.diag(distance)).sum() == np.isnan(distance).all(0).sum()
    assert np.allclose(cue("any", distance, "").distance, distance, equal_nan=True), "it stays as it is"


@pytest.mark.parametrize(
    ("places", "value", "message"),
    [
        ([(0, 30)], 2.0, r"a distance in \[0, 1\], but got 2"),
        ([(5, 5)], 0.5, "no distance to itself"),
        ([(0, 30)], 0.5, "both ways"),
        ([(0, 30)], np.nan, "both ways"),
        ([(1, 30), (30, 1)], 0.5, r"when mirrored, but got 0\.5 between 'short sleeve top 2'"),
    ],
)
def test_what_is_no_distance_is_refused(places, value, message):
    distance = np.zeros(SQUARE)
    for place in places:
        distance[place] = value
    with pytest.raises(InputError, match=f"cue odd: expected .*{message}"):
        Cue("odd", distance, "")


def test_another_shape_is_refused():
    with pytest.raises(InputError, match=r"cue odd: expected distances of shape \(294, 294\), but got \(3, 3\)"):
        cue("odd", np.zeros((3, 3)), "")


def test_cross_pairs_are_each_pair_of_categories_once():
    row, column = CROSS_PAIRS
    assert (row < column).all() and (LANDMARK_CATEGORY[row] != LANDMARK_CATEGORY[column]).all()
    sizes = np.bincount(LANDMARK_CATEGORY)
    assert len(row) == (NUM_LANDMARKS**2 - (sizes**2).sum()) / 2


def vests_to_slings(change) -> np.ndarray:
    """(15, 15) distances of places after a change of the slings' keypoints (n, 15, 3)."""
    garments = make_garments()
    keypoints, slings = garments.keypoints.copy(), garments.category_id == SLING
    keypoints[slings, :15] = change(keypoints[slings, :15])
    shapes = category_shapes(replace(garments, keypoints=keypoints))
    return position_distance(shapes, counterparts(shapes))[VESTS, SLINGS]


def test_align_recovers_scale_and_shift():
    shapes = category_shapes(make_garments())
    mean = shapes.mean.copy()
    mean[SLING - 1] = mean[SLING - 1] * 1.5 + (0, 0.3)
    moved = Shapes(mean, shapes.covariance, shapes.count)
    placing = align(moved, VEST, SLING, np.eye(15))
    assert placing.scale == pytest.approx(1.5, rel=0.04)
    assert placing.shift == pytest.approx(0.3, abs=0.04)
    assert placing.misfit < 0.1
    back = align(moved, SLING, VEST, np.eye(15))
    assert back.scale * placing.scale == pytest.approx(1, rel=0.01)
    assert align(moved, VEST, SLING, np.zeros((15, 15)))[:2] == (1.0, 0.0), "no counterparts"


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.6])
def test_copies_of_another_size_and_place_are_near(scale):
    block = vests_to_slings(lambda slings: slings * (scale, scale, 1) + (30, 40, 0))
    assert np.diag(block).max() < 0.1
    assert np.median(block[~np.eye(15, dtype=bool)]) > 0.5


def test_permuted_landmarks_are_found_where_they_went():
    order = np.array([0, 2, 1, 3, 5, 4, 6, 9, 8, 7, 10, 13, 12, 11, 14])  # swaps 2/3, 5/6, 8/10 and 12/14
    block = vests_to_slings(lambda slings: slings[:, order])
    assert block[np.arange(15), order].mean() < block[np.arange(15), np.arange(15)].mean() / 1.5


def test_hellinger_of_known_gaussians():
    unit = np.eye(2)[None]
    found = hellinger(np.zeros((1, 2)), unit, np.array([[0.0, 0.0], [2.0, 0.0]]), np.concatenate([unit, unit]))
    assert found[0] == pytest.approx([0, np.sqrt(1 - np.exp(-0.5))], abs=1e-7)
