"""Models as plain mmengine configuration files: `landmarks/*.py` and `detectors/*.py`, and how they are loaded.

A file inherits from mmdet's or mmpose's own and holds only what differs. What belongs to a run (data, folder, seed,
weights to start from) and what a user tries out are overrides, as mmengine's `--cfg-options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from kps.files import InputError

FOLDER = Path(__file__).parent


def shipped(kind: str) -> list[str]:
    """Return the names of the shipped files of a kind, "landmarks" or "detectors"."""
    return sorted(path.stem for path in (FOLDER / kind).glob("[!_]*.py"))


def load_config(config: str | Path, kind: str, options: Mapping[str, Any] | None = None) -> Config:
    """Return a configuration with overrides laid over it.

    Args:
        config: a shipped name such as "hrnet_demo", or a file of one's own.
        kind: "landmarks" or "detectors".
        options: values by dotted key, such as {"train_dataloader.batch_size": 8}.

    Raises:
        InputError: neither a shipped name nor a file, or a file that mmengine cannot read.
    """
    path = FOLDER / kind / f"{config}.py" if config in shipped(kind) else Path(config)
    if not path.is_file():
        raise InputError(f"{config}: expected a configuration file or one of {', '.join(shipped(kind))}")
    try:
        loaded = Config.fromfile(path)
        loaded.merge_from_dict(dict(options or {}))
    except Exception as error:  # a file of one's own may fail in any way
        raise InputError(f"{path}: cannot be read as a configuration: {type(error).__name__}: {error}") from error
    return loaded


def set_epochs(config: Config, epochs: int) -> None:
    """Make a run so many epochs long; the learning rate's schedule by epochs is stretched with it."""
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise InputError(f"epochs: expected a positive integer, but got {epochs!r}")
    stretch = epochs / config.train_cfg.max_epochs
    config.train_cfg.max_epochs = epochs
    for schedule in config.param_scheduler:
        if schedule.get("by_epoch", True):
            for key in {"begin", "end", "T_max"} & set(schedule):
                schedule[key] = round(schedule[key] * stretch)
            if "milestones" in schedule:
                schedule.milestones = sorted({max(1, round(each * stretch)) for each in schedule.milestones})
