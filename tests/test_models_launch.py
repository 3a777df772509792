"""Several processes: they learn what one does with the doubled batch, and predict each detection once."""

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


def test_two_processes_learn_what_one_does_with_the_doubled_batch(coco_file, universal, tmp_path):
    """The statistics of normalisation are frozen, since each process would take its own batch's."""
    category_id = int(load_coco(coco_file).instances.category_id[0])
    curves, weights = [], []
    for processes in (1, 2):
        config = make_config(
            coco_file,
            tmp_path / str(processes),
            category_id=category_id,
            init_checkpoint=universal,
            samples_per_epoch=32,
            batch_size=8 // processes,
        )
        # Adam would blow up rounding wherever a gradient is next to nothing.
        config.optim_wrapper.optimizer = {"type": "SGD", "lr": 0.1, "weight_decay": 0.0}
        config.model.data_preprocessor.colour_jitter = 0.0  # drawn for each process's batch
        final = train(config, processes=processes)
        curves.append(load_history(final.parent))
        weights.append(checkpoints.load_weights(final))
    assert curves[0].iteration.tolist() == curves[1].iteration.tolist() == [1, 2, 3, 4]
    one, two = (curve.learning_rate.to_numpy() for curve in curves)
    np.testing.assert_allclose(one, two)
    one, two = (curve.loss.to_numpy() for curve in curves)
    np.testing.assert_allclose(one, two, rtol=1e-4)
    start = checkpoints.load_weights(universal)
    moved = sum(float((weights[0][name] - start[name]).double().square().sum()) for name in start)
    apart = sum(float((weights[0][name] - weights[1][name]).double().square().sum()) for name in start)
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
