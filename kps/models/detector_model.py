"""The detector's network in mmdet's notation, for any size.

Source: mmdet's htc-without-semantic and cascade-rcnn recipes (Chen et al. 2019, Cai and Vasconcelos 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

from kps.schema import CATEGORIES

# The cascade's stages, each with a stricter overlap, smaller box deviations and less weight.
OVERLAPS = (0.5, 0.6, 0.7)
BOX_STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
LOSS_WEIGHTS = (1.0, 0.5, 0.25)


@dataclass(frozen=True)
class Size:
    """What differs between sizes; strides in input pixels, counts per photo."""

    backbone: dict
    backbone_channels: tuple[int, ...]  # of the stages that the pyramid takes
    strides: tuple[int, ...]  # of the pyramid's levels
    stages: int  # of the cascade
    channels: int  # of the pyramid and the heads' convolutions
    norm: dict | None  # of the pyramid and the heads' convolutions: needed where nothing is pretrained
    box_convs: int  # ahead of the two fully connected layers of a box head
    fc_channels: int
    mask_convs: int
    mask_size: int  # of the predicted mask; features are pooled at half of it
    pool_samples: int  # per pooled cell and axis; 0 takes as many as the garment has feature cells
    finest_pool: int  # garments smaller than twice this side, in px, are pooled from the finest level
    anchor_scale: float  # an anchor's side in strides
    anchor_ratios: tuple[float, ...]  # height by width
    rpn_samples: int
    proposals: int
    roi_samples: int
    roi_positive: float  # share of the RoI samples on garments, at most
    test_scale: tuple[int, int]  # a photo is scaled to fit inside, long and short edge in px
    augmented_scales: tuple[tuple[int, int], ...]  # of the test at several scales, each also mirrored
    train_scales: tuple[tuple[int, int], ...]  # one drawn a photo; a single one is cached in memory
    epochs: int
    batch_size: int  # per process
    learning_rate: float
    warm_up: int  # iterations
    workers: int


def detector_model(settings: Size, with_mask: bool) -> dict:
    """Return the model's part of the configuration: HTC with masks, Cascade R-CNN without."""
    channels = settings.channels
    return {
        "type": "HybridTaskCascade" if with_mask else "CascadeRCNN",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
            "bgr_to_rgb": True,
            "pad_mask": with_mask,
            "pad_size_divisor": 32,
        },
        "backbone": settings.backbone,
        "neck": {
            "type": "FPN",
            "in_channels": list(settings.backbone_channels),
            "out_channels": channels,
            "num_outs": len(settings.strides),
            "norm_cfg": settings.norm,
        },
        "rpn_head": {
            "type": "RPNHead",
            "in_channels": channels,
            "feat_channels": channels,
            "anchor_generator": {
                "type": "AnchorGenerator",
                "scales": [settings.anchor_scale],
                "ratios": list(settings.anchor_ratios),
                "strides": list(settings.strides),
            },
            "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": [1.0] * 4},
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True},
            "loss_bbox": {"type": "SmoothL1Loss", "beta": 1 / 9},
        },
        "roi_head": _roi_head(settings, with_mask),
        "train_cfg": _train_cfg(settings),
        "test_cfg": _test_cfg(settings),
    }


def _roi_head(settings: Size, with_mask: bool) -> dict:
    pooled_strides = settings.strides[: len(settings.backbone_channels)]

    def extractor(output_size: int) -> dict:
        return {
            "type": "SingleRoIExtractor",
            "roi_layer": {
                "type": "RoIAlign",
                "output_size": output_size,
                "sampling_ratio": settings.pool_samples,
            },
            "out_channels": settings.channels,
            "featmap_strides": list(pooled_strides),
            "finest_scale": settings.finest_pool,
        }

    head = {
        "type": "HybridTaskCascadeRoIHead" if with_mask else "CascadeRoIHead",
        "num_stages": settings.stages,
        "stage_loss_weights": list(LOSS_WEIGHTS[: settings.stages]),
        "bbox_roi_extractor": extractor(7),
        "bbox_head": [_bbox_head(settings, stds) for stds in BOX_STDS[: settings.stages]],
    }
    if with_mask:
        head["mask_roi_extractor"] = extractor(settings.mask_size // 2)
        head["mask_head"] = [_mask_head(settings, first=stage == 0) for stage in range(settings.stages)]
    return head


def _bbox_head(settings: Size, stds: tuple[float, ...]) -> dict:
    return {
        "type": "ConvFCBBoxHead",
        "num_shared_convs": settings.box_convs,
        "conv_out_channels": settings.channels,
        "num_shared_fcs": 2,
        "norm_cfg": settings.norm,
        "in_channels": settings.channels,
        "fc_out_channels": settings.fc_channels,
        "roi_feat_size": 7,
        "num_classes": len(CATEGORIES),
        "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": list(stds)},
        "reg_class_agnostic": True,
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False},
        "loss_bbox": {"type": "SmoothL1Loss", "beta": 1.0},
    }


def _mask_head(settings: Size, *, first: bool) -> dict:
    return {
        "type": "HTCMaskHead",
        "with_conv_res": not first,
        "num_convs": settings.mask_convs,
        "roi_feat_size": settings.mask_size // 2,
        "norm_cfg": settings.norm,
        "in_channels": settings.channels,
        "conv_out_channels": settings.channels,
        "num_classes": len(CATEGORIES),
        "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True},
    }


def _train_cfg(settings: Size) -> dict:
    def assigner(positive: float, negative: float, least: float) -> dict:
        return {
            "type": "MaxIoUAssigner",
            "pos_iou_thr": positive,
            "neg_iou_thr": negative,
            "min_pos_iou": least,
        }

    def sampler(num: int, positive: float, with_truth: bool) -> dict:
        return {
            "type": "RandomSampler",
            "num": num,
            "pos_fraction": positive,
            "add_gt_as_proposals": with_truth,
        }

    return {
        "rpn": {
            "assigner": assigner(0.7, 0.3, 0.3),
            "sampler": sampler(settings.rpn_samples, 0.5, False),
            "allowed_border": -1,  # garments fill photos: anchors that cross the border count
            "pos_weight": -1,
        },
        "rpn_proposal": _proposal_cfg(settings.proposals),
        "rcnn": [
            {
                "assigner": {**assigner(overlap, overlap, overlap), "match_low_quality": False},
                "sampler": sampler(settings.roi_samples, settings.roi_positive, True),
                "mask_size": settings.mask_size,
                "pos_weight": -1,
            }
            for overlap in OVERLAPS[: settings.stages]
        ],
    }


def _proposal_cfg(count: int) -> dict:
    return {
        "nms_pre": count,
        "max_per_img": count,
        "nms": {"type": "nms", "iou_threshold": 0.7},
        "min_bbox_size": 0,
    }


def _test_cfg(settings: Size) -> dict:
    rcnn = {
        "score_thr": 0.001,  # `detect` has a threshold of its own
        "nms": {"type": "nms", "iou_threshold": 0.5},
        "max_per_img": 100,
        "mask_thr_binary": 0.5,
    }
    return {"rpn": _proposal_cfg(max(50, settings.proposals // 2)), "rcnn": rcnn}
