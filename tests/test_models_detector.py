"""The detector: it learns boxes, and what it writes is fit for the next step."""

import subprocess
import sys

import numpy as np
import pytest
from garment_photos import write_photos
from PIL import Image
from small_models import detector_config

from kps.data.coco import load_coco
from kps.data.convert import convert_split
from kps.evaluation.matching import iou
from kps.files import InputError
from kps.models import checkpoints, detector, training
from kps.models.detector import GarmentBoxes, LoadPhoto, Remembered
from kps.results import detections
from kps.results.detections import load_detections, save_detections
from kps.synthetic import write_dataset


@pytest.fixture(scope="module")
def coco_file(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), count=24)


def train(coco_file, work_dir, **changes):
    return training.train(detector_config(coco_file=coco_file, work_dir=work_dir, **changes))


@pytest.fixture(scope="module")
def trained(coco_file, tmp_path_factory):
    return train(coco_file, tmp_path_factory.mktemp("work"), epochs=40)


@pytest.fixture(scope="module")
def found(trained, coco_file):
    return detector.detect(trained, load_coco(coco_file), coco_file.parent / "image")


def best_boxes(coco, found):
    """The best box of each photo, and how much it overlaps the photo's garment."""
    best = found.take(np.unique(found.image_id, return_index=True)[1])  # boxes lie in order of score
    assert best.image_id.tolist() == coco.instances.image_id.tolist()
    return best, iou(best.bbox_xywh, coco.instances.bbox_xywh)


def test_the_best_box_is_the_garment(trained, found, coco_file):
    loss, coco = training.load_history(trained.parent).loss, load_coco(coco_file)
    assert loss.iloc[-3:].mean() < 0.5 * loss.iloc[:3].mean()
    best, overlap = best_boxes(coco, found)
    assert ((best.category_id == coco.instances.category_id) & (overlap > 0.5)).mean() > 0.8


def test_boxes_are_a_valid_box_file(found, coco_file, tmp_path):
    save_detections(tmp_path / "boxes.json", found)
    read = load_detections(tmp_path / "boxes.json")
    assert read.detection_id.tolist() == list(range(1, len(found) + 1))
    right, bottom = (read.bbox_xywh[:, :2] + read.bbox_xywh[:, 2:]).max(axis=0)
    assert (read.bbox_xywh[:, :2] >= 0).all() and right <= 120.01 and bottom <= 160.01
    assert (read.score >= 0.01).all() and (read.score <= 1).all()
    for image_id in np.unique(read.image_id):
        assert (np.diff(read.score[read.image_id == image_id]) <= 0).all()


def test_batches_and_limits_change_only_what_they_say(found, trained, coco_file, monkeypatch):
    coco, image_dir = load_coco(coco_file), coco_file.parent / "image"
    single = detector.detect(trained, coco, image_dir, batch_size=1)
    assert np.abs(single.bbox_xywh - found.bbox_xywh).max() < 0.01
    monkeypatch.setattr(detections, "MAX_BOXES", 2)
    few = detector.detect(trained, coco, image_dir, score_threshold=0.2)
    assert few.score.min() >= 0.2 and np.unique(few.image_id, return_counts=True)[1].max() <= 2
    assert few.score.max() == pytest.approx(found.score.max(), abs=1e-6)


def test_several_scales_and_the_mirror_image_find_the_garments_too(trained, coco_file):
    coco = load_coco(coco_file)
    merged = detector.detect(trained, coco, coco_file.parent / "image", augment=True)
    assert np.median(best_boxes(coco, merged)[1]) > 0.6
    _, model_input = detector.build_detector(trained, augment=True)
    views = model_input(detector.photo_rows(coco, coco_file.parent / "image")[0])["inputs"]
    assert len(views) == 4 and views[0].equal(views[1].flip(-1)) and views[0].shape != views[2].shape


def test_no_photo_gives_no_box(trained, coco_file):
    assert len(detector.detect(trained, load_coco(coco_file).subset(image_ids=[]), coco_file.parent)) == 0


def test_a_photo_that_cannot_be_decoded_is_named(trained, tmp_path):
    coco_file = write_photos(tmp_path / "photos", count=2)
    broken = coco_file.parent / "image" / "000002.jpg"
    for content in (b"", b"no photo", broken.read_bytes()[:20]):
        broken.write_bytes(content)
        with pytest.raises(InputError, match=r"000002\.jpg: expected an image"):
            detector.detect(trained, load_coco(coco_file), broken.parent)
    broken.unlink()
    with pytest.raises(InputError, match=r"000002\.jpg: no such image"):
        detector.detect(trained, load_coco(coco_file), broken.parent)


@pytest.mark.parametrize(("size_wh", "seen_hw"), [((800, 3), (40, 800)), ((1, 41), (41, 3)), ((40, 2), (2, 40))])
def test_narrow_strips_get_black_below_or_beside_them(tmp_path, size_wh, seen_hw):
    Image.new("RGB", size_wh, (255, 0, 9)).save(tmp_path / "a.png")
    row = {"img_path": str(tmp_path / "a.png"), "width": size_wh[0], "height": size_wh[1], "upright": False}
    seen = LoadPhoto().transform(row)
    assert seen["img"].shape[:2] == seen["img_shape"] == seen["ori_shape"] == seen_hw
    assert seen["img"][0, 0].tolist() == [9, 0, 255]
    assert seen["img"].any(axis=2).sum() == np.prod(size_wh), "the rest is black"


def test_a_broken_photo_in_training_is_named(tmp_path):
    coco_file = write_photos(tmp_path / "photos", count=2)
    (coco_file.parent / "image" / "000001.jpg").write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"000001\.jpg: expected an image"):
        train(coco_file, tmp_path / "work")


def test_another_models_checkpoint_is_refused(trained, tmp_path):
    content = checkpoints.read_checkpoint(trained)
    content["meta"]["config_json"] = '{"default_scope": "mmpose"}'
    checkpoints.save_checkpoint(tmp_path / "a.pth", content)
    with pytest.raises(InputError, match="expected a detector"):
        detector.build_detector(tmp_path / "a.pth")


def test_garments_are_labelled_by_id_and_clipped(coco_file):
    dataset = GarmentBoxes(ann_file=str(coco_file), data_prefix={"img": "image"}, pipeline=[])
    garments = load_coco(coco_file).instances
    assert len(dataset) == 24
    row = dataset.get_data_info(3)
    assert row["instances"][0]["bbox_label"] == garments.category_id[3] - 1
    x, y, w, h = garments.bbox_xywh[3]
    assert row["instances"][0]["bbox"] == [x, y, x + w, y + h]


def test_remembered_photos_do_not_share_changes():
    calls = []
    remembered = Remembered([])
    remembered.transforms = lambda results: calls.append(1) or {"img": np.zeros(3), "flags": [1]}
    first = remembered({"img_id": 7})
    first["img"] += 1
    first["flags"].append(2)
    second = remembered({"img_id": 7})
    assert second["img"].sum() == 0 and second["flags"] == [1] and len(calls) == 1


def test_several_threads_train_without_harm(tmp_path):
    """In a process of its own: what this is about ends a process instead of failing."""
    write_dataset(tmp_path / "raw", train=16, validation=0, test=0, workers=1)
    convert_split(tmp_path / "raw", "train", tmp_path / "coco.json", workers=1)
    program = (
        "import sys, torch; torch.set_num_threads(2)\n"
        "from kps.models import training; from kps.models.detector import detector_config\n"
        "coco, images, work = sys.argv[1:]\n"
        "config = detector_config('htc_tiny', coco_file=coco, image_dir=images, work_dir=work)\n"
        "training.train(config)"
    )
    paths = [tmp_path / "coco.json", tmp_path / "raw" / "train" / "image", tmp_path / "work"]
    command = [sys.executable, "-c", program, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
