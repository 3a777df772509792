"""Crops: image -> input -> image gives the same point, and pixels move with points."""

import numpy as np
import pytest

from kps.data.crops import apply_affine, crop_affine, cut_patch, invert_affine

SIZE = (96, 128)


def spot(width, height, point_xy, radius=3.0):
    """A photo with one smooth bright spot, whose centre of mass is `point_xy`."""
    x, y = np.arange(width), np.arange(height)[:, None]
    value = np.exp(-((x - point_xy[0]) ** 2 + (y - point_xy[1]) ** 2) / (2 * radius**2))
    return np.repeat((255 * value).round().astype(np.uint8)[..., None], 3, axis=2)


def centre_of_mass(pixels):
    weight = pixels[..., 0].astype(float)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("box", [(50, 60, 200, 300), (0.5, 3.25, 400, 40), (460, 600, 8, 24), (10, 10, 0, 0)])
def test_round_trip(box, mirror):
    points = np.random.default_rng(0).uniform(-50, 700, (39, 2))
    affine = crop_affine(np.array(box), SIZE, scale=1.2, rotation=25, shift_xy=(0.05, -0.03), mirror=mirror)
    assert np.abs(apply_affine(invert_affine(affine), apply_affine(affine, points)) - points).max() < 0.01


def test_the_box_is_centred_and_padded():
    affine = crop_affine(np.array([100, 200, 60, 80]), SIZE, padding=1.25)
    corners = apply_affine(affine, np.array([[99.5, 199.5], [159.5, 279.5]]))  # outer edges of the box
    assert corners == pytest.approx(np.array([[9.1, 12.3], [85.9, 114.7]]))  # 0.1 and 0.9 of it, less 0.5


@pytest.mark.parametrize("box", [(30, 40, 60, 80), (20, 30, 400, 500), (150, 100, 300, 90)])
def test_pixels_move_with_points(box):
    point = np.array([box[0] + 0.45 * box[2], box[1] + 0.6 * box[3]])
    photo = spot(468, 624, point, radius=0.02 * max(box[2:]) + 1)
    patch = cut_patch(photo, np.array(box), SIZE, 1.25)
    for changes in ({}, {"rotation": 30, "scale": 1.25}, {"rotation": -20, "scale": 0.75, "mirror": True}):
        affine = crop_affine(np.array(box), SIZE, **changes)
        found = centre_of_mass(patch.crop(affine, SIZE))
        assert found == pytest.approx(apply_affine(affine, point), abs=0.05)


def test_a_patch_holds_all_that_augmentation_shows():
    photo = np.full((2000, 2000, 3), 255, np.uint8)
    box = np.array([900, 950, 60, 120])
    patch = cut_patch(photo, box, SIZE, 1.25)
    assert patch.pixels.shape[0] < 400
    for rotation in (-30, 0, 30):
        affine = crop_affine(box, SIZE, rotation=rotation, scale=1.25, shift_xy=(0.05, 0.05))
        assert patch.crop(affine, SIZE).min() == 255


@pytest.mark.parametrize("shrink", [2, 4])
def test_a_photo_of_fewer_pixels_gives_the_same_crop(shrink):
    box = np.array([52.0, 44, 300, 480])
    point = np.array([170.0, 260])
    photo = spot(468, 624, point, radius=12)
    reduced = photo.reshape(624 // shrink, shrink, 468 // shrink, shrink, 3).mean((1, 3)).round().astype(np.uint8)
    affine = crop_affine(box, SIZE, rotation=10)
    whole, small = (
        cut_patch(one, box, SIZE, 1.25, step).crop(affine, SIZE) for one, step in ((photo, 1), (reduced, shrink))
    )
    assert centre_of_mass(small) == pytest.approx(centre_of_mass(whole), abs=0.05)
    assert np.abs(small.astype(int) - whole).mean() < 1
