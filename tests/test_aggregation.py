"""Maps keep their constraints, and aggregate and expand are inverse on a category's landmarks."""

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kps.aggregation import Aggregation, categories_of_group, members
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


def test_two_landmarks_of_a_category_in_a_group_are_named() -> None:
    group = HAND.group.copy()
    group[1] = group[0]
    with pytest.raises(InputError, match="'short sleeve top 1' and 'short sleeve top 2' share group 1"):
        Aggregation(group)


def test_a_map_that_does_not_commute_with_the_flip_names_the_two_landmarks() -> None:
    group = np.arange(NUM_LANDMARKS)
    group[25 + 1] = group[1]  # long sleeve top 2 joins short sleeve top 2, but their mirrored ones stay apart
    group = np.unique(group, return_inverse=True)[1]
    with pytest.raises(InputError, match="'short sleeve top 2' and 'long sleeve top 2'"):
        Aggregation(group)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "object with a list of 294 groups"),
        ({"group": [1, 2]}, "294 integer groups"),
        ({"group": [0] * 294}, "integers from 1"),
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


def test_members_and_categories_of_a_group() -> None:
    assert len(members(HAND)) == 81 and sum(map(len, members(HAND))) == 294
    assert categories_of_group(HAND, 0).tolist() == [1, 2, 3, 4, 5, 6, 10, 11, 12, 13]


@pytest.mark.parametrize("name", ["hand81", "identity"])
def test_groups_are_named_by_their_first_and_last_landmark(name: str) -> None:
    aggregation = Aggregation.named(name)
    assert len(set(aggregation.names)) == aggregation.num_groups
    for landmarks, own in zip(members(aggregation), aggregation.names, strict=True):
        parts = own.split(" · ")
        assert parts[0] == LANDMARK_NAMES[landmarks[0]]
        assert len(landmarks) == 1 or parts[1] == LANDMARK_NAMES[landmarks[-1]]
        assert parts[2:] == ([f"+{len(landmarks) - 2}"] if len(landmarks) > 2 else [])


def test_the_generator_does_not_know_the_hand_map() -> None:
    """Its part names are a ground truth of their own only as long as nothing there reads the map."""
    package = REPOSITORY / "kps" / "synthetic"
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        assert not [name for name in names if "aggregation" in name or "grouping" in name], path.name
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not [text for text in texts if isinstance(text, str) and "aggregation" in text], path.name
