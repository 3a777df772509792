"""The demo's HTC: its Cascade R-CNN with masks."""

_base_ = "./cascade_demo.py"

model = dict(
    type="HybridTaskCascade",
    data_preprocessor=dict(pad_mask=True),
    roi_head=dict(
        type="HybridTaskCascadeRoIHead",
        interleaved=True,
        mask_info_flow=True,
        mask_roi_extractor=_base_.model.roi_head.bbox_roi_extractor,
        mask_head=[
            dict(
                type="HTCMaskHead",
                with_conv_res=stage > 0,
                num_convs=1,
                roi_feat_size=7,
                norm_cfg=dict(type="BN"),
                in_channels=48,
                conv_out_channels=48,
                num_classes=13,
                loss_mask=dict(type="CrossEntropyLoss", use_mask=True),
            )
            for stage in range(2)
        ],
    ),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
)

prepare = _base_.prepare
prepare[1].with_mask = True
train_pipeline = [dict(type="Remembered", transforms=prepare), *_base_.train_pipeline[1:]]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
