"""The garment detector's configuration: Hybrid Task Cascade without its semantic branch, or Cascade R-CNN.

One base serves every size: the paper's ResNeXt-101-64x4d with mmdet's 20-epoch recipe, and small siblings of
the same classes that train from nothing on a CPU. Masks come from the garments' polygons.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mmengine.config import Config

from kps.models.config_base import (
    SIZES,
    absolute,
    adamw,
    check_choice,
    cosine,
    refine,
    runtime,
    steps,
    train_loader,
    weights_to_start_from,
)
from kps.models.detector_model import Size, detector_model

ARCHITECTURES = ("htc", "cascade")
_META_KEYS = ["img_id", "img_path", "ori_shape", "img_shape", "scale_factor"]

_SMALL_BACKBONE = {
    "type": "ResNet",
    "depth": 18,
    "num_stages": 4,
    "norm_cfg": {"type": "BN", "requires_grad": True},
    "norm_eval": False,
    "style": "pytorch",
}
_DEMO = Size(
    backbone={**_SMALL_BACKBONE, "base_channels": 24, "stem_channels": 24, "out_indices": [1, 2, 3]},
    backbone_channels=(48, 96, 192),
    strides=(8, 16, 32),
    stages=2,
    channels=48,
    norm={"type": "BN"},
    box_convs=1,
    fc_channels=128,
    mask_convs=1,
    mask_size=14,
    pool_samples=1,
    finest_pool=28,
    anchor_scale=4,
    anchor_ratios=(1.0, 2.0),
    rpn_samples=64,
    proposals=50,
    roi_samples=16,
    roi_positive=0.5,
    test_scale=(128, 96),
    augmented_scales=((128, 96), (160, 120)),
    train_scales=((128, 96),),
    epochs=5,
    batch_size=8,
    learning_rate=1.5e-3,
    warm_up=100,
    workers=0,
)
_TINY = replace(
    _DEMO,
    backbone={**_SMALL_BACKBONE, "base_channels": 8, "out_indices": [1, 2, 3]},
    backbone_channels=(16, 32, 64),
    stages=3,
    channels=16,
    fc_channels=32,
    rpn_samples=32,
    epochs=2,
    batch_size=4,
    learning_rate=2e-3,
    warm_up=10,
)
_SIZES = {
    "tiny": _TINY,
    "demo": _DEMO,
    "paper": Size(
        backbone={
            "type": "ResNeXt",
            "depth": 101,
            "groups": 64,
            "base_width": 4,
            "num_stages": 4,
            "out_indices": [0, 1, 2, 3],
            "frozen_stages": 1,
            "norm_cfg": {"type": "BN", "requires_grad": True},
            "norm_eval": True,
            "style": "pytorch",
        },
        backbone_channels=(256, 512, 1024, 2048),
        strides=(4, 8, 16, 32, 64),
        stages=3,
        channels=256,
        norm=None,
        box_convs=0,
        fc_channels=1024,
        mask_convs=4,
        mask_size=28,
        pool_samples=0,
        finest_pool=56,
        anchor_scale=8,
        anchor_ratios=(0.5, 1.0, 2.0),
        rpn_samples=256,
        proposals=2000,
        roi_samples=512,
        roi_positive=0.25,
        test_scale=(1333, 800),
        augmented_scales=((1333, 640), (1333, 800), (1600, 960)),
        train_scales=((1333, 640), (1333, 672), (1333, 704), (1333, 736), (1333, 768), (1333, 800)),
        epochs=20,
        batch_size=2,
        learning_rate=0.02,  # at 16 photos a step; mmengine scales it to the real number
        warm_up=500,
        workers=4,
    ),
}


def detector_config(
    *,
    architecture: str = "htc",
    size: str,
    coco_file: Path | str,
    image_dir: Path | str,
    work_dir: Path | str,
    seed: int = 0,
    epochs: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    pretrained: str | None = None,
    amp: bool = False,
    accumulate: int = 1,
    ema: float | None = None,
    held_out: float = 0.0,
) -> Config:
    """Return the configuration of a detector of the 13 garment categories.

    Args:
        architecture: "htc" (boxes and masks) or "cascade" (Cascade R-CNN, boxes only), as in Table 2.
        size: "tiny", "demo" or "paper".
        coco_file: COCO-294 file of the training photos, which lie in `image_dir`.
        epochs, batch_size, workers: None takes the size's own; the batch is per process.
        pretrained: COCO weights to start from: a file, a URL, or "public" for those the paper starts from.
        amp, accumulate, ema, held_out: see `kps.models.config_base.refine`.

    Raises:
        InputError: an unknown architecture or size, or a count below 1.
    """
    check_choice("architecture", architecture, ARCHITECTURES)
    settings = _SIZES[check_choice("size", size, SIZES)]
    epochs = settings.epochs if epochs is None else epochs
    with_mask = architecture == "htc"
    dataset = _dataset(settings, coco_file, image_dir, with_mask)
    loader = train_loader(
        dataset,
        batch_size=settings.batch_size if batch_size is None else batch_size,
        workers=settings.workers if workers is None else workers,
    )
    if pretrained is None:  # what is frozen must have been learnt
        learnt = {key: value for key, value in settings.backbone.items() if key != "frozen_stages"}
        settings = replace(settings, backbone={**learnt, "norm_eval": False})
    config = {
        "pretrained": weights_to_start_from(pretrained, architecture),
        **runtime(scope="mmdet", work_dir=work_dir, seed=seed, epochs=epochs),
        "model": detector_model(settings, with_mask),
        "train_dataloader": loader,
        "test_pipeline": _test_pipeline(settings),
        "augmented_test_pipeline": _augmented_test_pipeline(settings),
        **(_paper_schedule if size == "paper" else _small_schedule)(settings, epochs),
    }
    return Config(refine(config, amp=amp, accumulate=accumulate, ema=ema, held_out=held_out))


def _paper_schedule(settings: Size, epochs: int) -> dict:
    """Return mmdet's recipe for HTC: SGD, the learning rate tenfold less after 16 and 19 of 20 epochs."""
    optimizer = {"type": "SGD", "lr": settings.learning_rate, "momentum": 0.9, "weight_decay": 1e-4}
    return {
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": optimizer},
        "auto_scale_lr": {"enable": True, "base_batch_size": 16},
        "param_scheduler": steps(epochs=epochs, milestones=(16 / 20, 19 / 20), warm_up_iterations=settings.warm_up),
    }


def _small_schedule(settings: Size, epochs: int) -> dict:
    return {
        "optim_wrapper": adamw(learning_rate=settings.learning_rate, weight_decay=0.05, max_norm=10.0),
        "param_scheduler": cosine(epochs=epochs, warm_up_iterations=settings.warm_up),
    }


def _dataset(settings: Size, coco_file: Path | str, image_dir: Path | str, with_mask: bool) -> dict:
    load = [
        {"type": "LoadPhoto"},
        {"type": "LoadAnnotations", "with_bbox": True, "with_mask": with_mask},
    ]
    if len(settings.train_scales) == 1:
        resize = {"type": "Resize", "scale": list(settings.train_scales[0]), "keep_ratio": True}
        prepare = [{"type": "Remembered", "transforms": [*load, resize]}]
    else:
        scales = [list(scale) for scale in settings.train_scales]
        prepare = [*load, {"type": "RandomChoiceResize", "scales": scales, "keep_ratio": True}]
    return {
        "type": "ClassBalancedDataset",
        "oversample_thr": 0.3 if len(settings.train_scales) == 1 else 1e-3,
        "dataset": {
            "type": "GarmentBoxes",
            "coco_file": absolute(coco_file),
            "image_dir": absolute(image_dir),
            "pipeline": [*prepare, {"type": "RandomFlip", "prob": 0.5}, {"type": "PackDetInputs"}],
        },
    }


def _augmented_test_pipeline(settings: Size) -> list[dict]:
    """Return mmdet's test-time augmentation: every scale, upright and mirrored (section 3.1 of the paper)."""
    scales = [{"type": "Resize", "scale": list(scale), "keep_ratio": True} for scale in settings.augmented_scales]
    pack = {"type": "PackDetInputs", "meta_keys": [*_META_KEYS, "flip", "flip_direction"]}
    mirror = [{"type": "RandomFlip", "prob": share} for share in (0.0, 1.0)]
    return [{"type": "LoadPhoto"}, {"type": "TestTimeAug", "transforms": [scales, mirror, [pack]]}]


def _test_pipeline(settings: Size) -> list[dict]:
    return [
        {"type": "LoadPhoto"},
        {"type": "Resize", "scale": list(settings.test_scale), "keep_ratio": True},
        {"type": "PackDetInputs", "meta_keys": _META_KEYS},
    ]
