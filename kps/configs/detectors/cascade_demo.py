"""A small sibling for minutes on a CPU: ResNet-18 of 24 channels, photos of 128 x 96, two stages of the cascade."""

_base_ = "./cascade_x101.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="ResNet",
        depth=18,
        base_channels=24,
        stem_channels=24,
        out_indices=(1, 2, 3),
        norm_cfg=dict(type="BN", requires_grad=True),
        norm_eval=False,
    ),
    neck=dict(in_channels=[48, 96, 192], out_channels=48, num_outs=3, norm_cfg=dict(type="BN")),
    rpn_head=dict(
        in_channels=48, feat_channels=48, anchor_generator=dict(scales=[4], ratios=[1.0, 2.0], strides=[8, 16, 32])
    ),
    roi_head=dict(
        num_stages=2,
        stage_loss_weights=[1.0, 0.5],
        bbox_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=1), out_channels=48, featmap_strides=[8, 16, 32], finest_scale=28
        ),
        bbox_head=[
            dict(
                stage,
                type="ConvFCBBoxHead",
                num_shared_convs=1,
                conv_out_channels=48,
                num_shared_fcs=2,
                norm_cfg=dict(type="BN"),
                in_channels=48,
                fc_out_channels=128,
            )
            for stage in _base_.model.roi_head.bbox_head[:2]
        ],
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=50, max_per_img=50),
        rcnn=[
            dict(stage, sampler=dict(stage.sampler, num=16, pos_fraction=0.5), mask_size=14)
            for stage in _base_.model.train_cfg.rcnn[:2]
        ],
    ),
    test_cfg=dict(rpn=dict(nms_pre=50, max_per_img=50)),
)

train_cfg = dict(max_epochs=5, val_interval=5)
auto_scale_lr = dict(enable=False)
optim_wrapper = dict(
    _delete_=True,
    type="Bfloat16OptimWrapper",
    optimizer=dict(type="AdamW", lr=1.5e-3, weight_decay=0.05, fused=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", T_max=5, eta_min=0.0, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
]

prepare = [
    dict(type="LoadPhoto"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(128, 96), keep_ratio=True),
]
train_pipeline = [
    dict(type="Remembered", transforms=prepare),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline, tta_pipeline = _base_.test_pipeline, _base_.tta_pipeline
test_pipeline[1].scale = (128, 96)
tta_pipeline[1].transforms[0] = [dict(type="Resize", scale=scale, keep_ratio=True) for scale in ((128, 96), (160, 120))]
train_dataloader = dict(
    batch_size=8, num_workers=0, dataset=dict(oversample_thr=0.3, dataset=dict(pipeline=train_pipeline))
)
val_dataloader = dict(num_workers=0, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
