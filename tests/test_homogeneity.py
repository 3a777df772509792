"""kps.homogeneity: shapes that no camera changes, distances with the right ends, files that come back."""

from dataclasses import replace

import numpy as np
import pytest
from builders import make_coco

from kps.aggregation import Aggregation
from kps.coco import Instances
from kps.errors import InputError
from kps.homogeneity import (
    Homogeneity,
    Shapes,
    align,
    category_shapes,
    fuse,
    hellinger,
    measure,
    position_distance,
    separation,
    sigma_distance,
    split_half,
)
from kps.schema import CATEGORIES, LANDMARK_CATEGORY, MAX_LANDMARKS, NUM_CATEGORIES, NUM_LANDMARKS, SIGMAS

SLING, VEST = 6, 5  # both have 15 landmarks with the same flip pairs


def make_garments(
    tmp_path, kinds=(VEST, SLING), *, each: int = 6, seed: int = 0, noise: float = 0.0
) -> Instances:
    """Garments of the same symmetric shape under changing shift, turn and scale; all landmarks visible."""
    rng = np.random.default_rng(seed)
    half = np.column_stack([-rng.uniform(0.2, 1, MAX_LANDMARKS), rng.uniform(-1, 1, MAX_LANDMARKS)])
    instances = make_coco(tmp_path, tuple(kind for kind in kinds for _ in range(each))).instances
    keypoints = np.zeros_like(instances.keypoints)
    for row, kind in enumerate(instances.category_id):
        item = CATEGORIES[kind - 1]
        shape = half[: item.num_landmarks].copy()
        for left, right in item.flip_pairs:
            shape[right - 1] = shape[left - 1] * (-1, 1)
        shape[item.flip_indices == np.arange(item.num_landmarks), 0] = 0
        angle, scale, shift = rng.uniform(-0.4, 0.4), rng.uniform(50, 200), rng.uniform(100, 300, 2)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        points = shape @ turn * scale + shift + rng.normal(0, noise * scale, shape.shape)
        keypoints[row, : item.num_landmarks] = np.column_stack([points, np.full(len(points), 2)])
    return replace(instances, keypoints=keypoints)


def test_a_shape_does_not_depend_on_the_camera(tmp_path):
    shapes = category_shapes(make_garments(tmp_path))
    vest = shapes.mean[VEST - 1, :15]
    assert np.allclose(vest.mean(0), 0, atol=1e-6)
    assert np.sqrt((vest**2).sum(1).mean()) == pytest.approx(1)
    assert np.allclose(vest, shapes.mean[SLING - 1, :15], atol=1e-6)
    assert np.allclose(vest * (-1, 1), vest[CATEGORIES[VEST - 1].flip_indices], atol=1e-6)
    assert (shapes.count[VEST - 1, :15] == 6).all() and not shapes.count[0].any()


def test_unlabelled_landmarks_do_not_move_the_shape(tmp_path):
    garments = make_garments(tmp_path)
    keypoints = garments.keypoints.copy()
    keypoints[0, :5] = 0
    shapes = category_shapes(replace(garments, keypoints=keypoints))
    assert np.allclose(shapes.mean[VEST - 1, :15], category_shapes(garments).mean[VEST - 1, :15], atol=1e-6)
    assert shapes.count[VEST - 1, 0] == 5


def test_spread_grows_with_noise_and_shrinks_with_examples(tmp_path):
    def spread(**options):
        return category_shapes(make_garments(tmp_path, **options)).covariance[VEST - 1, 0].trace()

    assert spread(noise=0.3, each=20) > 2 * spread(noise=0.05, each=20)
    assert spread(noise=0.05, each=3) > spread(noise=0.05, each=20)


def test_align_recovers_scale_and_shift(tmp_path):
    shapes = category_shapes(make_garments(tmp_path))
    mean = shapes.mean.copy()
    mean[SLING - 1] = mean[SLING - 1] * 1.5 + (0, 0.3)
    scale, shift = align(Shapes(mean, shapes.covariance, shapes.count), VEST, SLING)
    assert scale == pytest.approx(1.5, rel=0.04)
    assert shift == pytest.approx(0.3, abs=0.08)


def test_equal_places_are_near_and_far_ones_far(tmp_path):
    distance = position_distance(category_shapes(make_garments(tmp_path)))
    block = distance[CATEGORIES[VEST - 1].slice, CATEGORIES[SLING - 1].slice]
    assert np.diag(block).max() < 0.2
    assert np.median(block[~np.eye(15, dtype=bool)]) > 0.9
    assert np.allclose(distance, distance.T, equal_nan=True)
    unseen = ~np.isin(LANDMARK_CATEGORY, (VEST, SLING))
    assert np.isnan(distance[unseen]).all() and np.isfinite(distance[np.ix_(~unseen, ~unseen)]).all()


def test_hellinger_of_known_gaussians():
    unit = np.eye(2)[None]
    same = hellinger(np.zeros((1, 2)), unit, np.zeros((1, 2)), unit)
    apart = hellinger(np.zeros((1, 2)), unit, np.array([[2.0, 0.0]]), unit)
    assert same[0, 0] == pytest.approx(0, abs=1e-7)
    assert apart[0, 0] == pytest.approx(np.sqrt(1 - np.exp(-0.5)))


def test_sigma_distance_is_half_for_twice_the_sigma():
    distance = sigma_distance()
    i, j = 0, int(np.argmin(np.abs(SIGMAS - 2 * SIGMAS[0])))
    assert distance[i, j] == pytest.approx(1 - SIGMAS[0] / SIGMAS[j])
    assert not np.diag(distance).any() and (distance >= 0).all() and (distance < 1).all()


def test_fuse_is_far_where_one_cue_is_far():
    assert fuse(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.5, 0.0])).tolist() == [0.0, 0.75, 1.0]


def test_separation_is_perfect_for_its_own_map_and_unknown_for_none():
    hand = Aggregation.named("hand81")
    apart = (hand.group[:, None] != hand.group).astype(float)
    assert separation(apart, hand) == 1.0
    assert separation(1 - apart, hand) == 0.0
    assert separation(np.random.default_rng(0).random((NUM_LANDMARKS,) * 2), hand) == pytest.approx(
        0.5, abs=0.05
    )
    assert np.isnan(separation(apart, Aggregation.named("identity")))


def test_two_halves_of_clean_data_agree(tmp_path):
    garments = make_garments(tmp_path, each=12, noise=0.02)
    assert split_half(garments, seed=1) > 0.9
    assert split_half(garments, seed=1) == split_half(garments, seed=1)
    assert np.isnan(split_half(garments.take(np.array([0]))))


def test_what_is_saved_is_read_back(tmp_path):
    measured = measure(make_garments(tmp_path))
    measured.save(tmp_path / "h.json")
    loaded = Homogeneity.load(tmp_path / "h.json")
    for name in ("position", "sigma", "fused"):
        assert np.allclose(getattr(loaded, name), getattr(measured, name), atol=1e-4, equal_nan=True)
    assert np.allclose(loaded.shapes.covariance, measured.shapes.covariance, atol=1e-4, equal_nan=True)
    assert (loaded.shapes.count == measured.shapes.count).all()
    assert loaded.shapes.mean.shape == (NUM_CATEGORIES, MAX_LANDMARKS, 2)


@pytest.mark.parametrize("text", ["{}", '{"mean": [[1]]}', "[]"])
def test_a_file_of_another_kind_is_refused(tmp_path, text):
    path = tmp_path / "h.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"h\.json: expected"):
        Homogeneity.load(path)


def test_padding_is_never_on_a_shape(tmp_path):
    shapes = category_shapes(make_garments(tmp_path))
    assert np.isnan(shapes.mean[VEST - 1, 15:]).all() and not shapes.count[VEST - 1, 15:].any()
