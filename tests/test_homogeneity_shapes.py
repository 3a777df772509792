"""kps.likeness.shapes: mean shapes that no camera changes."""

from dataclasses import replace

import numpy as np
import pytest
from homogeneity_garments import SLING, VEST, make_garments, symmetric_shape

from kps.likeness import shapes as shapes_module
from kps.likeness.shapes import category_shapes
from kps.schema import CATEGORIES


def test_a_shape_does_not_depend_on_the_camera():
    shapes = category_shapes(make_garments())
    vest = shapes.mean[VEST - 1, :15]
    assert np.allclose(vest.mean(0), 0, atol=1e-5)
    assert np.sqrt((vest**2).sum(1).mean()) == pytest.approx(1)
    assert np.allclose(vest, shapes.mean[SLING - 1, :15], atol=1e-5)
    assert np.allclose(vest * (-1, 1), vest[CATEGORIES[VEST - 1].flip_indices], atol=1e-6)
    assert (shapes.count[VEST - 1, :15] == 6).all() and not shapes.count[0].any()
    assert np.isnan(shapes.mean[VEST - 1, 15:]).all() and not shapes.count[VEST - 1, 15:].any(), "padding"


def shapes_without(garments, rows, landmarks):
    keypoints = garments.keypoints.copy()
    keypoints[np.ix_(rows, landmarks)] = 0
    return category_shapes(replace(garments, keypoints=keypoints))


@pytest.mark.parametrize(
    ("rows", "landmarks", "counts"),
    [
        ((0,), range(5), {0: 2, 6: 3}),
        (range(3), [8], {8: 2, 12: 2}),  # the left waist, 9 in the figure, is known from the right one, 13
    ],
)
def test_unlabelled_landmarks_do_not_move_the_shape(rows, landmarks, counts):
    garments = make_garments((VEST,), each=3)
    shapes = shapes_without(garments, rows, landmarks)
    assert np.allclose(shapes.mean, category_shapes(garments).mean, atol=1e-5, equal_nan=True)
    assert {landmark: shapes.count[VEST - 1, landmark] for landmark in counts} == counts


def test_what_neither_side_shows_is_unknown():
    shapes = shapes_without(make_garments((VEST,), each=3), range(3), [8, 12])
    assert np.isnan(shapes.mean[VEST - 1, [8, 12]]).all() and not shapes.count[VEST - 1, [8, 12]].any()


def test_spread_is_the_noise():
    shapes = category_shapes(make_garments((VEST,), each=400, noise=0.05))
    clean = category_shapes(make_garments((VEST,)))
    shape = symmetric_shape(VEST)
    radius = np.sqrt(((shape - shape.mean(0)) ** 2).sum(1).mean())  # in the unit of the noise
    measured = np.trace(shapes.covariance - clean.covariance, axis1=-2, axis2=-1)[VEST - 1, :15]
    prior = 4 * 2 * 0.2**2 * (1 / 804 - 1 / 16)  # of 2 * 400 and 2 * 6 samples and 4 of the prior
    fitted = 1 - 4 / 30  # four of the 30 numbers of a garment go into shift, turn and scale
    assert (measured - prior).mean() == pytest.approx(2 * (0.05 / radius) ** 2 * fitted, rel=0.15)


def test_chunks_change_nothing(monkeypatch):
    garments = make_garments(each=11, noise=0.1)
    whole = category_shapes(garments)
    monkeypatch.setattr(shapes_module, "CHUNK", 3)
    parts = category_shapes(garments)
    assert np.allclose(whole.mean, parts.mean, atol=1e-5, equal_nan=True)
    assert np.allclose(whole.covariance, parts.covariance, atol=1e-5, equal_nan=True)
