"""The audit lists every decision once, doubts what is far, and misses what is near."""

import numpy as np
from grouping_cases import noisy_distance

from kps.aggregation import Aggregation
from kps.likeness.audit import audit_merges, audit_missed
from kps.likeness.grouping import derive_map
from kps.schema import CATEGORIES, FLIP_INDICES, LANDMARK_CATEGORY, LANDMARK_NAMES

HAND = Aggregation.named("hand81")
SLING_2, SLING_DRESS_2 = (CATEGORIES[kind - 1].first_index + 1 for kind in (6, 13))


def moved(distance: np.ndarray, first: int, second: int, value: float) -> np.ndarray:
    """The same distances but for a pair and its mirror image."""
    distance = distance.copy()
    for a, b in ((first, second), tuple(FLIP_INDICES[[first, second]])):
        distance[a, b] = distance[b, a] = value
    return distance


def test_every_merge_is_listed_once():
    table = audit_merges(noisy_distance(HAND, seed=0), HAND)
    same = (HAND.group[:, None] == HAND.group) & (LANDMARK_CATEGORY[:, None] < LANDMARK_CATEGORY)
    pairs = set(zip(*np.nonzero(same), strict=True))
    listed = set(zip(table["index"], table["other_index"], strict=True))
    mirrored = {(FLIP_INDICES[a], FLIP_INDICES[b]) for a, b in listed}
    assert listed | mirrored == pairs and len(listed) == len(table)
    assert all((FLIP_INDICES[[a, b]] == (a, b)).all() for a, b in listed & mirrored), "each once"
    assert (table["group"] == HAND.group[table["index"]] + 1).all() and (table["group"] == table["other_group"]).all()
    assert table["doubt"].is_monotonic_decreasing and table["doubt"].between(0, 1).all()


def test_a_far_merge_is_doubted_first():
    distance = moved(noisy_distance(HAND, seed=0), SLING_2, SLING_DRESS_2, 1.0)
    derived = derive_map(distance, 0.5)
    first = audit_merges(distance, HAND, derived=derived).iloc[0]
    assert (first["landmark"], first["other"]) == ("sling 2", "sling dress 2")
    assert first["distance"] == 1 and first["doubt"] > 0.99 and not first["mutual"]
    assert first["derived_together"] == (derived.group[SLING_2] == derived.group[SLING_DRESS_2])


def test_a_near_pair_that_is_kept_apart_is_missed_first():
    skirt_hem, shorts_waist = CATEGORIES[8].first_index + 4, CATEGORIES[6].first_index
    distance = moved(noisy_distance(HAND, seed=0), shorts_waist, skirt_hem, 0.0)
    table = audit_missed(distance, HAND, derived=HAND)
    first = table.iloc[0]
    assert (first["landmark"], first["other"]) == (LANDMARK_NAMES[shorts_waist], LANDMARK_NAMES[skirt_hem])
    assert first["doubt"] == 1 and not first["derived_together"]
    assert not first["allowed"] and table["allowed"].any()  # the waists of shorts and skirt share a group already
    assert (table["group"] != table["other_group"]).all()


def test_unknown_pairs_are_left_out():
    distance = noisy_distance(HAND, seed=0)
    distance[LANDMARK_CATEGORY == 3], distance[:, LANDMARK_CATEGORY == 3] = np.nan, np.nan
    for table in (audit_merges(distance, HAND), audit_missed(distance, HAND)):
        assert len(table) and not (LANDMARK_CATEGORY[table["index"]] == 3).any()
    assert audit_merges(np.full((294, 294), np.nan), HAND).empty
