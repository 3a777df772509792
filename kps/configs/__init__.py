"""Models as plain mmengine configuration files: `landmarks/*.py` and `detectors/*.py`, and how they are loaded.

A file inherits from mmdet's or mmpose's own and holds only what differs. What belongs to a run (data, folder, seed,
weights to start from) and what a user tries out are overrides, as mmengine's `--cfg-options`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from kps.files import InputError

FOLDER = Path(__file__).parent
PUBLIC = "public"  # as `pretrained`: the public COCO weights that the paper starts from


def shipped(kind: str) -> list[str]:
    """Return the names of the shipped files of a kind, "landmarks" or "detectors"."""
    return sorted(path.stem for path in (FOLDER / kind).glob("[!_]*.py"))


def load_config(config: str | Path, kind: str) -> Config:
    """Return the configuration of a shipped name such as "hrnet_demo", or of a file; `kind` is as for `shipped`.

    InputError: neither a shipped name nor a file, or a file that mmengine cannot read.
    """
    path = FOLDER / kind / f"{config}.py" if config in shipped(kind) else Path(config)
    if not path.is_file():
        raise InputError(f"{config}: expected a configuration file or one of {', '.join(shipped(kind))}")
    try:
        return Config.fromfile(path)
    except Exception as error:  # a file of one's own may fail in any way
        raise InputError(f"{path}: cannot be read as a configuration: {type(error).__name__}: {error}") from error


def lay_over(config: Config, options: Mapping[str, Any] | None) -> Config:
    """Return the configuration with values by dotted key, such as {"train_dataloader.batch_size": 8}, laid over it.

    InputError: a value that does not fit the place that its key names.
    """
    try:
        config.merge_from_dict(dict(options or {}))
    except Exception as error:
        raise InputError(f"options: {type(error).__name__}: {error}") from error
    return config


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


def innermost(dataset: dict) -> dict:
    """Return the data set that wrappers such as ClassBalancedDataset are about."""
    return innermost(dataset["dataset"]) if "dataset" in dataset else dataset


def for_run(
    config: Config,
    *,
    coco_file: Path | str,
    image_dir: Path | str,
    work_dir: Path | str,
    seed: int = 0,
    epochs: int | None = None,
    init_checkpoint: Path | None = None,
    pretrained: str | None = None,
    held_out: float = 0.0,
    category_id: int | None = None,
) -> None:
    """Lay over a configuration what belongs to one run.

    InputError: a number out of range, or no public weights are named.

    Args:
        coco_file: COCO-294 training annotations, whose photos lie in `image_dir`.
        work_dir: where training keeps its state and leaves `final.pth`.
        seed: of weights, order and augmentation.
        epochs: instead of the configuration's own.
        init_checkpoint: start from these weights of the same model, with a fresh optimizer.
        pretrained: weights to start from as far as they fit: a file, a URL, or "public" for those that the file names.
        held_out: share of the photos to choose the best epoch by instead of learning from them; 0: the last is kept.
        category_id: score the held-out part on this category only.
    """
    if not 0 <= held_out < 0.5:
        raise InputError(f"held_out: expected a share from 0 to 0.5, but got {held_out}")
    if epochs is not None:
        set_epochs(config, epochs)
    dataset = innermost(config.train_dataloader.dataset)
    dataset.update(ann_file=absolute(coco_file), data_prefix={"img": absolute(image_dir)}, held_out=held_out)
    config.work_dir, config.randomness = absolute(work_dir), {"seed": int(seed)}
    config.load_from = None if init_checkpoint is None else absolute(init_checkpoint)
    if pretrained == PUBLIC:
        if "public_weights" not in config:
            raise InputError("pretrained: this configuration names no public weights")
        pretrained = config.public_weights
    config.pretrained = pretrained if pretrained is None or "://" in pretrained else absolute(pretrained)
    if held_out:
        part = {"coco_file": dataset.ann_file, "image_dir": dataset.data_prefix["img"]}
        part |= {"share": held_out, "category_id": category_id}
        config.custom_hooks = [*config.get("custom_hooks", ()), {"type": "SelectionHook", "part": part}]


def absolute(path: Path | str) -> str:
    """Return the path in absolute form, so that a run can be resumed from any folder."""
    return str(Path(path).expanduser().resolve())
