"""kps.likeness.grouping: what comes out is a valid map whatever distances come in."""

import numpy as np
import pytest
from grouping_cases import noisy_distance, random_distance, random_labels
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.aggregation import Aggregation
from kps.files import InputError
from kps.likeness.grouping import (
    FIRST,
    MAY_JOIN,
    NUM_ORBITS,
    ORBIT_CATEGORY,
    SELF_SYMMETRIC,
    collapse,
    expand,
    orbit_labels,
    symmetrised,
)
from kps.schema import CATEGORIES, FLIP_INDICES, NUM_LANDMARKS


def test_there_are_131_pairs_and_32_landmarks_on_the_axis():
    assert NUM_ORBITS == 163 and SELF_SYMMETRIC.sum() == 32 and (~SELF_SYMMETRIC).sum() == 131
    assert set(FIRST) | set(FLIP_INDICES[FIRST]) == set(range(NUM_LANDMARKS))
    assert not MAY_JOIN[ORBIT_CATEGORY[:, None] == ORBIT_CATEGORY].any()
    assert not MAY_JOIN[SELF_SYMMETRIC[:, None] != SELF_SYMMETRIC].any()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), unknown=st.sampled_from([0.0, 0.3, 1.0]))
def test_distances_of_orbits_obey_the_rules(seed, unknown):
    orbits = collapse(random_distance(seed, unknown=unknown))
    assert np.array_equal(orbits.distance, orbits.distance.T, equal_nan=True)
    assert not orbits.known[~MAY_JOIN].any()
    assert ((orbits.side == FIRST) | (orbits.side == FLIP_INDICES[FIRST])).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_any_labels_that_join_only_what_may_join_make_a_map(seed):
    labels = random_labels(seed)
    rng = np.random.default_rng(seed)
    side = np.where(rng.random(NUM_ORBITS) < 0.5, FIRST, FLIP_INDICES[FIRST])
    map_ = expand(labels, side)
    assert map_.num_groups == len(np.unique(labels)) + len(np.unique(labels[~SELF_SYMMETRIC]))
    same = orbit_labels(map_.group)
    assert np.array_equal(same[:, None] == same, labels[:, None] == labels)


def test_groups_are_numbered_by_their_first_landmark():
    map_ = expand(random_labels(1), FIRST)
    first = [np.flatnonzero(map_.group == group)[0] for group in range(map_.num_groups)]
    assert first == sorted(first)


def test_the_hand_map_comes_back_from_its_orbits():
    hand = Aggregation.named("hand81")
    apart = (hand.group[:, None] != hand.group).astype(float)
    assert expand(orbit_labels(hand.group), collapse(apart).side).num_groups == 81
    again = expand(orbit_labels(hand.group), collapse(apart).side).group
    assert np.array_equal(again[:, None] == again, hand.group[:, None] == hand.group)


def test_a_category_numbered_from_the_other_side_is_turned():
    hand = Aggregation.named("hand81")
    vest = CATEGORIES[4].slice
    group = hand.group.copy()
    group[vest] = hand.group[FLIP_INDICES][vest]  # left of a vest with right of the others: still a valid map
    planted = Aggregation(group)
    turned = collapse(noisy_distance(planted, seed=0)).side != FIRST
    outvoted = np.bincount(group)[group[FIRST]] > 2  # of two orbits either may turn
    expected = (ORBIT_CATEGORY == 5) & ~SELF_SYMMETRIC
    assert expected[outvoted].any() and np.array_equal(turned[outvoted], expected[outvoted])


def test_symmetrising_takes_what_is_known():
    distance = np.full((NUM_LANDMARKS,) * 2, np.nan)
    distance[1, 27] = 0.4
    mean = symmetrised(distance)
    pair = FLIP_INDICES[[1, 27]]
    assert mean[1, 27] == mean[27, 1] == mean[pair[0], pair[1]] == 0.4
    assert np.isfinite(mean).sum() == 4


@pytest.mark.parametrize(
    ("distance", "message"),
    [(np.zeros((3, 3)), r"shape \(294, 294\), but got \(3, 3\)"), (np.full((294, 294), 1.5), "but got 1.5")],
)
def test_other_arrays_are_refused(distance, message):
    with pytest.raises(InputError, match=message):
        collapse(distance)
