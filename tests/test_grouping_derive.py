"""Derived maps: valid for any distance, the planted ones come back, and a threshold is chosen by resamples."""

from itertools import pairwise

import numpy as np
import pytest
from grouping_cases import noisy_distance, random_distance
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.aggregation import Aggregation
from kps.files import InputError
from kps.likeness.grouping import (
    FIRST,
    MAY_JOIN,
    ORBIT_CATEGORY,
    SELF_SYMMETRIC,
    THRESHOLDS,
    adjusted_rand,
    choose_threshold,
    derive_map,
    derive_maps,
    expand,
    pairwise_rand,
    random_map,
)
from kps.schema import CATEGORIES, FLIP_INDICES, LANDMARK_CATEGORY, MAX_LANDMARKS, NUM_LANDMARKS, own_landmark_mask

HAND = Aggregation.named("hand81")
UNKNOWN = np.full((294, 294), np.nan)
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


def test_there_are_131_pairs_and_32_landmarks_on_the_axis():
    assert SELF_SYMMETRIC.sum() == 32 and (~SELF_SYMMETRIC).sum() == 131
    assert set(FIRST) | set(FLIP_INDICES[FIRST]) == set(range(NUM_LANDMARKS))
    assert not MAY_JOIN[ORBIT_CATEGORY[:, None] == ORBIT_CATEGORY].any()
    assert not MAY_JOIN[SELF_SYMMETRIC[:, None] != SELF_SYMMETRIC].any()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_labels_that_join_only_what_may_join_make_a_map(seed):
    rng, labels = np.random.default_rng(seed), np.arange(len(FIRST))
    for a, b in rng.integers(0, len(FIRST), (int(rng.integers(0, 400)), 2)):
        first, second = labels == labels[a], labels == labels[b]
        if MAY_JOIN[np.ix_(first, second)].all():
            labels[second] = labels[a]
    map_ = expand(labels, np.where(rng.random(len(FIRST)) < 0.5, FIRST, FLIP_INDICES[FIRST]))
    assert map_.num_groups == len(np.unique(labels)) + len(np.unique(labels[~SELF_SYMMETRIC]))
    same = np.minimum(map_.group, map_.flip_indices[map_.group])[FIRST]
    assert np.array_equal(same[:, None] == same, labels[:, None] == labels)
    first = np.unique(map_.group, return_index=True)[1]
    assert (np.diff(first) > 0).all(), "numbered by their first landmark"


@settings(max_examples=25, deadline=None)
@given(distance=distances, threshold=st.floats(0, 1))
def test_any_distance_gives_a_valid_map(distance, threshold):
    assert_valid(derive_map(distance, threshold))


@settings(max_examples=10, deadline=None)
@given(distance=distances)
def test_groups_only_grow_as_the_threshold_rises(distance):
    for before, after in pairwise(derive_maps(distance, np.linspace(0, 1, 9))):
        assert (after.group[:, None] == after.group)[before.group[:, None] == before.group].all()


def test_nothing_is_merged_at_threshold_zero_or_where_nothing_is_known():
    for distance, threshold in ((np.zeros((294, 294)), 0.0), (UNKNOWN, 1.0)):
        assert derive_map(distance, threshold).num_groups == NUM_LANDMARKS


def test_merges_are_those_below_the_threshold_not_at_it():
    distance = UNKNOWN.copy()
    distance[1, 26] = 0.5  # of one direction and side alone: what is known counts
    at, above = derive_maps(distance, [0.5, np.nextafter(0.5, 1)])
    assert at.num_groups == 294 and above.num_groups == 292
    assert above.group[1] == above.group[26] and above.group[FLIP_INDICES[1]] == above.group[FLIP_INDICES[26]]


def test_planted_groups_come_back():
    assert adjusted_rand(derive_map(noisy_distance(HAND, seed=0), 0.5), HAND) == 1
    planted = random_map(HAND, 0)  # in no order along the outline
    assert adjusted_rand(derive_map(noisy_distance(planted, seed=0), 0.5), planted) > 0.99


def test_a_category_numbered_from_the_other_side_is_turned():
    vest = CATEGORIES[4].slice
    group = HAND.group.copy()
    group[vest] = HAND.group[FLIP_INDICES][vest]  # left of a vest with right of the others: still a valid map
    planted = Aggregation(group)
    assert adjusted_rand(derive_map(noisy_distance(planted, seed=0), 0.5), planted) == 1


def test_a_landmark_on_the_axis_joins_only_such_landmarks():
    map_ = derive_map(np.zeros((294, 294)), 1.0)
    on_axis = np.arange(NUM_LANDMARKS) == FLIP_INDICES
    assert not set(map_.group[on_axis]) & set(map_.group[~on_axis])


def test_a_family_runs_from_many_groups_to_few():
    groups = [map_.num_groups for map_ in derive_maps(noisy_distance(HAND, seed=1), THRESHOLDS)]
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
    sure = (np.arange(294) < 25)[:, None] & (np.arange(294) < 64)
    together = HAND.group[:, None] == HAND.group
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
    assert choose_threshold([UNKNOWN] * 3, required=False).threshold == 0  # as of data of one category
    assert np.isnan(pairwise_rand([derive_map(UNKNOWN, 0)] * 3)).all()


@pytest.mark.parametrize(
    ("distance", "threshold", "message"),
    [
        (np.zeros((294, 294)), 1.2, "threshold from 0 to 1, but got 1.2"),
        (np.zeros((294, 294)), float("nan"), "threshold from 0 to 1, but got nan"),
        (np.zeros((3, 3)), 0.5, r"shape \(294, 294\), but got \(3, 3\)"),
        (np.full((294, 294), 1.5), 0.5, r"in \[0, 1\], but got 1\.5"),
        (np.where(np.arange(294**2).reshape(294, 294) == 30, 1.5, 0.0), 0.5, "but got 1.5 between"),  # 0 the other way
    ],
)
def test_what_cannot_be_grouped_is_refused(distance, threshold, message):
    with pytest.raises(InputError, match=message):
        derive_map(distance, threshold)
