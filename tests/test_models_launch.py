"""Several processes and accumulated gradients learn what the whole batch does; photos are shared out once."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from garment_photos import write_photos
from small_models import detector_config, interrupt_at, landmark_config

from kps.data.coco import load_coco
from kps.files import InputError, write_json
from kps.models import checkpoints, hooks, launch
from kps.models.detector import detect
from kps.models.landmarks import predict_landmarks
from kps.models.launch import detect_by_processes, predict_by_processes, run_processes
from kps.models.training import load_history, train
from kps.results.detections import ground_truth_detections, save_detections
from kps.workspace import REPOSITORY

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


@pytest.fixture(scope="module")
def universal(coco_file, tmp_path_factory) -> Path:
    """A checkpoint to start from."""
    return train(landmark_config(coco_file=coco_file, work_dir=tmp_path_factory.mktemp("work"), epochs=1, seed=3))


@pytest.fixture(scope="module")
def whole_batch(coco_file, universal, tmp_path_factory) -> Path:
    """What one process learns with the whole batch."""
    return train(finetuning(coco_file, universal, tmp_path_factory.mktemp("whole"), batch_size=8))


def finetuning(coco_file: Path, universal: Path, work_dir: Path, **changes):
    """The statistics of normalisation are frozen, since each iteration would take its own batch's."""
    category_id = int(load_coco(coco_file).instances.category_id[0])
    settings = {"category_id": category_id, "init_checkpoint": universal, "ema": 0.3, "epochs": 2, "seed": 3}
    settings["samples_per_epoch"] = 36  # thus the last batch of an epoch is smaller
    config = landmark_config(coco_file=coco_file, work_dir=work_dir, **{**settings, **changes})
    # Adam would blow up rounding wherever a gradient is next to nothing.
    config.optim_wrapper.optimizer = {"type": "SGD", "lr": 0.1, "weight_decay": 0.0}
    config.model.data_preprocessor.batch_augments = None  # drawn for each process's batch
    config.auto_scale_lr = {"enable": True, "base_batch_size": 16}
    return config


def comparable_config(coco_file: Path, universal: Path, work_dir: Path, **changes):
    """Four iterations that learn nearly the same, whatever the number of processes that share the batch."""
    settings = {"samples_per_epoch": 32, "epochs": 1, "ema": None, **changes}
    return finetuning(coco_file, universal, work_dir, **settings)


def assert_alike(start: Path, one: Path, other: Path) -> None:
    """Two checkpoints are much nearer to each other than to the one that both started from."""
    start, one, other = map(checkpoints.load_weights, (start, one, other))
    moved = sum(float((one[name] - start[name]).double().square().sum()) for name in start)
    apart = sum(float((one[name] - other[name]).double().square().sum()) for name in start)
    assert moved > 0 and apart < 1e-6 * moved


MACHINE = """
import sys
import pytest
from small_models import interrupt_at
from kps.models import hooks, launch
hooks.STATE_SECONDS = 0.0
interrupt_at(pytest.MonkeyPatch(), int(sys.argv.pop()))
sys.exit(launch.main())
"""


def run_two_machines(config_file: Path, *, until: int) -> None:
    """Train by torchrun as on two machines with a process each, stopped before an iteration."""
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    script = config_file.parent.parent / "machine.py"
    script.write_text(MACHINE)
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
    command += ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"localhost:{port}", str(script)]
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    options = {"cwd": REPOSITORY, "env": {**os.environ, "PYTHONPATH": paths}, "stderr": subprocess.DEVNULL}
    machines = [subprocess.Popen([*command, "train", str(config_file), str(until)], **options) for _ in "ab"]
    for machine in machines:
        machine.wait(timeout=300)


@pytest.mark.parametrize(("processes", "accumulate"), [(2, 1), (1, 2), (2, 2)])
def test_parts_of_a_batch_teach_what_the_whole_does(coco_file, universal, whole_batch, tmp_path, processes, accumulate):
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
    assert_alike(universal, whole_batch, final)


@pytest.mark.parametrize("breaks_off", [False, True], ids=["to the end", "and goes on by itself"])
def test_a_step_goes_on_over_two_machines(coco_file, universal, tmp_path, monkeypatch, breaks_off):
    """As docs/paper_size.md has it: a step starts, torchrun goes on, and the step finds its work."""
    expected = train(comparable_config(coco_file, universal, tmp_path / "unbroken"))
    config = comparable_config(coco_file, universal, tmp_path / "moved")
    monkeypatch.setattr(hooks, "STATE_SECONDS", 0.0)
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        interrupt_at(patch, 1)
        train(config)
    run_two_machines(tmp_path / "moved" / "config.json", until=3 if breaks_off else 99)
    final = tmp_path / "moved" / "final.pth"
    assert final.exists() != breaks_off
    assert [path.stem for path in hooks.saved_states(final.parent)] == ["state_3", "state_2"] * breaks_off
    if not breaks_off:
        monkeypatch.setattr("kps.models.training.ResumableRunner.from_cfg", None)
    assert train(config) == final, "by one process again"
    assert_alike(universal, expected, final)
    assert load_history(final.parent).iteration.tolist() == [1, 2, 3, 4]


def test_a_batch_that_cannot_be_shared_is_one_line(coco_file, tmp_path, monkeypatch):
    config = landmark_config(coco_file=coco_file, work_dir=tmp_path, batch_size=4)
    write_json(tmp_path / "config.json", config.to_dict())
    monkeypatch.setattr(launch, "get_world_size", lambda: 3)
    with pytest.raises(InputError, match=r"expected its batch of 4 to be shared evenly, but by 3"):
        launch._train(tmp_path / "config.json")


def test_two_processes_predict_each_detection_once(coco_file, universal, tmp_path):
    coco, images = load_coco(coco_file), coco_file.parent / "image"
    boxes = ground_truth_detections(coco)
    save_detections(tmp_path / "boxes.json", boxes)
    every = dict.fromkeys(range(1, 14), universal)
    given = (every, tmp_path / "boxes.json", coco_file, images)
    shared = predict_by_processes(*given, flip_test=False, processes=2)
    alone = predict_landmarks(universal, boxes, coco, images, flip_test=False)
    assert shared.detection_id.tolist() == alone.detection_id.tolist()
    np.testing.assert_allclose(shared.keypoints, alone.keypoints, atol=0.02)


def test_two_processes_detect_what_one_does(coco_file, tmp_path):
    coco, images = load_coco(coco_file), coco_file.parent / "image"
    checkpoint = train(detector_config(coco_file=coco_file, work_dir=tmp_path, epochs=1))
    shared = detect_by_processes(checkpoint, coco_file, images, processes=2)
    alone = detect(checkpoint, coco, images, batch_size=1)
    assert len(alone) and shared.image_id.tolist() == alone.image_id.tolist()
    assert shared.detection_id.tolist() == alone.detection_id.tolist()
    np.testing.assert_allclose(shared.bbox_xywh, alone.bbox_xywh, atol=0.1)


def test_more_processes_than_gpus_are_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["launch", "train", "config.json"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert launch.main() == 1
    assert capsys.readouterr().err == "kps: expected a GPU for each process, but got process 3 and 2 GPUs\n"


def test_a_failing_process_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"one of 2 processes of kps\.models\.launch failed"):
        run_processes(["kps.models.launch", "train", str(tmp_path / "none.json")], 2)
