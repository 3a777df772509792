"""The shipped configurations with a test's settings laid over them."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from kps.aggregation import Aggregation
from kps.models import detector, hooks, landmarks

OPTIONS = {
    "batch_size": "train_dataloader.batch_size",
    "workers": "train_dataloader.num_workers",
    "samples_per_epoch": "train_dataloader.sampler.samples_per_epoch",
    "learning_rate": "optim_wrapper.optimizer.lr",
    "accumulate": "optim_wrapper.accumulative_counts",
}
LANDMARKS = {"tiny": "hrnet_tiny", "lite": "lite", "demo": "hrnet_demo", "paper": "hrnet_w48"}
HAND = Aggregation.named("hand81")


def landmark_config(*, size: str = "tiny", aggregation: Aggregation = HAND, **settings: Any) -> Config:
    return landmarks.landmark_config(LANDMARKS[size], aggregation=aggregation, **split(settings))


def detector_config(*, architecture: str = "htc", size: str = "tiny", **settings: Any) -> Config:
    return detector.detector_config(f"{architecture}_{'x101' if size == 'paper' else size}", **split(settings))


def split(settings: dict[str, Any]) -> dict[str, Any]:
    """What is laid over a configuration as `options`, and the rest; photos lie beside their file if not said."""
    options = {OPTIONS[name]: value for name, value in settings.items() if name in OPTIONS and value is not None}
    if settings.get("amp"):
        options |= {"optim_wrapper.type": "AmpOptimWrapper", "optim_wrapper.dtype": "bfloat16"}
    if settings.get("ema"):
        hook = {"type": "StepEMAHook", "ema_type": "ExponentialMovingAverage", "momentum": settings["ema"]}
        options["custom_hooks"] = [hook]
    rest = {name: value for name, value in settings.items() if name not in (*OPTIONS, "amp", "ema")}
    return {"options": options, "image_dir": Path(rest["coco_file"]).parent / "image", **rest}


def interrupt_at(patch: Any, iteration: int) -> None:
    """Make training stop as by Ctrl-C before an iteration, counted from 0."""

    def stop(self: hooks.ProgressHook, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == iteration:
            raise KeyboardInterrupt

    patch.setattr(hooks.ProgressHook, "before_train_iter", stop)
