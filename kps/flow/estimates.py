"""What a plan of the paper's size would cost: GPU hours and disk, estimated, never measured.

The speeds assumed are those of one data-centre GPU in mixed precision. HRNet-w48 at 384 x 512 takes 125.5
GFLOP a crop forward and three times that in training; the detectors' speeds are guesses. scripts/bench_gpu.py
measures them on your GPU.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kps.flow.profiles import Step
from kps.flow.steps import DETECTOR, FINETUNE, LANDMARKS, PREDICT, PREPARE
from kps.report.tables import PAPER
from kps.workspace import GROUND_TRUTH

SIZE = "paper"
TRAIN_PHOTOS, VALIDATION_PHOTOS, TEST_PHOTOS = 191_961, 32_153, 62_629
EPOCHS = {LANDMARKS: 12, FINETUNE: 12, DETECTOR: 20}
VIEWS = 6  # three scales, each mirrored
BOXES_PER_PHOTO = 6  # above score 0.01
GB = {PREPARE: 3.0, DETECTOR: 0.6, LANDMARKS: 0.26, FINETUNE: 0.26, PREDICT: 0.3}


@dataclass(frozen=True)
class Speeds:
    """What a GPU does a second: crops of the landmark model, photos and test views of the detectors."""

    train_crops: float = 300.0
    predict_crops: float = 900.0
    train_photos_htc: float = 5.0
    train_photos_cascade: float = 8.0
    test_views: float = 25.0


ASSUMED = Speeds()


@dataclass(frozen=True)
class Estimate:
    """GPU hours of one step, and the disk it keeps, in GB."""

    gpu_hours: float
    disk_gb: float


def estimate(step: Step, speeds: Speeds = ASSUMED) -> Estimate:
    """Return what a step of the paper's size would cost."""
    return Estimate(_seconds(step, speeds) / 3600, GB.get(step.notebook, 0.01))


def total(steps: Iterable[Step], speeds: Speeds = ASSUMED) -> Estimate:
    """Return the sum over steps."""
    each = [estimate(step, speeds) for step in steps]
    return Estimate(sum(one.gpu_hours for one in each), sum(one.disk_gb for one in each))


def _seconds(step: Step, speeds: Speeds) -> float:
    given = step.parameters
    epochs = given.get("epochs") or EPOCHS.get(step.notebook, 0)
    items = PAPER["table3"]["num_train"]
    if step.notebook == LANDMARKS:
        return sum(items) * epochs / speeds.train_crops
    if step.notebook == FINETUNE:
        return items[given.get("category_id", 1) - 1] * epochs / speeds.train_crops
    if step.notebook == DETECTOR:
        rate = getattr(speeds, f"train_photos_{given.get('detector', 'htc')}")
        return TRAIN_PHOTOS * epochs / rate + (VALIDATION_PHOTOS + TEST_PHOTOS) * VIEWS / speeds.test_views
    if step.notebook == PREDICT:
        views = 2 if given.get("flip_test", True) else 1
        on_truth = given.get("boxes") == GROUND_TRUTH
        photos = VALIDATION_PHOTOS + TEST_PHOTOS
        boxes = sum(PAPER["table3"]["num_val"]) if on_truth else photos * BOXES_PER_PHOTO
        return boxes * views / speeds.predict_crops
    return 0.0
