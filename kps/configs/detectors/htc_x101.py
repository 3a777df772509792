"""The paper's detector: Hybrid Task Cascade without its semantic branch, masks from the garments' polygons."""

_base_ = "./cascade_x101.py"
public_weights = (
    "https://download.openmmlab.com/mmdetection/v2.0/htc/htc_x101_64x4d_fpn_16x1_20e_coco/"
    "htc_x101_64x4d_fpn_16x1_20e_coco_20200318-b181fd7a.pth"
)

model = dict(
    type="HybridTaskCascade",
    data_preprocessor=dict(pad_mask=True),
    roi_head=dict(
        type="HybridTaskCascadeRoIHead",
        interleaved=True,
        mask_info_flow=True,
        mask_roi_extractor=dict(
            _base_.model.roi_head.bbox_roi_extractor, roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0)
        ),
        mask_head=[
            dict(
                type="HTCMaskHead",
                with_conv_res=stage > 0,
                num_convs=4,
                in_channels=256,
                conv_out_channels=256,
                num_classes=13,
                loss_mask=dict(type="CrossEntropyLoss", use_mask=True),
            )
            for stage in range(3)
        ],
    ),
    train_cfg=dict(rcnn=[dict(stage, mask_size=28) for stage in _base_.model.train_cfg.rcnn]),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
)

train_pipeline = _base_.train_pipeline
train_pipeline[1].with_mask = True
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
