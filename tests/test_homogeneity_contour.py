"""kps.likeness.contour and outline: one side of a garment, and counterparts along two outlines."""

from itertools import combinations

import numpy as np
import pytest
from homogeneity_garments import SLING, SLING_DRESS, VEST, VEST_DRESS, make_garments
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.likeness.contour import SKIP, alignment_probability, counterparts, half_outline
from kps.likeness.cues import contour_cue
from kps.likeness.shapes import Shapes, category_shapes
from kps.schema import CATEGORIES, FLIP_INDICES, LANDMARK_CATEGORY

VESTS, SLINGS = CATEGORIES[VEST - 1].slice, CATEGORIES[SLING - 1].slice


@pytest.mark.parametrize("item", CATEGORIES, ids=lambda item: item.name)
def test_half_an_outline_and_its_mirror_image_are_the_whole(item):
    outline = half_outline(item.id)
    assert outline.on_axis.sum() == (item.flip_indices == np.arange(item.num_landmarks)).sum()
    both = set(outline.landmarks) | set(item.flip_indices[outline.landmarks])
    assert both == set(range(item.num_landmarks))
    assert len(outline.landmarks) == len(item.flip_pairs) + outline.on_axis.sum()


def test_outwear_keeps_its_front_edge_on_the_side_it_belongs_to():
    assert {3, 29, 30} <= set(half_outline(3).landmarks)  # 4, 30 and 31 in the figure, left of the opening


def test_strap_tops_are_ends_and_neck_sides_forks():
    sling = half_outline(SLING)
    number = {int(landmark): len(linked) for landmark, linked in zip(sling.landmarks, sling.neighbours, strict=True)}
    assert number[6] == 1 and number[1] == 4 and number[8] == 2


def every_alignment(odds, pairs=()):
    """Yield the weight and pairs of all alignments in order: sets of pairs that ascend in both."""
    rows, columns = odds.shape
    cells = [(i, j) for i in range(rows) for j in range(columns)]
    for number in range(min(rows, columns) + 1):
        for chosen in combinations(cells, number):
            if all(a[0] < b[0] and a[1] < b[1] for a, b in combinations(chosen, 2)):
                yield np.prod([odds[c] for c in chosen]) * SKIP ** (rows + columns - 2 * number), chosen


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 10**6))
def test_probability_is_the_share_of_all_alignments(rows, columns, seed):
    odds = np.random.default_rng(seed).uniform(0, 3, (rows, columns))
    expected, total = np.zeros_like(odds), 0.0
    for weight, pairs in every_alignment(odds):
        total += weight
        for pair in pairs:
            expected[pair] += weight
    assert np.allclose(alignment_probability(odds), expected / total)


def garment(kind: int, *, waist: float) -> np.ndarray:
    """A vest or sling by hand: neck, shoulder, armpit, waist, hem; the waist's height is free."""
    left = {1: (0, -1), 2: (-0.3, -1), 3: (-0.2, -0.8), 4: (0, -0.7), 7: (-0.5, -0.95), 8: (-0.5, -0.4)}
    left |= {9: (-0.4, waist), 10: (-0.6, 1), 11: (0, 1)}
    item, shape = CATEGORIES[kind - 1], np.zeros((15, 2))
    for number, place in left.items():
        shape[number - 1] = place
        shape[item.flip_indices[number - 1]] = (-place[0], place[1])
    return shape


def test_counterparts_are_found_along_the_outline():
    mean = np.full((13, 39, 2), np.nan)
    count = np.zeros((13, 39), int)
    for kind, waist in ((VEST, 0.2), (VEST_DRESS, 0.5)):
        mean[kind - 1, :15], count[kind - 1, :15] = garment(VEST, waist=waist), 9
    # Of the dress's 19 landmarks those below the waist are not labelled: the first nine walk like the vest's.
    mean[VEST_DRESS - 1, 9:], count[VEST_DRESS - 1, 9:] = np.nan, 0
    probability = counterparts(Shapes(mean, np.full((13, 39, 2, 2), np.nan), count))
    block = probability[VESTS, CATEGORIES[VEST_DRESS - 1].slice][:9, :9]
    assert (block.argmax(1)[[0, 1, 2, 3, 6, 7, 8]] == [0, 1, 2, 3, 6, 7, 8]).all()
    assert block[7, 7] > 0.5
    assert np.isnan(probability[VESTS, CATEGORIES[VEST_DRESS - 1].slice][:, 9:]).all()


def test_probability_is_zero_across_the_axis_and_alike_in_the_mirror(tmp_path):
    probability = counterparts(category_shapes(make_garments(tmp_path)))
    block = probability[VESTS, SLINGS]
    left, right = np.array([1, 2, 6, 7, 8, 9]), np.array([5, 4, 14, 13, 12, 11])
    assert not block[np.ix_(left, right)].any() and not block[np.ix_(left, [0, 3, 10])].any()
    assert np.allclose(probability, probability[np.ix_(FLIP_INDICES, FLIP_INDICES)], equal_nan=True)
    assert np.allclose(probability, probability.T, equal_nan=True)
    assert (np.nansum(block, 1) <= 1 + 1e-9).all()


def test_size_and_place_do_not_matter_but_direction_does(tmp_path):
    shapes = category_shapes(make_garments(tmp_path, (VEST_DRESS, SLING_DRESS)))
    one = contour_cue(shapes).distance
    other = contour_cue(Shapes(shapes.mean * 3 + (0, 5), shapes.covariance, shapes.count)).distance
    assert np.allclose(one, other, equal_nan=True)
    turned = shapes.mean.copy()
    turned[SLING_DRESS - 1] *= (1, -1)
    other = contour_cue(Shapes(turned, shapes.covariance, shapes.count)).distance
    assert np.nanmax(np.abs(one - other)) > 0.2


def test_nothing_labelled_is_unknown(tmp_path):
    shapes = category_shapes(make_garments(tmp_path))
    known = np.isin(LANDMARK_CATEGORY, (VEST, SLING))
    distance = contour_cue(shapes).distance
    assert np.isnan(distance[~known]).all() and np.isfinite(distance[np.ix_(known, known)]).all()
    nothing = Shapes(
        *(np.full_like(part, np.nan, float) for part in (shapes.mean, shapes.covariance)), shapes.count * 0
    )
    assert np.isnan(contour_cue(nothing).distance).all()
