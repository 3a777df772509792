"""The landmark model: HRNet with heatmaps on the aggregated channels, the universal stage and the finetuning.

Source: section 3 of the paper and its public code (HRNet-w48, 384 x 512, sigma 3, Adam, 12 epochs). The
smaller sizes are the same classes with fewer channels, blocks and pixels, and a schedule made for minutes on
a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mmengine.config import Config

from kps.aggregation import Aggregation
from kps.models import config_base as base
from kps.schema import category

PADDING = 1.25  # growth of a box before it is cropped (paper)
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of R, G, B


@dataclass(frozen=True)
class LandmarkSettings:
    """What differs between sizes and stages."""

    size_wh: tuple[int, int]  # the network's input, px
    fold: int  # squares of fold x fold input pixels that enter the network as one pixel of more channels
    width: int  # channels of HRNet's finest branch: 48 is "w48"
    stem: tuple[str, int, int]  # block type, blocks and channels of stage 1
    blocks: int  # residual blocks of every branch
    modules: tuple[int, int, int]  # exchange modules of stages 2, 3, 4
    upsampling: tuple[int, ...]  # channels of transposed convolutions that each double the heatmap
    loss: str
    sigma: float  # of the targets, heatmap px
    epochs: int
    batch_size: int
    learning_rate: float
    workers: int
    scale: float = 0.25
    rotation: float = 30.0  # degrees
    shift: float = 0.0  # part of the box
    colour_jitter: float = 0.0
    balance: float = 0.0  # 0: categories as often as they occur; 1: equally often
    samples_per_epoch: int | None = None  # None: as many as there are
    freeze_norm: bool = False  # keep the batch norm statistics of the weights started from
    warm_up: int = 100  # iterations
    short: bool = True  # AdamW and a cosine instead of the paper's Adam and steps


PAPER = LandmarkSettings(
    size_wh=(384, 512),
    fold=1,
    width=48,
    stem=("BOTTLENECK", 4, 64),
    blocks=4,
    modules=(1, 4, 3),
    upsampling=(),
    loss="HeatmapMSELoss",
    sigma=3.0,
    epochs=12,
    batch_size=48,
    learning_rate=1e-3,
    workers=8,
    warm_up=500,
    short=False,
)
DEMO = LandmarkSettings(
    size_wh=(128, 192),
    fold=2,
    width=32,
    stem=("BASIC", 1, 16),
    blocks=1,
    modules=(1, 1, 1),
    upsampling=(16,),
    loss="HeatmapCrossEntropyLoss",
    sigma=1.0,
    epochs=14,
    batch_size=16,
    learning_rate=3e-3,
    workers=0,
    scale=0.15,
    rotation=15.0,
    shift=0.05,
    colour_jitter=0.2,
    balance=0.5,
)
TINY = replace(DEMO, size_wh=(64, 96), fold=1, width=8, epochs=2, batch_size=8)
UNIVERSAL = {"tiny": TINY, "demo": DEMO, "paper": PAPER}
# A rare category has a handful of garments: so a fixed number of draws, and statistics frozen.
SHORT_FINETUNE = {
    "epochs": 3,
    "learning_rate": 3e-4,
    "samples_per_epoch": 256,
    "balance": 0.0,
    "freeze_norm": True,
    "warm_up": 5,
}
FINETUNE = {
    "tiny": replace(TINY, **{**SHORT_FINETUNE, "epochs": 1, "samples_per_epoch": 16}),
    "demo": replace(DEMO, **SHORT_FINETUNE),
    "paper": replace(PAPER, learning_rate=1e-4),
}


def landmark_config(
    *,
    size: str,
    aggregation: Aggregation,
    coco_file: Path | str,
    image_dir: Path | str,
    work_dir: Path | str,
    category_id: int | None = None,
    init_checkpoint: Path | None = None,
    hflip_train: bool = False,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    samples_per_epoch: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    pretrained: str | None = None,
    amp: bool = False,
    accumulate: int = 1,
    ema: float | None = None,
    held_out: float = 0.0,
) -> Config:
    """Return the configuration of the universal stage, or of the finetuning on one category.

    Args:
        size: "tiny" (seconds, for tests), "demo" (minutes on a CPU) or "paper".
        aggregation: groups that are the model's channels; it travels in the checkpoint.
        coco_file: COCO-294 training annotations.
        image_dir: their photos.
        work_dir: where training keeps its state and leaves `final.pth`.
        category_id: finetune on this category only.
        init_checkpoint: start from these weights with a fresh optimizer (the universal checkpoint).
        hflip_train: mirror half of the crops.
        epochs, batch_size, learning_rate, samples_per_epoch, workers: instead of the size's own.
        seed: of weights, order and augmentation.
        pretrained: COCO weights to start from: a file, a URL, or "public" for those the paper starts from.
        amp, accumulate, ema, held_out: see `kps.models.config_base.refine`.

    Raises:
        InputError: an unknown size or category, or a number out of range.
    """
    base.check_choice("size", size, base.SIZES)
    stage = UNIVERSAL if category_id is None else FINETUNE
    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    given |= {"samples_per_epoch": samples_per_epoch, "workers": workers}
    settings = replace(stage[size], **{name: value for name, value in given.items() if value is not None})
    dataset = {
        "type": "LandmarkDataset",
        "coco_file": base.absolute(coco_file),
        "image_dir": base.absolute(image_dir),
        "size_wh": settings.size_wh,
        "padding": PADDING,
        "category_id": None if category_id is None else category(category_id).id,
        "scale": settings.scale,
        "rotation": settings.rotation,
        "shift": settings.shift,
        "hflip": hflip_train,
        "cache": settings.workers == 0,
    }
    loader = base.train_loader(dataset, batch_size=settings.batch_size, workers=settings.workers)
    loader["collate_fn"] = {"type": "default_collate"}
    loader["sampler"] = {
        "type": "CategoryBalancedSampler",
        "balance": settings.balance,
        "samples_per_epoch": settings.samples_per_epoch,
    }
    run = base.runtime(scope="mmpose", work_dir=work_dir, seed=seed, epochs=settings.epochs, load_from=init_checkpoint)
    model = _model(settings, aggregation)
    config = {**run, "model": model, "train_dataloader": loader, **_optimisation(settings)}
    config["pretrained"] = base.weights_to_start_from(pretrained, "hrnet_w48")
    options = {"amp": amp, "accumulate": accumulate, "ema": ema, "held_out": held_out}
    return Config(base.refine(config, **options, category_id=category_id))


def _model(settings: LandmarkSettings, aggregation: Aggregation) -> dict:
    return {
        "type": "TopdownPoseEstimator",
        "data_preprocessor": {
            "type": "CropPreprocessor",
            "mean": IMAGENET_MEAN,
            "std": IMAGENET_STD,
            "colour_jitter": settings.colour_jitter,
            "fold": settings.fold,
        },
        "backbone": {
            "type": "HRNet",
            "in_channels": 3 * settings.fold**2,
            "extra": _stages(settings),
            "norm_eval": settings.freeze_norm,
            # From scratch this learns faster than mmpose's default of tiny weights.
            "init_cfg": [
                {"type": "Kaiming", "layer": "Conv2d"},
                {"type": "Constant", "val": 1, "layer": "BatchNorm2d"},
            ],
        },
        "head": {
            "type": "OwnLandmarkHead",
            "group": (aggregation.group + 1).tolist(),
            "norm_eval": settings.freeze_norm,
            "in_channels": settings.width,
            "deconv_out_channels": settings.upsampling,
            "deconv_kernel_sizes": (4,) * len(settings.upsampling),
            "loss": {"type": settings.loss, "sigma": settings.sigma},
        },
    }


def _stages(settings: LandmarkSettings) -> dict:
    """HRNet's four stages: each adds a branch of half the resolution and twice the channels."""
    block, blocks, channels = settings.stem
    stages = {
        "stage1": {
            "num_modules": 1,
            "num_branches": 1,
            "block": block,
            "num_blocks": (blocks,),
            "num_channels": (channels,),
        }
    }
    for branches, modules in enumerate(settings.modules, start=2):
        stages[f"stage{branches}"] = {
            "num_modules": modules,
            "num_branches": branches,
            "block": "BASIC",
            "num_blocks": (settings.blocks,) * branches,
            "num_channels": tuple(settings.width * 2**branch for branch in range(branches)),
        }
    return stages


def _optimisation(settings: LandmarkSettings) -> dict:
    rate, epochs = settings.learning_rate, settings.epochs
    if settings.short:
        return {
            "optim_wrapper": base.adamw(learning_rate=rate, weight_decay=0.01, max_norm=5.0),
            "param_scheduler": base.cosine(epochs=epochs, warm_up_iterations=settings.warm_up),
        }
    milestones = (7 / 12, 10 / 12)
    return {
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "Adam", "lr": rate}},
        "param_scheduler": base.steps(epochs=epochs, milestones=milestones, warm_up_iterations=settings.warm_up),
    }
