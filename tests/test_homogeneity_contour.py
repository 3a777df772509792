"""kps.likeness.contour: one side of a garment, and counterparts along two outlines."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from homogeneity_garments import SLING, SLING_DRESS, SLINGS, VEST, VEST_DRESS, VESTS, make_garments
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.likeness.contour import SKIP, alignment_probability, counterparts, half_outline, walk
from kps.likeness.shapes import Shapes, category_shapes
from kps.schema import CATEGORIES, FLIP_INDICES


@pytest.mark.parametrize("item", CATEGORIES, ids=lambda item: item.name)
def test_half_an_outline_and_its_mirror_image_are_the_whole(item):
    landmarks = half_outline(item)
    on_axis = item.flip_indices[landmarks] == landmarks
    assert on_axis.sum() == (item.flip_indices == np.arange(item.num_landmarks)).sum()
    assert set(landmarks) | set(item.flip_indices[landmarks]) == set(range(item.num_landmarks))
    assert len(landmarks) == len(item.flip_pairs) + on_axis.sum()


def test_outwear_keeps_its_front_edge_on_the_side_it_belongs_to():
    assert {3, 29, 30} <= set(half_outline(CATEGORIES[2]))  # 4, 30 and 31 in the figure, left of the opening


def test_strap_tops_are_ends_and_neck_sides_forks():
    landmarks, _, stars = walk(category_shapes(make_garments((SLING,))), CATEGORIES[SLING - 1])
    rays = dict(zip((landmarks - SLINGS.start).tolist(), map(len, stars), strict=True))
    assert rays[6] == 1 and rays[1] == 4 and rays[8] == 2


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 10**6))
def test_probability_is_the_share_of_all_alignments(rows, columns, seed):
    odds = np.random.default_rng(seed).uniform(0, 3, (rows, columns))
    expected, total = np.zeros_like(odds), 0.0
    for number in range(min(rows, columns) + 1):
        for chosen in combinations(np.ndindex(rows, columns), number):
            if all(a[0] < b[0] and a[1] < b[1] for a, b in combinations(chosen, 2)):  # in order in both
                weight = np.prod([odds[pair] for pair in chosen]) * SKIP ** (rows + columns - 2 * number)
                total += weight
                for pair in chosen:
                    expected[pair] += weight
    assert np.allclose(alignment_probability(odds), expected / total)


def vest(waist: float) -> np.ndarray:
    """(15, 2) a vest by hand: neck, shoulder, armpit, waist at a free height, hem."""
    left = {1: (0, -1), 2: (-0.3, -1), 3: (-0.2, -0.8), 4: (0, -0.7), 7: (-0.5, -0.95), 8: (-0.5, -0.4)}
    left |= {9: (-0.4, waist), 10: (-0.6, 1), 11: (0, 1)}
    item, shape = CATEGORIES[VEST - 1], np.zeros((15, 2))
    for number, place in left.items():
        shape[number - 1] = place
        shape[item.flip_indices[number - 1]] = (-place[0], place[1])
    return shape


def test_counterparts_are_found_along_the_outline():
    mean = np.full((13, 39, 2), np.nan)
    mean[VEST - 1, :15] = vest(waist=0.2)
    # Of the dress's 19 landmarks those below the waist are not labelled: the first nine walk like the vest's.
    mean[VEST_DRESS - 1, :9] = vest(waist=0.5)[:9]
    count = np.isfinite(mean[..., 0]).astype(int)
    probability = counterparts(Shapes(mean, np.full((13, 39, 2, 2), np.nan), count))
    block = probability[VESTS, CATEGORIES[VEST_DRESS - 1].slice]
    assert (block[[0, 1, 2, 3, 6, 7, 8], :9].argmax(1) == [0, 1, 2, 3, 6, 7, 8]).all()
    assert block[7, 7] > 0.5
    assert np.isnan(block[:, 9:]).all()


def test_probability_is_zero_across_the_axis_and_alike_in_the_mirror():
    probability = counterparts(category_shapes(make_garments()))
    block = probability[VESTS, SLINGS]
    left, right = np.array([1, 2, 6, 7, 8, 9]), np.array([5, 4, 14, 13, 12, 11])
    assert not block[np.ix_(left, right)].any() and not block[np.ix_(left, [0, 3, 10])].any()
    assert np.allclose(probability, probability[np.ix_(FLIP_INDICES, FLIP_INDICES)], equal_nan=True)
    assert np.allclose(probability, probability.T, equal_nan=True)
    assert (np.nansum(block, 1) <= 1 + 1e-9).all()


def test_size_and_place_do_not_matter_but_direction_does():
    shapes = category_shapes(make_garments((VEST_DRESS, SLING_DRESS)))
    one = counterparts(shapes)
    assert np.allclose(one, counterparts(replace(shapes, mean=shapes.mean * 3 + (0, 5))), equal_nan=True)
    turned = shapes.mean.copy()
    turned[SLING_DRESS - 1] *= (1, -1)
    assert np.nanmax(np.abs(one - counterparts(replace(shapes, mean=turned)))) > 0.2


def test_nothing_labelled_is_unknown():
    assert np.isnan(counterparts(category_shapes(make_garments().take(np.arange(0))))).all()
