"""Another head in one file: mmpose's RTMPose-m, which reads each landmark off two one-dimensional maps (SimCC)."""

_base_ = "mmpose::body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py"
custom_imports = dict(imports=["kps.models.landmarks"])

codec = dict(
    type="SimCCLabel", input_size=(192, 256), sigma=(4.9, 5.66), simcc_split_ratio=2.0, normalize=False, use_dark=False
)
model = dict(backbone=dict(norm_cfg=dict(type="BN"), init_cfg=None), head=dict(out_channels=81, decoder=codec))

train_cfg = dict(max_epochs=12, val_interval=12)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", T_max=12, eta_min=5e-5, by_epoch=True, begin=0, end=12, convert_to_iter_based=True),
]
custom_hooks = []
finetune = {"optim_wrapper.optimizer.lr": 1e-4}

train_pipeline = [
    dict(type="GarmentCrop", input_size=(192, 256), scale=0.25, rotation=30.0, flip=0.0),
    dict(type="GenerateTarget", encoder=codec),
    dict(type="PackPoseInputs"),
]
test_pipeline = [dict(type="GarmentCrop", input_size=(192, 256)), dict(type="PackPoseInputs")]
train_dataloader = dict(
    _delete_=True,
    batch_size=48,
    num_workers=8,
    sampler=dict(type="CategoryBalancedSampler"),
    dataset=dict(
        type="GarmentLandmarks",
        aggregation="hand81",
        ann_file="runs/demo/coco/train.json",
        data_prefix=dict(img="runs/demo/data/train/image"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    _delete_=True,
    batch_size=32,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="GarmentLandmarks",
        aggregation="hand81",
        ann_file="runs/demo/coco/validation.json",
        data_prefix=dict(img="runs/demo/data/validation/image"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
dataset_type = "GarmentLandmarks"
default_hooks = dict(checkpoint=dict(save_best=None, rule=None))
val_evaluator = dict(_delete_=True, type="PCKAccuracy", thr=0.05)
test_evaluator = val_evaluator
