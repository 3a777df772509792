"""The landmark model from end to end at tiny size: it learns, finetunes, and predicts in image pixels."""

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from builders import make_item, save_coco
from small_models import landmark_config

from kps import schema
from kps.aggregation import Aggregation
from kps.data.coco import coco_annotation, load_coco
from kps.files import InputError
from kps.models import training
from kps.models.landmarks import LandmarkModel, predict_landmarks
from kps.results.detections import Detections, ground_truth_detections

KINDS = (7, 9)  # shorts and skirts: few landmarks


def write_learnable_photos(folder, *, count=24):
    """Photos of one bright box each, with landmarks at the same, mirror-symmetric places of every box."""
    generator = np.random.default_rng(0)
    (folder / "image").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        kind = KINDS[number % 2]
        x, y, w, h = (int(v) for v in generator.integers([10, 10, 40, 60], [40, 60, 80, 90]))
        photo = generator.integers(60, 100, (160, 120, 3)).astype(np.uint8)
        photo[y : y + h, x : x + w] = (220, 220, 40) if kind == 7 else (40, 90, 250)
        cv2.imwrite(str(folder / "image" / f"{number}.png"), photo)
        item = make_item(kind, box=(x, y, x + w, y + h))
        places = np.random.default_rng(kind).uniform(0, 1, (schema.category(kind).num_landmarks, 2))
        mirrored = places[schema.category(kind).flip_indices] * (-1, 1) + (1, 0)
        landmarks = np.column_stack([(places + mirrored) / 2 * (w, h) + (x, y), np.full(len(places), 2)])
        item["landmarks"] = landmarks.ravel().tolist()
        images.append({"id": number, "file_name": f"{number}.png", "width": 120, "height": 160})
        annotations.append(coco_annotation(item, annotation_id=10 * number, image_id=number, where="builder"))
    save_coco(folder / "coco.json", images, annotations)
    return load_coco(folder / "coco.json")


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    return write_learnable_photos(tmp_path_factory.mktemp("photos"))


def train(coco, work_dir, **changes):
    return training.train(landmark_config(coco_file=coco.path, work_dir=work_dir, **changes))


def predict(checkpoints, coco, detections=None, **settings):
    detections = ground_truth_detections(coco) if detections is None else detections
    return predict_landmarks(checkpoints, detections, coco, coco.path.parent / "image", **settings)


@pytest.fixture(scope="module")
def universal(coco, tmp_path_factory):
    return train(coco, tmp_path_factory.mktemp("work") / "universal", epochs=40)


@pytest.fixture(scope="module")
def finetuned(coco, universal):
    folder = universal.parent.parent
    return {k: train(coco, folder / str(k), category_id=k, init_checkpoint=universal) for k in KINDS}


def mean_error(coco, predictions):
    """Mean distance to the truth in parts of the box's diagonal."""
    truth = coco.instances.keypoints
    distance = np.linalg.norm(predictions.keypoints[..., :2] - truth[..., :2], axis=-1)
    size = np.linalg.norm(coco.instances.bbox_xywh[:, 2:], axis=1)
    return (distance / size[:, None])[truth[..., 2] > 0].mean()


def test_it_learns(coco, universal):
    loss = training.load_history(universal.parent).loss
    assert loss.iloc[-1] < 0.4 * loss.iloc[0]
    assert mean_error(coco, predict(universal, coco)) < 0.05


def test_finetuning_goes_on_from_the_universal_model(coco, universal, finetuned):
    before = training.load_history(universal.parent).loss
    for kind in KINDS:
        assert training.load_history(finetuned[kind].parent).loss.iloc[0] < before.iloc[0] * 0.5
    assert mean_error(coco, predict(finetuned, coco)) < mean_error(coco, predict(universal, coco)) + 0.005


def test_predictions_are_the_detections_in_their_order(coco, finetuned):
    detections = ground_truth_detections(coco)
    order = np.random.default_rng(0).permutation(len(detections))
    shuffled = replace(detections.take(order), score=np.linspace(0.1, 0.9, len(order)))
    plain, found = predict(finetuned, coco), predict(finetuned, coco, shuffled, batch_size=5)
    for name in ("detection_id", "image_id", "category_id"):
        assert getattr(found, name).tolist() == getattr(shuffled, name).tolist()
    assert np.allclose(found.keypoints, plain.keypoints[order], atol=1e-3)
    assert np.allclose(found.score, plain.score[order] * shuffled.score, atol=1e-5)
    found.check("test")


def test_only_own_landmarks_are_filled_and_runs_repeat(coco, universal):
    found = predict(universal, coco)
    own = schema.own_landmark_mask()[found.category_id - 1]
    assert not found.keypoints[~own].any()
    assert ((found.keypoints[own][:, 2] > 0) & (found.keypoints[own][:, 2] <= 1)).all()
    assert np.array_equal(found.keypoints, predict(universal, coco).keypoints)


def test_a_mirrored_photo_gives_mirrored_landmarks(coco, universal, tmp_path):
    detections = ground_truth_detections(coco)
    (tmp_path / "image").mkdir()
    for row in coco.images:
        photo = cv2.imread(str(coco.path.parent / "image" / row.file_name))
        cv2.imwrite(str(tmp_path / "image" / row.file_name), photo[:, ::-1])
    boxes = detections.bbox_xywh.copy()
    boxes[:, 0] = 120 - boxes[:, 0] - boxes[:, 2]
    mirrored = predict(universal, replace(coco, path=tmp_path / "x"), replace(detections, bbox_xywh=boxes))
    plain = predict(universal, coco)
    flip = schema.own_flip_indices()[plain.category_id - 1]
    back = np.take_along_axis(mirrored.keypoints, flip[..., None], axis=1)
    own = schema.own_landmark_mask()[plain.category_id - 1]
    distance = np.hypot(119 - back[..., 0] - plain.keypoints[..., 0], back[..., 1] - plain.keypoints[..., 1])
    assert np.median(distance[own]) < 0.05
    assert not np.allclose(predict(universal, coco, flip_test=False).keypoints, plain.keypoints)


def test_what_crops_of_several_sizes_show_is_averaged(coco, universal):
    boxes = ground_truth_detections(coco)
    corner, size = np.split(boxes.bbox_xywh, 2, axis=1)
    tight = replace(boxes, bbox_xywh=np.hstack([corner + 0.1 * size, 0.8 * size]))
    whole, within = predict(universal, coco), predict(universal, coco, tight)
    both = predict(universal, coco, crop_scales=[1, 0.8], batch_size=5)
    assert np.allclose(both.keypoints, (whole.keypoints + within.keypoints) / 2, atol=1e-3)
    assert not np.allclose(both.keypoints, whole.keypoints, atol=0.1)
    assert np.array_equal(both.bbox_xywh, boxes.bbox_xywh)
    for scales in ([], [1, 0]):
        with pytest.raises(InputError, match="expected crop_scales above 0, but got"):
            predict(universal, coco, crop_scales=scales)


def test_no_detections_give_no_predictions(coco, universal):
    assert len(predict(universal, coco, ground_truth_detections(coco).take(np.zeros(0, int)))) == 0


def test_the_aggregation_travels_in_the_checkpoint(coco, tmp_path):
    final = train(coco, tmp_path / "identity", aggregation=Aggregation.named("identity"), epochs=1)
    shutil.copy(final, tmp_path / "elsewhere.pth")
    shutil.rmtree(tmp_path / "identity")
    assert LandmarkModel.load(tmp_path / "elsewhere.pth").model.head.out_channels == 294


def test_what_is_missing_is_named(coco, universal, tmp_path):
    with pytest.raises(InputError, match=r"category 7 \(shorts\)"):
        predict({9: universal}, coco)
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "1.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"1\.png: expected an image"):
        predict(universal, replace(coco, path=tmp_path / "x"))
    stray = Detections(*(np.array([v]) for v in (1, 99, 7)), np.array([[0.0, 0, 9, 9]]), np.array([1.0]))
    with pytest.raises(InputError, match="expected image 99"):
        predict(universal, coco, stray)
