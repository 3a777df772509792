"""Scores have known values on known maps; controls keep the rules and the sizes; names tell groups apart."""

from dataclasses import asdict
from itertools import combinations

import numpy as np
import pytest
from builders import make_coco
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.aggregation import Aggregation
from kps.files import InputError
from kps.likeness.grouping import adjusted_rand, pairwise_rand, placed, random_map, same_number, score, score_table
from kps.likeness.shapes import category_shapes
from kps.schema import FLIP_INDICES, LANDMARK_NAMES, NUM_LANDMARKS

HAND, IDENTITY = Aggregation.named("hand81"), Aggregation.named("identity")


def test_a_map_agrees_with_itself_under_any_numbering():
    order = np.random.default_rng(0).permutation(81)
    assert asdict(score(order[HAND.group], HAND)) == pytest.approx(
        {"num_groups": 81, "adjusted_rand": 1, "precision": 1, "recall": 1}
    )


def test_merging_nothing_scores_nothing():
    found = score(IDENTITY, HAND)
    assert found.adjusted_rand == 0 and found.recall == 0 and np.isnan(found.precision)
    assert adjusted_rand(IDENTITY, IDENTITY) == 1


def test_scores_count_each_decision_once():
    # Merging a pair and its mirror image is one decision; on the axis there is only one pair to begin with.
    reference = np.arange(NUM_LANDMARKS)
    reference[[25, 26]], reference[FLIP_INDICES[26]] = reference[[0, 1]], reference[FLIP_INDICES[1]]
    ours = np.arange(NUM_LANDMARKS)
    ours[26], ours[FLIP_INDICES[26]] = ours[1], ours[FLIP_INDICES[1]]
    found = score(ours, reference)
    assert found.precision == 1 and found.recall == 0.5


def test_the_adjusted_rand_index_is_the_textbook_one_when_all_decisions_count():
    """With every landmark pair counted, as in the project's notes, the trivial map has 0.38."""
    a, b = np.triu_indices(NUM_LANDMARKS, 1)
    ours, theirs = (group[a] == group[b] for group in (same_number(), HAND.group))
    expected = ours.sum() * theirs.sum() / len(a)
    index = ((ours & theirs).sum() - expected) / ((ours.sum() + theirs.sum()) / 2 - expected)
    assert index == pytest.approx(0.384, abs=0.001)
    assert adjusted_rand(same_number(), HAND) == pytest.approx(0.424, abs=0.001)
    assert len(np.unique(same_number())) == 39


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_random_maps_keep_the_sizes_and_know_nothing(seed):
    map_ = random_map(HAND, seed)
    assert sorted(np.bincount(map_.group)) == sorted(np.bincount(HAND.group))
    on_axis = np.arange(NUM_LANDMARKS) == FLIP_INDICES
    for part in (on_axis, ~on_axis):
        ours, theirs = (np.sort(np.unique(m.group[part], return_counts=True)[1]) for m in (map_, HAND))
        assert np.array_equal(ours, theirs)
    assert abs(adjusted_rand(map_, HAND)) < 0.25


def test_random_maps_differ_between_seeds_and_repeat_themselves():
    maps = [random_map(HAND, seed) for seed in range(4)]
    assert all(a != b for a, b in combinations(maps, 2))
    assert maps[1] == random_map(HAND, 1)
    assert pairwise_rand(maps).max() < 0.2
    assert random_map(IDENTITY, 0).num_groups == NUM_LANDMARKS


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match=r"shape \(294,\), but got \(3,\)"):
        score(np.zeros(3, int), HAND)


def test_the_table_holds_every_map_against_every_reference():
    table = score_table({"hand": HAND, "none": IDENTITY}, {"hand map": HAND, "identity": IDENTITY})
    assert table.loc["hand", ("", "groups")] == 81
    assert table.loc["hand", ("hand map", "adjusted_rand")] == 1
    assert table.loc["none", ("hand map", "recall")] == 0


def test_names_say_where_a_group_lies_and_stay_unique(tmp_path):
    shapes = category_shapes(make_coco(tmp_path, (5, 5, 13, 13)).instances)
    named = placed(HAND, shapes)
    assert named == HAND and len(set(named.names)) == 81
    # Group 1 is the middle of the neck; group 63 is of lower garments, which this data set does not have.
    assert named.names[0].startswith("centre, ") and named.names[0].endswith(HAND.names[0])
    assert named.names[62] == HAND.names[62]
    left, right = HAND.group[FLIP_INDICES[[129, 133]]]
    sides = {named.names[group].split(",")[0] for group in (left, right)}
    assert sides == {"left", "right"}
    assert HAND.names[0] == "short sleeve top 1 · sling dress 1 · +8"
    assert IDENTITY.names == LANDMARK_NAMES
