"""EfficientNet-Lite0 that has seen ImageNet, its maps of four strides summed; it tells categories as well."""

_base_ = ["./hrnet_demo.py", "../_lite.py"]
public_weights = "{{ fileDirname }}/../../weights/landmarks.pth"

model = dict(
    data_preprocessor={{_base_.lite_pixels}},
    backbone={{_base_.lite_backbone}},
    neck=dict(type="SummedMaps", in_channels=(24, 40, 112, 320), out_channels=96),
    head=dict(
        in_channels=96,
        deconv_out_channels=(),
        deconv_kernel_sizes=(),
        conv_out_channels=(64,),
        conv_kernel_sizes=(3,),
        category_channels=496,
        category_weight=0.1,
        residual=True,  # the map is a prior
    ),
)
train_cfg = dict(max_epochs=4, val_interval=4)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", T_max=4, eta_min=0.0, by_epoch=True, begin=0, end=4, convert_to_iter_based=True),
]
# Depthwise convolutions have no fast gradient in bfloat16 on CPUs.
optim_wrapper = dict(
    type="OptimWrapper",
    paramwise_cfg=dict(
        custom_keys=dict(backbone=dict(lr_mult=0.2), category_layer=dict(lr_mult=0.3), residual=dict(decay_mult=100))
    ),
)
finetune = {
    "model.backbone.frozen": [""],
    "model.head.category_weight": 0.0,
    "train_dataloader.dataset.pipeline.0.flip": 0.0,  # which is the other variant's
    "train_cfg.max_epochs": 2,
    "param_scheduler": [
        dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=5),
        dict(type="CosineAnnealingLR", T_max=2, eta_min=0.0, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
    ],
}

train_pipeline = [
    dict(type="GarmentCrop", input_size=(128, 192), scale=0.25, rotation=20.0, shift=0.08, flip=0.5, cache=True),
    dict(type="Albumentation", transforms={{_base_.looks}}),
    dict(type="PackGarment"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
