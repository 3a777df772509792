"""kps.likeness.cues: what every distance obeys, and how it is made to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.files import InputError
from kps.likeness.cues import CROSS_PAIRS, Cue, cue
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


def test_what_is_a_distance_stays_as_it_is():
    once = cue("any", np.random.default_rng(0).random(SQUARE), "")
    assert np.allclose(cue("any", once.distance, "").distance, once.distance)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((0, 30), 2.0, r"a distance in \[0, 1\], but got 2"),
        ((5, 5), 0.5, "no distance to itself"),
        ((0, 30), 0.5, "both ways"),
        ((slice(None), slice(None)), np.triu(np.ones(SQUARE)), "both ways"),
    ],
)
def test_what_is_no_distance_is_refused(place, value, message):
    distance = np.zeros(SQUARE)
    distance[place] = value
    if message != "no distance to itself" and isinstance(place[0], slice):
        np.fill_diagonal(distance, 0)
    with pytest.raises(InputError, match=f"cue odd: expected .*{message}"):
        Cue("odd", distance, "")


def test_a_distance_that_changes_in_the_mirror_is_refused():
    distance = np.zeros(SQUARE)
    distance[1, 30] = distance[30, 1] = 0.5
    with pytest.raises(InputError, match=r"when mirrored, but got 0\.5 between 'short sleeve top 2'"):
        Cue("odd", distance, "")
    with pytest.raises(InputError, match="shape"):
        Cue("odd", np.zeros((3, 3)), "")


def test_cross_pairs_are_each_pair_of_categories_once():
    row, column = CROSS_PAIRS
    assert (row < column).all() and (LANDMARK_CATEGORY[row] != LANDMARK_CATEGORY[column]).all()
    sizes = np.bincount(LANDMARK_CATEGORY)
    assert len(row) == (NUM_LANDMARKS**2 - (sizes**2).sum()) / 2
