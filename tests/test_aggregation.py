"""Maps keep their constraints, and aggregate and expand are inverse on a category's landmarks."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kps.aggregation import Aggregation, members
from kps.files import InputError, write_json
from kps.schema import LANDMARK_NAMES, MAX_LANDMARKS, NUM_LANDMARKS, own_landmark_mask
from kps.workspace import REPOSITORY

HAND = Aggregation.named("hand81")


def test_the_hand_map_has_81_groups_37_flip_pairs_and_7_fixed_groups() -> None:
    assert HAND.num_groups == 81
    fixed = np.flatnonzero(HAND.flip_indices == np.arange(81)) + 1
    assert fixed.tolist() == [1, 4, 47, 60, 64, 70, 79]
    assert np.array_equal(HAND.flip_indices[HAND.flip_indices], np.arange(81))


@pytest.mark.parametrize("name", ["hand81", "identity"])
@given(kinds=st.lists(st.integers(1, 13), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_expand_inverts_aggregate(name: str, kinds: list[int], seed: int) -> None:
    aggregation, kind = Aggregation.named(name), np.array(kinds)
    own = np.random.default_rng(seed).normal(size=(len(kind), MAX_LANDMARKS, 3))
    own *= own_landmark_mask()[kind - 1][:, :, None]
    grouped = aggregation.aggregate(kind, own)
    assert grouped.shape == (len(kind), aggregation.num_groups, 3)
    assert np.array_equal(aggregation.expand(kind, grouped), own)


def test_a_file_survives_the_round_trip(tmp_path: Path) -> None:
    HAND.save(tmp_path / "map.json")
    loaded = Aggregation.load(tmp_path / "map.json")
    assert loaded == HAND and loaded.names == HAND.names
    assert Aggregation.resolve(str(tmp_path / "map.json")) == HAND


@pytest.mark.parametrize(
    ("landmark", "joins", "message"),
    [
        (1, 0, "'short sleeve top 1' and 'short sleeve top 2' share group 1"),
        (26, 1, "'short sleeve top 2' and 'long sleeve top 2' of group 2 mirror into groups 6 and 30"),
    ],
)
def test_two_landmarks_that_break_a_rule_are_named(landmark: int, joins: int, message: str) -> None:
    group = np.arange(NUM_LANDMARKS)
    group[landmark] = joins
    with pytest.raises(InputError, match=message):
        Aggregation(np.unique(group, return_inverse=True)[1])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "object with a list of 294 groups"),
        ({"group": [1, 2]}, "294 integer groups"),
        ({"group": [0] * 294}, "integers from 1"),
        ({"group": [True] * 294}, "integers from 1"),
        ({"group": [*range(2, 296)]}, "every group from 1"),
        ({"group": [*range(1, 295)], "num_groups": 81}, "expected 81 groups, but got 294"),
        ({"group": [*range(1, 295)], "names": ["a"]}, "294 group names"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, value: object, message: str) -> None:
    path = tmp_path / "broken.json"
    write_json(path, value)
    with pytest.raises(InputError, match=message) as caught:
        Aggregation.load(path)
    assert str(path) in str(caught.value)


def test_an_unknown_name_is_taken_for_a_file_and_refused() -> None:
    with pytest.raises(InputError, match="no such file"):
        Aggregation.resolve("hand82")


def test_groups_are_named_by_their_first_and_last_landmark() -> None:
    assert HAND.names[0] == "short sleeve top 1 · sling dress 1 · +8"
    assert Aggregation.named("identity").names == LANDMARK_NAMES
    assert len(set(HAND.names)) == 81
    for landmarks, name in zip(members(HAND), HAND.names, strict=True):
        first, last = LANDMARK_NAMES[landmarks[0]], LANDMARK_NAMES[landmarks[-1]]
        assert name.startswith(f"{first} · {last}" if len(landmarks) > 1 else first)


def test_the_generator_does_not_know_the_hand_map() -> None:
    """Its part names are a ground truth of their own only as long as nothing there reads the map."""
    for path in (REPOSITORY / "kps" / "synthetic").rglob("*.py"):
        assert not re.search("aggregation|grouping", path.read_text()), path.name
