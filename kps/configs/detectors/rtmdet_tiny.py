"""Another detector in one file: mmdet's RTMDet-tiny on garments, with the loaders of the others."""

_base_ = "mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py"
custom_imports = dict(imports=["kps.models.detector"])

model = dict(
    backbone=dict(norm_cfg=dict(type="BN"), init_cfg=None),
    neck=dict(norm_cfg=dict(type="BN")),
    bbox_head=dict(num_classes=13, norm_cfg=dict(type="BN")),
)

train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=20, val_interval=20)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", T_max=20, eta_min=5e-5, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
]
custom_hooks = []

train_pipeline = [
    dict(type="LoadPhoto"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomResize", scale=(640, 640), ratio_range=(0.5, 1.5), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(640, 640)),
    dict(type="YOLOXHSVRandomAug"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=(640, 640), pad_val=dict(img=(114, 114, 114))),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(640, 640), keep_ratio=True),
    dict(type="Pad", size=(640, 640), pad_val=dict(img=(114, 114, 114))),
    dict(type="PackDetInputs", meta_keys=["img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances"]),
]
train_dataloader = dict(
    _delete_=True,
    batch_size=16,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="GarmentBoxes",
        ann_file="runs/demo/coco/train.json",
        data_prefix=dict(img="runs/demo/data/train/image"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    _delete_=True,
    batch_size=8,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="GarmentBoxes",
        ann_file="runs/demo/coco/validation.json",
        data_prefix=dict(img="runs/demo/data/validation/image"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type="CocoMetric", metric="bbox")
test_evaluator = val_evaluator
