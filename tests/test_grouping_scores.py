"""Scores have known values on known maps; controls keep the rules and the sizes; names tell groups apart."""

from itertools import combinations

import numpy as np
import pytest
from homogeneity_garments import SLING_DRESS, VEST, make_garments
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.aggregation import Aggregation
from kps.files import InputError
from kps.likeness.grouping import adjusted_rand, pairwise_rand, placed, random_map, same_number, score, score_table
from kps.likeness.shapes import category_shapes
from kps.schema import FLIP_INDICES, NUM_LANDMARKS

HAND, IDENTITY = Aggregation.named("hand81"), Aggregation.named("identity")


def merging(*pairs: tuple[int, int]) -> np.ndarray:
    """(294,) group numbers that join pairs of landmarks and their mirror images."""
    group = np.arange(NUM_LANDMARKS)
    for a, b in pairs:
        group[a], group[FLIP_INDICES[a]] = group[b], group[FLIP_INDICES[b]]
    return group


@pytest.mark.parametrize(
    ("ours", "reference", "rand", "precision", "recall"),
    [
        (np.random.default_rng(0).permutation(81)[HAND.group], HAND, 1, 1, 1),  # under any numbering
        (IDENTITY, HAND, 0, np.nan, 0),
        (IDENTITY, IDENTITY, 1, np.nan, np.nan),
        (same_number(), HAND, 0.424, 0.343, 0.606),  # as docs/results.md has it
        # Merging a pair and its mirror image is one decision; on the axis there is only one pair to begin with.
        (merging((26, 1)), merging((25, 0), (26, 1)), 2 / 3, 1, 0.5),
    ],
)
def test_scores_of_known_maps(ours, reference, rand, precision, recall):
    expected = {"adjusted_rand": rand, "precision": precision, "recall": recall}
    assert score(ours, reference) == pytest.approx(expected, abs=5e-4, nan_ok=True)


@settings(max_examples=10, deadline=None)
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


def test_names_say_where_a_group_lies_and_stay_unique():
    shapes = category_shapes(make_garments((VEST, SLING_DRESS), each=2))
    named = placed(HAND, shapes)
    assert named == HAND and len(set(named.names)) == 81
    # Group 1 is the middle of the neck; group 63 is of lower garments, which this data set does not have.
    assert named.names[0].startswith("centre, ") and named.names[0].endswith(HAND.names[0])
    assert named.names[62] == HAND.names[62]
    left, right = HAND.group[FLIP_INDICES[[129, 133]]]
    sides = {named.names[group].split(",")[0] for group in (left, right)}
    assert sides == {"left", "right"}
