"""kps.models.landmark_features: features where the landmarks are, and channels read on other garments."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from builders import make_coco
from homogeneity_garments import SLING, VEST, make_garments

from kps.aggregation import Aggregation
from kps.files import InputError
from kps.likeness import appearance_cue
from kps.models import landmark_features
from kps.models.landmark_config import landmark_config
from kps.models.landmark_features import (
    add_similarity,
    backbone_descriptors,
    cross_prediction_cue,
    read_all_channels,
)
from kps.models.landmarks import LandmarkModel
from kps.schema import CATEGORIES, FLIP_INDICES, LANDMARK_CATEGORY, NUM_LANDMARKS, SIGMAS

VESTS, SLINGS = CATEGORIES[VEST - 1].slice, CATEGORIES[SLING - 1].slice


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of noise with a vest or sling each, whose shapes are the same."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "image").mkdir()
    coco = make_coco(folder, (VEST,) * 6 + (SLING,) * 6)
    for image in coco.images:
        photo = np.random.default_rng(image.id).integers(0, 255, (image.height, image.width, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "image" / image.file_name), cv2.blur(photo, (9, 9)))
    keypoints = make_garments(tmp_path_factory.mktemp("shapes")).keypoints
    return replace(coco, instances=replace(coco.instances, keypoints=keypoints)), folder / "image"


def untrained(coco, aggregation: str) -> LandmarkModel:
    torch.manual_seed(0)
    config = landmark_config(
        size="tiny",
        aggregation=Aggregation.named(aggregation),
        coco_file=coco.path,
        image_dir=coco.path.parent / "image",
        work_dir=coco.path.parent / "work",
    )
    return LandmarkModel(config, device="cpu")


@pytest.fixture(scope="module")
def model(photos):
    return untrained(photos[0], "identity")


def test_features_are_read_at_the_landmarks(photos, model, monkeypatch):
    """A layer whose channels are the input's x and y in px gives the landmarks' own places back."""
    width, height = model.size_wh

    def places(_model, _layer, pixels):
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        return torch.as_tensor(np.stack([x, y])).float().expand(len(pixels), -1, -1, -1)

    monkeypatch.setattr(landmark_features, "_features", places)
    coco, folder = photos
    described = backbone_descriptors(model, coco, folder, batch_size=5)
    inside = np.abs(described.values[:, 0] - (width - 1) / 2).max(1) < 30
    assert described.values.shape == (12 * 15, 2, 2) and inside.any()
    plain, mirrored = described.values[:, 0], described.values[:, 1]
    assert np.allclose(plain[:, 1], mirrored[:, 1]) and np.allclose(plain[:, 0] + mirrored[:, 0], width - 1)
    for row in range(12):
        taken = described.image_id == coco.instances.image_id[row]
        own = coco.instances.keypoints[
            row, described.landmark[taken] - CATEGORIES[coco.instances.category_id[row] - 1].first_index, :2
        ]
        held = ((plain[taken] > 0.5) & (plain[taken] < np.array(model.size_wh) - 1.5)).all(1)
        if held.sum() > 2:
            fit = np.polyfit(own[held, 1], plain[taken][held, 1], 1, full=True)
            assert fit[1].sum() < 1e-3


def test_a_real_layer_makes_a_cue(photos, model):
    described = backbone_descriptors(model, *photos, layer="stage2", per_landmark=6)
    assert described.values.dtype == np.float32 and np.isfinite(described.values).all()
    assert not np.allclose(described.values[:, 0], described.values[:, 1])
    made = appearance_cue(described, name="backbone", of="features")
    known = np.isin(LANDMARK_CATEGORY, (VEST, SLING))
    assert made.name == "backbone" and np.isfinite(made.distance[np.ix_(known, known)]).all()


def test_an_unknown_layer_is_refused(photos, model):
    with pytest.raises(InputError, match=r"layer of the backbone \(.*stage2.*\), but got 'stage9'"):
        backbone_descriptors(model, *photos, layer="stage9")


def test_all_channels_are_those_that_each_category_reads(photos, model):
    width, height = model.size_wh
    pixels = np.random.default_rng(0).integers(0, 255, (2, height, width, 3), dtype=np.uint8)
    peaks = read_all_channels(model, pixels, np.array([60.0, 80.0]))
    assert peaks.shape == (2, NUM_LANDMARKS, 2)
    for kind in (VEST, 9):
        item = CATEGORIES[kind - 1]
        sigma = np.ones(39)
        sigma[: item.num_landmarks] = SIGMAS[item.slice]
        located = model.locate(pixels, np.array([kind, kind]), 2 * sigma * np.array([[60.0], [80.0]]), flip_test=False)
        assert np.allclose(peaks[:, item.slice], located[:, : item.num_landmarks, :2], atol=1e-3)


def test_similarity_is_that_of_the_protocol():
    peaks = np.zeros((1, NUM_LANDMARKS, 2))
    labels = np.zeros((1, 39, 3))
    labels[0, 0] = 3, 4, 2  # 5 px from every peak; all others are not labelled
    total, count = np.zeros((NUM_LANDMARKS, NUM_LANDMARKS)), np.zeros(NUM_LANDMARKS)
    add_similarity(total, count, peaks, labels, np.array([VEST]), np.array([50.0]))
    first = VESTS.start
    k = 2 * (SIGMAS[first] + SIGMAS[40]) / 2
    assert total[first, 40] == pytest.approx(np.exp(-25 / (2 * 50**2 * k**2)))
    assert count[first] == 1 and count.sum() == 1 and np.count_nonzero(total.any(1)) == 1


def test_channels_that_find_each_other_are_near(photos, model, monkeypatch):
    """A fake whose sling channels find the vest's landmarks in another order, and the other way round."""
    coco, folder = photos
    order = np.array([0, 2, 1, 3, 5, 4, 6, 7, 9, 8, 10, 12, 11, 13, 14])  # commutes with the flip
    queue = iter(range(12))

    def known_places(_model, pixels, _size):
        """Peaks at the landmarks of the crops, found by the order they come in."""
        peaks = np.full((len(pixels), NUM_LANDMARKS, 2), -1e4)
        for number in range(len(pixels)):
            row = next(queue)
            box = coco.instances.bbox_xywh[row]
            affine = landmark_features.crop_affine(box, model.size_wh, padding=model.padding)
            own = landmark_features.apply_affine(affine, coco.instances.keypoints[row, :15, :2])
            vest = coco.instances.category_id[row] == VEST
            peaks[number, VESTS] = own if vest else own[order]
            peaks[number, SLINGS] = own[np.argsort(order)] if vest else own
        return peaks

    monkeypatch.setattr(landmark_features, "read_all_channels", known_places)
    measured = cross_prediction_cue(model, coco, folder, batch_size=5)
    block = measured.distance[VESTS, SLINGS]
    assert np.allclose(block[order, np.arange(15)], 0, atol=1e-6)
    others = np.ones((15, 15), bool)
    others[order, np.arange(15)] = False
    assert np.median(block[others]) > 0.9
    assert np.isnan(measured.distance[~np.isin(LANDMARK_CATEGORY, (VEST, SLING))]).all()


def test_an_untrained_model_has_distances_like_any_other(photos, model):
    distance = cross_prediction_cue(model, *photos, per_category=5).distance
    known = np.isin(LANDMARK_CATEGORY, (VEST, SLING))
    assert np.isfinite(distance[np.ix_(known, known)]).all()
    assert np.allclose(distance, distance[np.ix_(FLIP_INDICES, FLIP_INDICES)], equal_nan=True)


def test_a_model_of_merged_channels_is_refused(photos):
    with pytest.raises(InputError, match=r"expected a model of 294 channels .* but got 81"):
        cross_prediction_cue(untrained(photos[0], "hand81"), *photos)
