"""kps.likeness.cues: the same place is near, whatever the size; another place is far."""

from dataclasses import replace

import numpy as np
import pytest
from homogeneity_garments import SLING, VEST, make_garments

from kps.likeness.cues import align, hellinger, position_cue, position_distance
from kps.likeness.shapes import Shapes, category_shapes
from kps.schema import CATEGORIES, LANDMARK_CATEGORY

VESTS, SLINGS = CATEGORIES[VEST - 1].slice, CATEGORIES[SLING - 1].slice


def test_align_recovers_scale_and_shift(tmp_path):
    shapes = category_shapes(make_garments(tmp_path))
    mean = shapes.mean.copy()
    mean[SLING - 1] = mean[SLING - 1] * 1.5 + (0, 0.3)
    moved = Shapes(mean, shapes.covariance, shapes.count)
    placing = align(moved, VEST, SLING, np.eye(15))
    assert placing.scale == pytest.approx(1.5, rel=0.04)
    assert placing.shift == pytest.approx(0.3, abs=0.04)
    assert placing.misfit < 0.1
    back = align(moved, SLING, VEST, np.eye(15))
    assert back.scale * placing.scale == pytest.approx(1, rel=0.01)


def test_without_counterparts_shapes_stay_as_they_are(tmp_path):
    shapes = category_shapes(make_garments(tmp_path))
    assert align(shapes, VEST, SLING, np.zeros((15, 15)))[:2] == (1.0, 0.0)


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.6])
def test_copies_of_another_size_and_place_are_near(tmp_path, scale):
    garments = make_garments(tmp_path)
    keypoints = garments.keypoints.copy()
    slings = garments.category_id == SLING
    keypoints[slings, :, :2] = keypoints[slings, :, :2] * scale + (30, 40)
    block = position_distance(category_shapes(replace(garments, keypoints=keypoints)))[VESTS, SLINGS]
    assert np.diag(block).max() < 0.1
    assert np.median(block[~np.eye(15, dtype=bool)]) > 0.5


def test_permuted_landmarks_are_found_where_they_went(tmp_path):
    garments = make_garments(tmp_path)
    order = np.array([0, 2, 1, 3, 5, 4, 6, 9, 8, 7, 10, 13, 12, 11, 14])  # swaps 2/3, 5/6, 8/10 and 12/14
    keypoints = garments.keypoints.copy()
    slings = garments.category_id == SLING
    keypoints[slings, :15] = keypoints[slings][:, order]
    block = position_distance(category_shapes(replace(garments, keypoints=keypoints)))[VESTS, SLINGS]
    assert block[np.arange(15), order].mean() < block[np.arange(15), np.arange(15)].mean() / 1.5


def test_landmarks_never_labelled_are_unknown(tmp_path):
    garments = make_garments(tmp_path)
    measured = position_cue(category_shapes(garments)).distance
    unseen = ~np.isin(LANDMARK_CATEGORY, (VEST, SLING))
    assert np.isnan(measured[unseen]).all() and np.isfinite(measured[np.ix_(~unseen, ~unseen)]).all()


def test_hellinger_of_known_gaussians():
    unit = np.eye(2)[None]
    same = hellinger(np.zeros((1, 2)), unit, np.zeros((1, 2)), unit)
    apart = hellinger(np.zeros((1, 2)), unit, np.array([[2.0, 0.0]]), unit)
    assert same[0, 0] == pytest.approx(0, abs=1e-7)
    assert apart[0, 0] == pytest.approx(np.sqrt(1 - np.exp(-0.5)))
