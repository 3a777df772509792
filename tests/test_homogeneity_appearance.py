"""kps.likeness.descriptors and appearance: only patches that differ are told apart."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from builders import make_coco
from homogeneity_garments import SLING, VEST

from kps.files import InputError
from kps.likeness import Descriptors, appearance_cue, compare, gradient_descriptors, sample_places
from kps.likeness.descriptors import gradient_descriptor
from kps.schema import CATEGORIES, FLIP_INDICES, LANDMARK_CATEGORY

EACH = 8
VESTS, SLINGS = CATEGORIES[VEST - 1].slice, CATEGORIES[SLING - 1].slice


def draw_mark(photo: np.ndarray, xy: np.ndarray, kind: int, *, mirrored: bool) -> None:
    """Strokes that differ from kind to kind, and from their mirror image."""
    for degrees in ((20 + 47 * kind) % 180, (75 + 71 * kind) % 180):
        step = 9 * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        if mirrored:
            step[0] = -step[0]
        cv2.line(photo, *(tuple(int(v) for v in np.round(xy + s * step)) for s in (0, 1)), 255, 2)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Photos of a vest or sling: landmark i of both carries the same mark, its flip the mirrored one."""
    folder = tmp_path_factory.mktemp("drawn")
    coco = make_coco(folder, (VEST, SLING) * EACH)
    keypoints = np.zeros_like(coco.instances.keypoints)
    rng = np.random.default_rng(0)
    (folder / "image").mkdir()
    for row, image in enumerate(coco.images):
        item = CATEGORIES[coco.instances.category_id[row] - 1]
        photo = rng.integers(90, 110, (image.height, image.width), dtype=np.uint8)
        grid = np.array([(x, y) for y in range(60, 620, 110) for x in range(60, 460, 120)], float)
        places = rng.permutation(grid)[: item.num_landmarks]
        for own, place in enumerate(places):
            mirror = item.flip_indices[own]
            draw_mark(photo, place, min(own, mirror), mirrored=mirror < own)
        keypoints[row, : item.num_landmarks] = np.column_stack([places, np.full(len(places), 2)])
        cv2.imwrite(str(folder / "image" / image.file_name), photo)
    area = np.full(len(coco.instances), 200.0**2)  # windows of 20 and 60 px
    return replace(coco, instances=replace(coco.instances, keypoints=keypoints, area=area)), folder / "image"


def test_landmarks_that_look_the_same_are_retrieved(drawn):
    compared = compare(gradient_descriptors(*drawn, workers=1))
    off_axis = np.flatnonzero(CATEGORIES[VEST - 1].flip_indices != np.arange(15))
    retrieval = compared.retrieval[VESTS, SLINGS]
    assert np.diag(retrieval)[off_axis].mean() > 0.8
    overlap = compared.overlap[VESTS, SLINGS]
    assert np.diag(overlap).mean() > overlap[~np.eye(15, dtype=bool)].mean() + 0.3
    assert np.allclose(retrieval.sum(1), 1)


def test_the_cue_is_near_for_the_same_mark_and_unknown_where_nothing_was_seen(drawn):
    distance = appearance_cue(gradient_descriptors(*drawn, workers=1)).distance
    block = distance[VESTS, SLINGS]
    assert np.diag(block).mean() < block[~np.eye(15, dtype=bool)].mean() - 0.4
    known = np.isin(LANDMARK_CATEGORY, (VEST, SLING))
    assert np.isnan(distance[~known]).all() and np.isfinite(distance[np.ix_(known, known)]).all()


def test_processes_change_nothing(drawn):
    alone, together = (gradient_descriptors(*drawn, per_landmark=8, workers=workers) for workers in (1, 2))
    assert np.array_equal(alone.values, together.values) and np.array_equal(alone.landmark, together.landmark)


def test_a_mirrored_photo_swaps_both_views():
    photo = np.random.default_rng(0).integers(0, 255, (64, 80), dtype=np.uint8)
    plain = gradient_descriptor(photo, np.array([30.0, 30.0]), 100)
    mirrored = gradient_descriptor(np.ascontiguousarray(photo[:, ::-1]), np.array([49.0, 30.0]), 100)
    assert np.allclose(plain, mirrored[::-1], atol=1e-4)
    assert not np.allclose(plain[0], plain[1], atol=0.05)


@pytest.mark.parametrize("xy", [(0, 0), (79, 63), (-500, 20), (20, 900)])
def test_places_at_and_beyond_the_border_are_described(xy):
    photo = np.random.default_rng(0).integers(0, 255, (64, 80), dtype=np.uint8)
    described = gradient_descriptor(photo, np.array(xy, float), 100)
    assert described.shape == (2, 288) and np.isfinite(described).all()


def test_the_sample_is_capped_and_visible(drawn):
    coco, _ = drawn
    keypoints = coco.instances.keypoints.copy()
    keypoints[:, 3, 2] = 1
    places = sample_places(replace(coco.instances, keypoints=keypoints), per_landmark=5)
    number = np.bincount(places.landmark, minlength=294)
    assert number[VESTS].tolist() == [5, 5, 5, 0] + [5] * 11 and not number[:128].any()
    own = places.landmark - np.array([c.first_index for c in CATEGORIES])[LANDMARK_CATEGORY[places.landmark] - 1]
    assert np.array_equal(keypoints[places.row, own, :2], places.xy)


def test_places_of_one_photo_are_not_compared():
    """Two landmarks that share photos and look the same there, but not elsewhere, are not alike."""
    rng = np.random.default_rng(0)
    landmark = np.repeat([VESTS.start, SLINGS.start], 20)  # both on the axis
    image_id = np.tile(np.arange(20), 2)
    values = np.tile(rng.normal(0, 1, (20, 1, 4)), (2, 2, 1)).astype(np.float32)
    other = rng.normal(0, 1, (20, 2, 4)).astype(np.float32)
    near = Descriptors(
        np.concatenate([values, other]),
        np.append(landmark, np.repeat(SLINGS.start + 3, 20)),
        np.append(image_id, np.arange(20)),
    )
    retrieval = compare(near).retrieval[VESTS.start, SLINGS]
    assert retrieval[0] < 0.8 and retrieval[[0, 3]].sum() == pytest.approx(1)
    apart = replace(near, image_id=np.arange(60))
    assert compare(apart).retrieval[VESTS.start, SLINGS][0] == 1


def test_mirrored_places_stand_for_mirrored_landmarks():
    described = Descriptors(np.arange(12, dtype=np.float32).reshape(3, 2, 2), np.array([1, 5, 0]), np.arange(3))
    values, landmark, image_id = described.both()
    assert landmark.tolist() == [1, 5, 0, *FLIP_INDICES[[1, 5, 0]]]
    assert np.array_equal(values[3], described.values[0, 1]) and image_id.tolist() == [0, 1, 2] * 2


def test_what_cannot_be_described_is_refused(drawn, tmp_path):
    coco, folder = drawn
    with pytest.raises(InputError, match=r"000001\.jpg: no such image"):
        gradient_descriptors(coco, tmp_path, workers=1)
    (tmp_path / "000001.jpg").write_text("no image")
    with pytest.raises(InputError, match=r"000001\.jpg: expected an image"):
        gradient_descriptors(coco, tmp_path, workers=1)
    hidden = replace(coco.instances, keypoints=np.minimum(coco.instances.keypoints, 1))
    with pytest.raises(InputError, match="expected visible landmarks"):
        gradient_descriptors(replace(coco, instances=hidden), folder)
    with pytest.raises(InputError, match="expected descriptors of shape"):
        Descriptors(np.zeros((3, 4)), np.zeros(3, int), np.zeros(3, int))
