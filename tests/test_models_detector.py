"""The detector: it learns boxes, and what it writes is fit for the next step."""

import subprocess
import sys

import numpy as np
import pytest
from builders import REAL_SAMPLE, needs_real_sample
from garment_photos import write_photos
from PIL import Image
from small_models import detector_config

from kps.data.coco import load_coco
from kps.data.convert import convert_split
from kps.files import InputError
from kps.models import checkpoints, detector, training
from kps.models.detector import GarmentBoxes, LoadPhoto, Remembered
from kps.results.detections import load_detections, save_detections
from kps.synthetic import write_dataset

ARCHITECTURES = ("htc", "cascade")


@pytest.fixture(scope="module")
def coco_file(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), count=24)


def train(coco_file, work_dir, **changes):
    image_dir = changes.pop("image_dir", coco_file.parent / "image")
    settings = {"size": "tiny", "coco_file": coco_file, "image_dir": image_dir, "work_dir": work_dir}
    return training.train(detector_config(**{**settings, **changes}))


@pytest.fixture(scope="module")
def trained(coco_file, tmp_path_factory):
    return train(coco_file, tmp_path_factory.mktemp("work"), epochs=40)


@pytest.fixture(scope="module")
def found(trained, coco_file):
    return detector.detect(trained, load_coco(coco_file), coco_file.parent / "image")


def overlap(a_xywh, b_xywh):
    a, b = np.asarray(a_xywh), np.asarray(b_xywh)
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    common = np.prod(np.clip(sides, 0, None))
    return common / (np.prod(a[2:]) + np.prod(b[2:]) - common)


def test_the_loss_falls(trained):
    loss = training.load_history(trained.parent).loss
    assert loss.iloc[-3:].mean() < 0.5 * loss.iloc[:3].mean()


def test_the_best_box_is_the_garment(found, coco_file):
    garments = load_coco(coco_file).instances
    hits = 0
    for image_id, kind, box in zip(garments.image_id, garments.category_id, garments.bbox_xywh, strict=True):
        rows = np.flatnonzero(found.image_id == image_id)
        best = rows[np.argmax(found.score[rows])]
        hits += found.category_id[best] == kind and overlap(found.bbox_xywh[best], box) > 0.5
    assert hits > 0.8 * len(garments)


def test_boxes_are_a_valid_box_file(found, coco_file, tmp_path):
    save_detections(tmp_path / "boxes.json", found)
    read = load_detections(tmp_path / "boxes.json")
    assert read.detection_id.tolist() == list(range(1, len(found) + 1))
    right, bottom = (read.bbox_xywh[:, :2] + read.bbox_xywh[:, 2:]).max(axis=0)
    assert (read.bbox_xywh[:, :2] >= 0).all() and right <= 120.01 and bottom <= 160.01
    assert (read.score >= 0.01).all() and (read.score <= 1).all()
    for image_id in np.unique(read.image_id):
        assert (np.diff(read.score[read.image_id == image_id]) <= 0).all()


def test_batches_and_limits_change_only_what_they_say(found, trained, coco_file):
    coco, image_dir = load_coco(coco_file), coco_file.parent / "image"
    single = detector.detect(trained, coco, image_dir, batch_size=1)
    assert np.abs(single.bbox_xywh - found.bbox_xywh).max() < 0.01
    few = detector.detect(trained, coco, image_dir, score_threshold=0.2, max_per_image=2)
    assert few.score.min() >= 0.2 and np.unique(few.image_id, return_counts=True)[1].max() <= 2
    assert few.score.max() == pytest.approx(found.score.max(), abs=1e-6)


def test_several_scales_and_the_mirror_image_find_the_garments_too(trained, coco_file):
    coco = load_coco(coco_file)
    merged = detector.detect(trained, coco, coco_file.parent / "image", augment=True)
    best = merged.take(np.unique(merged.image_id, return_index=True)[1])
    truth = dict(zip(coco.instances.image_id.tolist(), coco.instances.bbox_xywh, strict=True))
    overlaps = [overlap(box, truth[image]) for box, image in zip(best.bbox_xywh, best.image_id.tolist(), strict=True)]
    assert len(best) == len(coco.images) and np.median(overlaps) > 0.6
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


@needs_real_sample
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_real_photos_are_taken(tmp_path, architecture):
    coco_file, image_dir = REAL_SAMPLE / "train_coco.json", REAL_SAMPLE / "image"
    final = train(coco_file, tmp_path, image_dir=image_dir, epochs=1, architecture=architecture)
    coco = load_coco(coco_file)
    found = detector.detect(final, coco, image_dir, score_threshold=0.0, max_per_image=5)
    assert set(found.image_id) == set(coco.image_ids.tolist())
    sizes = {row.id: (row.width, row.height) for row in coco.images}
    ends = found.bbox_xywh[:, :2] + found.bbox_xywh[:, 2:]
    assert (ends <= np.array([sizes[int(i)] for i in found.image_id]) + 0.01).all()


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
