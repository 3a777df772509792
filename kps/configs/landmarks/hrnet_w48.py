"""The paper's landmark model: HRNet-w48 at 384 x 512 on the 81 groups of the hand map, 12 epochs of Adam.

Source: section 3 of the paper and its public code. `finetune` holds what differs in the finetuning for each category.
"""

_base_ = "mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w48_8xb32-210e_coco-384x288.py"
custom_imports = dict(imports=["kps.models.landmarks"])
public_weights = "https://download.openmmlab.com/mmpose/top_down/hrnet/hrnet_w48_coco_384x288-314c8528_20200708.pth"

model = dict(
    # From nothing this learns faster than mmpose's default of tiny weights; `public_weights` are loaded on demand.
    backbone=dict(
        init_cfg=[dict(type="Kaiming", layer="Conv2d"), dict(type="Constant", val=1, layer="BatchNorm2d")],
        norm_eval=False,
    ),
    head=dict(
        _delete_=True,
        type="OwnLandmarkHead",
        aggregation="hand81",
        in_channels=48,
        deconv_out_channels=(),
        deconv_kernel_sizes=(),
        loss=dict(type="HeatmapMSELoss", sigma=3.0),
    ),
)

train_cfg = dict(by_epoch=True, max_epochs=12, val_interval=12)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(lr=1e-3))  # at 48 crops a step
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=12, milestones=[7, 10], gamma=0.1),
]
finetune = {"optim_wrapper.optimizer.lr": 1e-4}

train_pipeline = [
    dict(type="GarmentCrop", input_size=(384, 512), scale=0.25, rotation=30.0, flip=0.0),
    dict(type="PackGarment"),
]
test_pipeline = [dict(type="GarmentCrop", input_size=(384, 512)), dict(type="PackPoseInputs")]
train_dataloader = dict(
    _delete_=True,
    batch_size=48,
    num_workers=8,
    sampler=dict(type="CategoryBalancedSampler", balance=0.0, samples_per_epoch=None),
    collate_fn=dict(type="stack_crops"),
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
env_cfg = dict(cudnn_benchmark=True)
