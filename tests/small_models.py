"""The shipped configurations with a test's settings laid over them."""

from typing import Any

from mmengine.config import Config

from kps.models import detector, landmarks

OPTIONS = {
    "batch_size": "train_dataloader.batch_size",
    "workers": "train_dataloader.num_workers",
    "samples_per_epoch": "train_dataloader.sampler.samples_per_epoch",
    "learning_rate": "optim_wrapper.optimizer.lr",
    "accumulate": "optim_wrapper.accumulative_counts",
}
LANDMARKS = {"tiny": "hrnet_tiny", "demo": "hrnet_demo", "paper": "hrnet_w48"}


def landmark_config(*, size: str = "tiny", **settings: Any) -> Config:
    options, rest = split(settings)
    return landmarks.landmark_config(LANDMARKS[size], options=options, **rest)


def detector_config(*, architecture: str = "htc", size: str = "tiny", **settings: Any) -> Config:
    options, rest = split(settings)
    return detector.detector_config(f"{architecture}_{'x101' if size == 'paper' else size}", options=options, **rest)


def split(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is laid over a configuration, and the rest."""
    options = {OPTIONS[name]: value for name, value in settings.items() if name in OPTIONS and value is not None}
    if settings.get("amp"):
        options |= {"optim_wrapper.type": "AmpOptimWrapper", "optim_wrapper.dtype": "bfloat16"}
    if settings.get("ema"):
        hook = {"type": "StepEMAHook", "ema_type": "ExponentialMovingAverage", "momentum": settings["ema"]}
        options["custom_hooks"] = [hook]
    return options, {name: value for name, value in settings.items() if name not in (*OPTIONS, "amp", "ema")}
