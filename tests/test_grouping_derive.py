"""Derived maps: valid for any distance, and the planted ones come back."""

from itertools import pairwise

import numpy as np
import pytest
from grouping_cases import noisy_distance, random_distance
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.aggregation import Aggregation
from kps.files import InputError
from kps.likeness.grouping import (
    SELF_SYMMETRIC,
    THRESHOLDS,
    adjusted_rand,
    choose_threshold,
    collapse,
    derive_map,
    merge_tree,
    pairwise_rand,
    random_map,
)
from kps.schema import FLIP_INDICES, LANDMARK_CATEGORY, MAX_LANDMARKS, NUM_LANDMARKS, own_landmark_mask

HAND = Aggregation.named("hand81")
distances = st.builds(
    random_distance,
    seed=st.integers(0, 10_000),
    unknown=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    skew=st.sampled_from([0.5, 1.0, 4.0]),
)


def assert_valid(map_: Aggregation) -> None:
    """The rules, asked of the group vector itself and of the data that go through the map."""
    for kind in range(1, 14):
        own = map_.group[kind == LANDMARK_CATEGORY]
        assert len(np.unique(own)) == len(own)
    same = map_.group[:, None] == map_.group
    assert np.array_equal(same, same[np.ix_(FLIP_INDICES, FLIP_INDICES)])
    kinds = np.arange(1, 14)
    landmarks = np.random.default_rng(0).normal(size=(13, MAX_LANDMARKS, 3)) * own_landmark_mask()[..., None]
    assert np.array_equal(map_.expand(kinds, map_.aggregate(kinds, landmarks)), landmarks)


@settings(max_examples=25, deadline=None)
@given(distance=distances, threshold=st.floats(0, 1))
def test_any_distance_gives_a_valid_map(distance, threshold):
    assert_valid(derive_map(distance, threshold))


def test_nothing_is_merged_at_threshold_zero_or_where_nothing_is_known():
    for distance, threshold in ((np.zeros((294, 294)), 0.0), (np.full((294, 294), np.nan), 1.0)):
        assert derive_map(distance, threshold).num_groups == NUM_LANDMARKS


@settings(max_examples=10, deadline=None)
@given(distance=distances)
def test_average_linkage_only_merges_further_as_the_threshold_rises(distance):
    tree = merge_tree(collapse(distance))
    labels = [tree.labels(threshold) for threshold in np.linspace(0, 1, 9)]
    for before, after in pairwise(labels):
        assert (after[:, None] == after)[before[:, None] == before].all()
    assert (np.diff(tree.linkage[:, 2]) >= -1e-12).all()


def test_average_linkage_cuts_below_the_threshold_not_at_it():
    tree = merge_tree(collapse(random_distance(3)))
    height = tree.linkage[0, 2]
    assert len(np.unique(tree.labels(height))) == 163
    assert len(np.unique(tree.labels(np.nextafter(height, 1)))) == 162


def test_planted_groups_come_back():
    assert adjusted_rand(derive_map(noisy_distance(HAND, seed=0), 0.5), HAND) == 1


def test_average_linkage_needs_no_order_along_the_outline():
    planted = random_map(HAND, 0)
    assert adjusted_rand(derive_map(noisy_distance(planted, seed=0), 0.5), planted) > 0.99


def test_a_landmark_on_the_axis_joins_only_such_landmarks():
    map_ = derive_map(np.zeros((294, 294)), 1.0)
    on_axis = np.arange(NUM_LANDMARKS) == FLIP_INDICES
    assert not set(map_.group[on_axis]) & set(map_.group[~on_axis])
    assert SELF_SYMMETRIC.sum() == on_axis.sum()


def test_a_family_runs_from_many_groups_to_few():
    distance = noisy_distance(HAND, seed=1)
    groups = [derive_map(distance, threshold).num_groups for threshold in sorted(THRESHOLDS)]
    assert groups[0] == max(groups) > 200 and groups[-1] == min(groups) < 81


def test_the_chosen_threshold_is_one_at_which_resamples_agree():
    replicates = [noisy_distance(HAND, seed=seed, noise=0.2) for seed in range(3)]
    choice = choose_threshold(replicates, (0.01, 0.1, 0.5, 1.0))
    assert choice.threshold == 0.5
    table = choice.table.set_index("threshold")
    assert np.isnan(table.loc[0.01, "stability"]), "maps that merge nothing say nothing"
    assert table.loc[0.5, "stability"] > table.loc[0.1, "stability"]


def test_a_few_sure_merges_are_no_choice_where_there_is_another():
    """Only two garments' merges are sure: below the others' noise all maps agree, but share little."""
    rng = np.random.default_rng(0)
    hand = Aggregation.named("hand81").group
    sure = (np.arange(294) < 25)[:, None] & (np.arange(294) < 64)
    together = hand[:, None] == hand
    replicates = []
    for _ in range(3):
        noise = rng.uniform(0.2, 0.4, (294, 294))
        replicates.append(np.where(together, np.where(sure | sure.T, 0.02, noise), 0.9))
    choice = choose_threshold(replicates, (0.1, 0.5))
    table = choice.table.set_index("threshold")
    assert choice.threshold == 0.5 and table.loc[0.1, "alone"] > 0.5
    assert choose_threshold(replicates, (0.1,)).threshold == 0.1, "the only one that there is"


def test_a_choice_needs_replicates_and_merges():
    with pytest.raises(InputError, match="at least 3 replicates"):
        choose_threshold([np.zeros((294, 294))] * 2)
    with pytest.raises(InputError, match="thresholds that merge something"):
        choose_threshold([np.ones((294, 294))] * 3, (0.0, 0.5))
    unknown = np.full((294, 294), np.nan)  # as of data of one category
    assert choose_threshold([unknown] * 3, required=False).threshold == 0
    alone = derive_map(unknown, 0)
    assert alone.num_groups == 294 and np.isnan(pairwise_rand([alone] * 3)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.2}, "threshold from 0 to 1, but got 1.2"),
        ({"threshold": float("nan")}, "threshold from 0 to 1, but got nan"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        derive_map(np.zeros((294, 294)), **options)
