"""Drawn photos are clean and of few looks; what differs in real ones is drawn by lot (transforms of albumentations)."""

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
