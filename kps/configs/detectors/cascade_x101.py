"""The paper's first detector: Cascade R-CNN with ResNeXt-101-64x4d by mmdet's recipe of 20 epochs, boxes only."""

_base_ = "mmdet::cascade_rcnn/cascade-rcnn_x101-64x4d_fpn_1x_coco.py"
custom_imports = dict(imports=["kps.models.detector"])
public_weights = (
    "https://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_x101_64x4d_fpn_20e_coco/"
    "cascade_rcnn_x101_64x4d_fpn_20e_coco_20200509_224357-051557b1.pth"
)

model = dict(
    backbone=dict(init_cfg=None),  # `public_weights` are loaded on demand
    roi_head=dict(bbox_head=[dict(stage, num_classes=13) for stage in _base_.model.roi_head.bbox_head]),
    train_cfg=dict(rpn=dict(allowed_border=-1)),  # garments fill photos: anchors that cross the border count
    test_cfg=dict(rcnn=dict(score_thr=0.001)),  # `kps.models.detector.detect` has a threshold of its own
)

train_cfg = dict(max_epochs=20, val_interval=20)
optim_wrapper = dict(optimizer=dict(lr=0.02))  # at 16 photos a step; it follows the real number
auto_scale_lr = dict(enable=True, base_batch_size=16)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=20, milestones=[16, 19], gamma=0.1),
]

meta_keys = ["img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances"]
train_pipeline = [
    dict(type="LoadPhoto"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomChoiceResize", scales=[(1333, short) for short in range(640, 801, 32)], keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(1333, 800), keep_ratio=True),
    dict(type="PackDetInputs", meta_keys=meta_keys),
]
tta_model = dict(type="DetTTAModel", tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100))
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [dict(type="Resize", scale=scale, keep_ratio=True) for scale in ((1333, 640), (1333, 800), (1600, 960))],
            [dict(type="RandomFlip", prob=share) for share in (0.0, 1.0)],
            [dict(type="PackDetInputs", meta_keys=[*meta_keys, "flip", "flip_direction"])],
        ],
    ),
]
train_dataloader = dict(
    _delete_=True,
    batch_size=2,
    num_workers=4,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="ClassBalancedDataset",
        oversample_thr=1e-3,
        dataset=dict(
            type="GarmentBoxes",
            ann_file="runs/demo/coco/train.json",
            data_prefix=dict(img="runs/demo/data/train/image"),
            pipeline=train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    _delete_=True,
    batch_size=1,
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
val_evaluator = dict(_delete_=True, type="CocoMetric", metric="bbox")  # of the data set's own boxes
test_evaluator = val_evaluator
