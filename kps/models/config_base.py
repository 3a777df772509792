"""What the detector's and the landmark model's configurations share: run time, loaders, schedules.

Plain dictionaries in the notation of mmengine. Type names carry no dots: `kps.models.checkpoints` refuses a
stored configuration that has one, since mmengine would import and call whatever such a name points to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from kps.files import InputError
from kps.schema import package_data

PUBLIC = "public"  # as `pretrained`: the public COCO weights that the paper starts from
SIZES = ("tiny", "demo", "paper")  # seconds on a CPU (tests), minutes on a CPU, the paper's on GPUs


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """Return `value`, or raise InputError where it is none of the choices."""
    if value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(map(str, choices))}, but got {value!r}")
    return value


def check_positive(name: str, value: int) -> int:
    """Return `value`, or raise InputError where it is no positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name}: expected a positive integer, but got {value!r}")
    return value


def absolute(path: Path | str) -> str:
    """Return the path in absolute form, so that a run can be resumed from any folder."""
    return str(Path(path).expanduser().resolve())


def runtime(*, scope: str, work_dir: Path | str, seed: int, epochs: int, load_from: Path | None = None) -> dict:
    """Return the part of a configuration that says how to train, whatever the model.

    Args:
        scope: "mmdet" or "mmpose", the registry that type names are looked up in first.
        load_from: a checkpoint of the same model whose weights to start from (not its optimizer).
    """
    return {
        "default_scope": scope,
        "work_dir": absolute(work_dir),
        "randomness": {"seed": int(seed)},
        "train_cfg": {"by_epoch": True, "max_epochs": check_positive("epochs", epochs)},
        "load_from": None if load_from is None else absolute(load_from),
        "env_cfg": {"cudnn_benchmark": scope == "mmpose", "mp_cfg": {"opencv_num_threads": 0}},
    }


def train_loader(dataset: dict, *, batch_size: int, workers: int) -> dict:
    """Return a shuffling loader."""
    return {
        "batch_size": check_positive("batch_size", batch_size),
        "num_workers": int(workers),
        "persistent_workers": False,
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        "drop_last": False,
        "dataset": dataset,
    }


def cosine(*, epochs: int, warm_up_iterations: int) -> list[dict]:
    """Return a learning rate that rises linearly and falls along a cosine to nothing, both per iteration."""
    fall = {
        "type": "CosineAnnealingLR",
        "T_max": epochs,
        "eta_min": 0.0,
        "by_epoch": True,
        "begin": 0,
        "end": epochs,
    }
    return [_warm_up(warm_up_iterations), {**fall, "convert_to_iter_based": True}]


def steps(*, epochs: int, milestones: tuple[float, ...], warm_up_iterations: int) -> list[dict]:
    """Return a learning rate that falls tenfold at the milestones, given as shares of the run."""
    epochs_of_fall = sorted({max(1, round(share * epochs)) for share in milestones})
    fall = {"type": "MultiStepLR", "by_epoch": True, "begin": 0, "end": epochs, "milestones": epochs_of_fall}
    return [_warm_up(warm_up_iterations), {**fall, "gamma": 0.1}]


def public_weights(name: str) -> str:
    """Return the URL of public weights: "htc", "cascade" or "hrnet_w48"."""
    return orjson.loads(package_data("configs/public_weights.json"))[name]


def weights_to_start_from(pretrained: str | None, name: str) -> str | None:
    """Resolve a `pretrained` parameter: PUBLIC is the URL of `name`, a path is made absolute."""
    if pretrained == PUBLIC:
        return public_weights(name)
    return pretrained if pretrained is None or "://" in pretrained else absolute(pretrained)


def refine(
    config: dict,
    *,
    amp: bool = False,
    accumulate: int = 1,
    ema: float | None = None,
    held_out: float = 0.0,
    category_id: int | None = None,
) -> dict:
    """Return a training configuration with what has nothing to do with the model.

    Args:
        amp: mixed precision in bfloat16, on a GPU.
        accumulate: iterations whose gradients make one step: their batch sizes add up, also for the learning
            rate; only the statistics of batch norm, where it is trained, are of one iteration.
        ema: share of each step's weights in a moving average, such as 2e-4, which then is kept; None: none.
        held_out: share of the photos that is not learnt from; the weights of the epoch that scores best on it
            are kept. 0: all photos are learnt from, and the last weights kept.
        category_id: score this category only.

    Raises:
        InputError: a number out of range.
    """
    if not 0 <= held_out < 0.5 or not (ema is None or 0 < ema < 1):
        raise InputError(f"expected held_out in 0..0.5 and ema in 0..1, but got {held_out} and {ema}")
    wrapper = {**config["optim_wrapper"], "accumulative_counts": check_positive("accumulate", accumulate)}
    if amp:
        wrapper |= {"type": "AmpOptimWrapper", "dtype": "bfloat16"}
    hooks = []
    if ema is not None:
        hooks.append({"type": "StepEMAHook", "ema_type": "ExponentialMovingAverage", "momentum": ema})
    if held_out:
        dataset = _innermost(config["train_dataloader"]["dataset"])
        dataset["held_out"] = held_out
        part = {"coco_file": dataset["coco_file"], "image_dir": dataset["image_dir"]}
        part |= {"share": held_out, "category_id": category_id}
        hooks.append({"type": "SelectionHook", "part": part})
    return {**config, "optim_wrapper": wrapper, "custom_hooks": hooks}


def _innermost(dataset: dict) -> dict:
    """Return the data set that wrappers such as ClassBalancedDataset are about."""
    return _innermost(dataset["dataset"]) if "dataset" in dataset else dataset


def _warm_up(iterations: int) -> dict:
    return {"type": "LinearLR", "start_factor": 1e-2, "by_epoch": False, "begin": 0, "end": iterations}


def adamw(*, learning_rate: float, weight_decay: float, max_norm: float) -> dict:
    """Return AdamW with clipped gradients and no decay of norms and biases."""
    return {
        "type": "OptimWrapper",
        "optimizer": {"type": "AdamW", "lr": learning_rate, "weight_decay": weight_decay, "fused": True},
        "paramwise_cfg": {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0},
        "clip_grad": {"max_norm": max_norm},
    }
