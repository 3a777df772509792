"""The landmark table agrees with the data set's released figures and with itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kps.files import InputError
from kps.schema import (
    CATEGORIES,
    FLIP_INDICES,
    LANDMARK_NAMES,
    MAX_LANDMARKS,
    NUM_LANDMARKS,
    SIGMAS,
    Category,
    category,
    full_from_own,
    own_landmark_mask,
    own_sigmas,
)


def test_the_released_counts() -> None:
    assert [c.num_landmarks for c in CATEGORIES] == [25, 33, 31, 39, 15, 15, 10, 14, 8, 29, 37, 19, 19]
    assert (NUM_LANDMARKS, MAX_LANDMARKS, len(LANDMARK_NAMES), len(SIGMAS)) == (294, 39, 294, 294)


def test_flip_is_an_involution_inside_each_category_with_131_pairs() -> None:
    assert np.array_equal(FLIP_INDICES[FLIP_INDICES], np.arange(NUM_LANDMARKS))
    assert (np.arange(NUM_LANDMARKS) != FLIP_INDICES).sum() == 2 * 131
    for item in CATEGORIES:
        flipped = FLIP_INDICES[item.slice]
        assert flipped.min() >= item.slice.start and flipped.max() < item.slice.stop


def test_sigmas_are_equal_within_flip_pairs_but_for_the_one_known_pair() -> None:
    unequal = np.flatnonzero(SIGMAS[FLIP_INDICES] != SIGMAS)
    assert [LANDMARK_NAMES[i] for i in unequal] == ["long sleeve dress 15", "long sleeve dress 29"]


def test_short_sleeve_outwear_pairs_follow_the_sigmas() -> None:
    assert {(2, 6), (4, 26)} <= set(category(3).flip_pairs)


def test_every_outline_is_connected_and_names_landmarks_that_exist() -> None:
    for item in CATEGORIES:
        reached = {1}
        for _ in item.outline_links:
            reached |= {b for a, b in item.outline_links if a in reached}
            reached |= {a for a, b in item.outline_links if b in reached}
        assert reached == set(range(1, item.num_landmarks + 1)), item.name


@pytest.mark.parametrize("wrong", [0, 14, -1, 1.0, "1", None, True])
def test_an_unknown_category_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="category id from 1 to 13"):
        category(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("item", CATEGORIES, ids=lambda item: item.name)
def test_a_category_is_known_by_any_spelling_of_its_name(item: Category) -> None:
    for name in (item.name, item.coco_name, item.name.title(), item.coco_name.upper() + " "):
        assert Category.named(name) is item
    assert Category.named(item.name + " 2nd") is None


@given(st.lists(st.integers(1, 13), min_size=1, max_size=20), st.integers(0, 1000))
def test_the_full_vector_holds_the_own_landmarks_and_zeros(kinds: list[int], seed: int) -> None:
    kind = np.array(kinds)
    own = np.random.default_rng(seed).normal(size=(len(kind), MAX_LANDMARKS, 3))
    own *= own_landmark_mask()[kind - 1][:, :, None]
    full = full_from_own(kind, own)
    for row, number in enumerate(kinds):
        item = category(number)
        assert np.array_equal(full[row, item.slice], own[row, : item.num_landmarks])
    assert (full != 0).any(axis=2).sum() == own_landmark_mask()[kind - 1].sum()


def test_own_sigmas_follow_the_category() -> None:
    assert own_sigmas()[12, 18] == SIGMAS[293]
    assert own_sigmas()[8, 7] == SIGMAS[category(9).first_index + 7]
