#!/usr/bin/env python
"""Speed and memory of the paper's models on a GPU, and what every experiment would take there.

Draws a small built-in set, trains HTC, Cascade R-CNN and HRNet-w48 at full input size for some iterations,
predicts, and prints a page for docs/. One call takes a few minutes on a data-centre GPU; `--size tiny` tries
it anywhere.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from kps.models.detector_config import detector_config
from kps.models.landmark_config import landmark_config
from mmengine.config import Config

from kps.aggregation import Aggregation
from kps.data.coco import Coco, load_coco
from kps.data.prepare import prepare_built_in
from kps.files import InputError, atomic_path
from kps.flow.estimates import Speeds, total
from kps.flow.experiments import ALL
from kps.flow.profiles import load_profile, make_plan
from kps.models.detector import detect
from kps.models.landmarks import predict_landmarks
from kps.models.training import load_history, train
from kps.results.detections import ground_truth_detections
from kps.workspace import Workspace


@dataclass(frozen=True)
class Row:
    """One measured thing."""

    what: str
    per_second: float
    unit: str
    memory_gb: float


def main() -> int:
    """Read the options, measure, print the page; 1 without a GPU or where the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", default="paper", help="of the models: paper, demo or tiny (paper)")
    parser.add_argument("--photos", type=int, default=96, help="of the training split drawn (96)")
    parser.add_argument("--iterations", type=int, default=30, help="of the landmark model (30)")
    parser.add_argument("--batch", type=int, default=48, help="crops a step (48)")
    parser.add_argument("--out", type=Path, help="write the page there too")
    arguments = parser.parse_args()
    if arguments.size == "paper" and not torch.cuda.is_available():
        print("bench_gpu: expected a GPU, but there is none; --size tiny tries the script", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory() as folder:
            page = measure(Workspace(Path(folder)), arguments)
    except InputError as error:
        print(f"bench_gpu: {error}", file=sys.stderr)
        return 1
    print(page)
    if arguments.out:
        with atomic_path(arguments.out) as temporary:
            temporary.write_text(page)
    return 0


def measure(work: Workspace, arguments: argparse.Namespace) -> str:
    """Measure all models and return the page."""
    splits = prepare_built_in(work, photos={"train": arguments.photos, "validation": 24, "test": 1}, seed=0)
    rows = landmark_rows(work, splits["validation"], arguments)
    for architecture in ("htc", "cascade"):
        rows += detector_rows(work, splits["validation"], architecture, arguments.size)
    return page_of(rows, arguments)


def landmark_rows(work: Workspace, validation: Coco, arguments: argparse.Namespace) -> list[Row]:
    """Training and prediction of the universal landmark model."""
    config = landmark_config(
        size=arguments.size, aggregation=Aggregation.named("hand81"), coco_file=work.coco("train"),
        image_dir=work.image_dir("train"), work_dir=work.universal_dir("hand81"), epochs=2,
        batch_size=arguments.batch, samples_per_epoch=arguments.batch * max(1, arguments.iterations // 2),
        amp=torch.cuda.is_available(),
    )  # fmt: skip
    trained = _training(config, work.universal_dir("hand81"), arguments.batch, "HRNet, training", "crops")
    boxes = ground_truth_detections(validation)

    def predict() -> None:
        checkpoint = work.universal_dir("hand81") / "final.pth"
        predict_landmarks(checkpoint, boxes, validation, work.image_dir("validation"), flip_test=False)

    return [trained, _timed(predict, len(boxes), "HRNet, prediction with decoding of photos", "crops")]


def detector_rows(work: Workspace, validation: Coco, architecture: str, size: str) -> list[Row]:
    """Training, and test at three scales with flip, of a detector."""
    folder = work.detector_dir(architecture)
    config = detector_config(
        architecture=architecture, size=size, coco_file=work.coco("train"), image_dir=work.image_dir("train"),
        work_dir=folder, epochs=1, amp=torch.cuda.is_available(),
    )  # fmt: skip
    batch = config.train_dataloader.batch_size
    trained = _training(config, folder, batch, f"{architecture}, training", "photos")
    views = len(config.augmented_test_pipeline[1]["transforms"][0]) * 2

    def test() -> None:
        photos = work.image_dir("validation")
        detect(folder / "final.pth", load_coco(work.coco("validation")), photos, augment=True, batch_size=2)

    number = len(validation.images) * views
    return [trained, _timed(test, number, f"{architecture}, test with augmentation", "views")]


def _training(config: Config, folder: Path, batch: int, what: str, unit: str) -> Row:
    """Samples a second between the first and the last report, so that warming up does not count."""
    _forget_memory()
    train(config)
    history = load_history(folder)
    seconds = history.seconds_per_iteration * history.iteration
    first, last = history.iteration.iloc[0], history.iteration.iloc[-1]
    if last > first:
        rate = (last - first) / (seconds.iloc[-1] - seconds.iloc[0])
    else:
        rate = 1 / history.seconds_per_iteration.iloc[-1]
    return Row(what, batch * rate, unit, _memory())


def _timed(function, count: int, what: str, unit: str) -> Row:
    function()  # warm up: kernels are chosen, files are cached
    _forget_memory()
    started = time.monotonic()
    function()
    return Row(what, count / (time.monotonic() - started), unit, _memory())


def _forget_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _memory() -> float:
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else float("nan")


def page_of(rows: list[Row], arguments: argparse.Namespace) -> str:
    """The measured table and, at the paper's size, the hours of every experiment."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    table = ["| what | a second | unit | peak GPU memory, GB |", "|---|---:|---|---:|"]
    table += [f"| {r.what} | {r.per_second:.1f} | {r.unit} | {r.memory_gb:.1f} |" for r in rows]
    command = f"scripts/bench_gpu.py --size {arguments.size} --batch {arguments.batch}"
    lines = ["# Speed on a GPU", "", f"{device}, torch {torch.__version__}; `{command}`", "", *table]
    if arguments.size != "paper":
        return "\n".join([*lines, "", "Not the paper's size, so no hours are estimated.", ""])
    by_name = {row.what: row.per_second for row in rows}
    speeds = Speeds(
        train_crops=by_name["HRNet, training"],
        predict_crops=by_name["HRNet, prediction with decoding of photos"],
        train_photos_htc=by_name["htc, training"],
        train_photos_cascade=by_name["cascade, training"],
        test_views=by_name["htc, test with augmentation"],
    )
    plan = make_plan(load_profile("paper", [ALL]), {"01_prepare_data": {"data_root": "."}})
    hours = {}
    for step in plan:
        hours.setdefault(step.notebook, []).append(step)
    lines += ["", "Estimated from these speeds:", "", "| steps | number | GPU hours |", "|---|---:|---:|"]
    lines += [
        f"| {notebook} | {len(steps)} | {total(steps, speeds).gpu_hours:.1f} |"
        for notebook, steps in hours.items()
        if total(steps, speeds).gpu_hours
    ]
    return "\n".join([*lines, f"| all | {len(plan)} | {total(plan, speeds).gpu_hours:.1f} |", ""])


if __name__ == "__main__":
    sys.exit(main())
