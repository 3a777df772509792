"""A small sibling for minutes on a CPU: 128 x 192, one block a branch, a loss and a schedule that learn fast."""

_base_ = "./hrnet_w48.py"

model = dict(
    data_preprocessor=dict(batch_augments=[dict(type="ColourJitter", amount=0.2)]),
    backbone=dict(
        type="FoldedHRNet",
        fold=2,
        extra=dict(
            stage1=dict(block="BASIC", num_blocks=(1,), num_channels=(16,)),
            stage2=dict(num_modules=1, num_blocks=(1, 1), num_channels=(32, 64)),
            stage3=dict(num_modules=1, num_blocks=(1, 1, 1), num_channels=(32, 64, 128)),
            stage4=dict(num_modules=1, num_blocks=(1, 1, 1, 1), num_channels=(32, 64, 128, 256)),
        ),
    ),
    head=dict(
        in_channels=32,
        deconv_out_channels=(16,),
        deconv_kernel_sizes=(4,),
        loss=dict(type="HeatmapCrossEntropyLoss", sigma=1.0),
    ),
)

train_cfg = dict(max_epochs=14, val_interval=14)
optim_wrapper = dict(
    _delete_=True,
    type="Bfloat16OptimWrapper",
    optimizer=dict(type="AdamW", lr=3e-3, weight_decay=0.01, fused=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", T_max=14, eta_min=0.0, by_epoch=True, begin=0, end=14, convert_to_iter_based=True),
]
# A rare category has a handful of garments: so a fixed number of draws, and statistics frozen.
finetune = {
    "train_cfg.max_epochs": 3,
    "optim_wrapper.optimizer.lr": 3e-4,
    "param_scheduler": [
        dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=5),
        dict(type="CosineAnnealingLR", T_max=3, eta_min=0.0, by_epoch=True, begin=0, end=3, convert_to_iter_based=True),
    ],
    "train_dataloader.sampler.balance": 0.0,
    "train_dataloader.sampler.samples_per_epoch": 256,
    "model.backbone.norm_eval": True,
    "model.head.norm_eval": True,
}

train_pipeline = [
    dict(type="GarmentCrop", input_size=(128, 192), scale=0.15, rotation=15.0, shift=0.05, flip=0.0, cache=True),
    dict(type="PackGarment"),
]
test_pipeline = [dict(type="GarmentCrop", input_size=(128, 192)), dict(type="PackPoseInputs")]
train_dataloader = dict(batch_size=16, num_workers=0, sampler=dict(balance=0.5), dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
