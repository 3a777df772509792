"""Several processes and accumulated gradients learn what the whole batch does; photos are shared out once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from garment_photos import write_photos

from kps.aggregation import Aggregation
from kps.coco import load_coco
from kps.configs.detector import detector_config
from kps.configs.landmarks import landmark_config
from kps.detections import ground_truth_detections, save_detections
from kps.errors import InputError
from kps.models import checkpoints
from kps.models.detector import detect
from kps.models.landmarks import predict_landmarks
from kps.models.launch import detect_by_processes, predict_by_processes
from kps.models.processes import run_processes
from kps.models.training import load_history, train

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As torchrun gives each process, so that sums are rounded alike."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def coco_file(tmp_path_factory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def make_config(coco_file: Path, work_dir: Path, **changes):
    settings = {"size": "tiny", "epochs": 1, "seed": 3, **changes}
    data = {"coco_file": coco_file, "image_dir": coco_file.parent / "image"}
    return landmark_config(aggregation=Aggregation.named("hand81"), work_dir=work_dir, **data, **settings)


@pytest.fixture(scope="module")
def universal(coco_file, tmp_path_factory) -> Path:
    """A checkpoint to start from."""
    return train(make_config(coco_file, tmp_path_factory.mktemp("universal")))


@pytest.fixture(scope="module")
def whole_batch(coco_file, universal, tmp_path_factory) -> Path:
    """What one process learns with the whole batch."""
    return train(finetuning(coco_file, universal, tmp_path_factory.mktemp("whole"), batch_size=8))


def finetuning(coco_file: Path, universal: Path, work_dir: Path, **changes):
    """The statistics of normalisation are frozen, since each iteration would take its own batch's."""
    config = make_config(
        coco_file,
        work_dir,
        category_id=int(load_coco(coco_file).instances.category_id[0]),
        init_checkpoint=universal,
        samples_per_epoch=36,  # thus the last batch of an epoch is smaller
        epochs=2,
        ema=0.3,
        **changes,
    )
    # Adam would blow up rounding wherever a gradient is next to nothing.
    config.optim_wrapper.optimizer = {"type": "SGD", "lr": 0.1, "weight_decay": 0.0}
    config.model.data_preprocessor.colour_jitter = 0.0  # drawn for each process's batch
    config.auto_scale_lr = {"enable": True, "base_batch_size": 16}
    return config


@pytest.mark.parametrize(("processes", "accumulate"), [(2, 1), (1, 2), (2, 2)])
def test_parts_of_a_batch_teach_what_the_whole_does(
    coco_file, universal, whole_batch, tmp_path, processes, accumulate
):
    changes = {"batch_size": 8 // processes // accumulate, "accumulate": accumulate}
    final = train(finetuning(coco_file, universal, tmp_path, **changes), processes=processes)
    one, parts = load_history(whole_batch.parent), load_history(final.parent)
    steps = [
        rows.iloc[i : i + accumulate].mean()
        for _, rows in parts.groupby("epoch")
        for i in range(0, len(rows), accumulate)
    ]
    assert len(steps) == len(one) == 10
    np.testing.assert_allclose([step.learning_rate for step in steps], one.learning_rate)
    np.testing.assert_allclose([step.loss for step in steps], one.loss, rtol=1e-4)
    start, ours, theirs = (checkpoints.load_weights(path) for path in (universal, final, whole_batch))
    moved = sum(float((theirs[name] - start[name]).double().square().sum()) for name in start)
    apart = sum(float((theirs[name] - ours[name]).double().square().sum()) for name in start)
    assert moved > 0 and apart < 1e-6 * moved


def test_two_processes_predict_each_detection_once(coco_file, universal, tmp_path):
    coco, images = load_coco(coco_file), coco_file.parent / "image"
    boxes = ground_truth_detections(coco)
    save_detections(tmp_path / "boxes.json", boxes)
    every = dict.fromkeys(range(1, 14), universal)
    options = {"flip_test": False, "processes": 2}
    shared = predict_by_processes(every, tmp_path / "boxes.json", coco_file, images, **options)
    alone = predict_landmarks(universal, boxes, coco, images, flip_test=False)
    assert shared.detection_id.tolist() == alone.detection_id.tolist()
    np.testing.assert_allclose(shared.keypoints, alone.keypoints, atol=0.02)


def test_two_processes_detect_what_one_does(coco_file, tmp_path):
    coco, images = load_coco(coco_file), coco_file.parent / "image"
    config = detector_config(
        size="tiny", coco_file=coco_file, image_dir=images, work_dir=tmp_path, epochs=1, seed=0
    )
    checkpoint = train(config)
    shared = detect_by_processes(checkpoint, coco_file, images, processes=2)
    alone = detect(checkpoint, coco, images, batch_size=1)
    assert len(alone) and shared.image_id.tolist() == alone.image_id.tolist()
    assert shared.detection_id.tolist() == alone.detection_id.tolist()
    np.testing.assert_allclose(shared.bbox_xywh, alone.bbox_xywh, atol=0.1)


def test_a_failing_process_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"one of 2 processes of kps\.models\.launch failed"):
        run_processes(["kps.models.launch", "train", str(tmp_path / "none.json")], 2)
