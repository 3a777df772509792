"""kps.likeness.shapes: mean shapes that no camera changes."""

from dataclasses import replace

import numpy as np
import pytest
from homogeneity_garments import SLING, VEST, make_garments

from kps.likeness import shapes as shapes_module
from kps.likeness.shapes import category_shapes
from kps.schema import CATEGORIES


def test_a_shape_does_not_depend_on_the_camera(tmp_path):
    shapes = category_shapes(make_garments(tmp_path))
    vest = shapes.mean[VEST - 1, :15]
    assert np.allclose(vest.mean(0), 0, atol=1e-5)
    assert np.sqrt((vest**2).sum(1).mean()) == pytest.approx(1)
    assert np.allclose(vest, shapes.mean[SLING - 1, :15], atol=1e-5)
    assert np.allclose(vest * (-1, 1), vest[CATEGORIES[VEST - 1].flip_indices], atol=1e-6)
    assert (shapes.count[VEST - 1, :15] == 6).all() and not shapes.count[0].any()


def test_unlabelled_landmarks_do_not_move_the_shape(tmp_path):
    garments = make_garments(tmp_path)
    keypoints = garments.keypoints.copy()
    keypoints[0, :5] = 0
    shapes = category_shapes(replace(garments, keypoints=keypoints))
    assert np.allclose(shapes.mean[VEST - 1, :15], category_shapes(garments).mean[VEST - 1, :15], atol=1e-5)
    assert shapes.count[VEST - 1, 0] == 5


def test_what_one_side_shows_is_known_of_the_other(tmp_path):
    garments = make_garments(tmp_path, (VEST,), each=4)
    keypoints = garments.keypoints.copy()
    keypoints[:, 8] = 0  # the left waist, 9 in the figure; the right one is 13
    shapes = category_shapes(replace(garments, keypoints=keypoints))
    assert np.allclose(shapes.mean[VEST - 1, :15], category_shapes(garments).mean[VEST - 1, :15], atol=1e-5)
    assert shapes.count[VEST - 1, 8] == shapes.count[VEST - 1, 12] == 2
    keypoints[:, 12] = 0
    shapes = category_shapes(replace(garments, keypoints=keypoints))
    assert np.isnan(shapes.mean[VEST - 1, [8, 12]]).all() and not shapes.count[VEST - 1, [8, 12]].any()


def test_spread_is_the_noise(tmp_path):
    garments = make_garments(tmp_path, (VEST,), each=400, noise=0.05)
    shapes = category_shapes(garments)
    clean = category_shapes(make_garments(tmp_path, (VEST,)))
    radius = make_radius(tmp_path)
    measured = np.trace(shapes.covariance - clean.covariance, axis1=-2, axis2=-1)[VEST - 1, :15]
    prior = 4 * 2 * 0.2**2 * (1 / 804 - 1 / 16)  # of 2 * 400 and 2 * 6 samples and 4 of the prior
    fitted = 1 - 4 / 30  # four of the 30 numbers of a garment go into shift, turn and scale
    assert (measured - prior).mean() == pytest.approx(2 * (0.05 / radius) ** 2 * fitted, rel=0.15)


def make_radius(folder) -> float:
    """Radius of the builder's vest, in the unit that its noise has."""
    from homogeneity_garments import symmetric_shape

    rng = np.random.default_rng(0)
    half = np.column_stack([-rng.uniform(0.2, 1, 39), rng.uniform(-1, 1, 39)])
    shape = symmetric_shape(CATEGORIES[VEST - 1], half)
    return float(np.sqrt(((shape - shape.mean(0)) ** 2).sum(1).mean()))


def test_chunks_change_nothing(tmp_path, monkeypatch):
    garments = make_garments(tmp_path, each=11, noise=0.1)
    whole = category_shapes(garments)
    monkeypatch.setattr(shapes_module, "CHUNK", 3)
    parts = category_shapes(garments)
    assert np.allclose(whole.mean, parts.mean, atol=1e-5, equal_nan=True)
    assert np.allclose(whole.covariance, parts.covariance, atol=1e-5, equal_nan=True)


def test_views_are_told_apart(tmp_path):
    garments = make_garments(tmp_path, (VEST,), each=6)
    garments = replace(garments, attributes={"viewpoint": np.array([1, 2, 2, 2, 3, 3])})
    assert category_shapes(garments, viewpoints=(1, 2)).count[VEST - 1, 0] == 4
    assert category_shapes(garments, viewpoints=(3,)).count[VEST - 1, 0] == 2
    assert not category_shapes(garments, viewpoints=(3,), min_items=3).count.any()


def test_padding_is_never_on_a_shape(tmp_path):
    shapes = category_shapes(make_garments(tmp_path))
    assert np.isnan(shapes.mean[VEST - 1, 15:]).all() and not shapes.count[VEST - 1, 15:].any()
