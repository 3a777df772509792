"""Seconds on a CPU, for tests: it learns nothing of use."""

_base_ = "./hrnet_demo.py"

model = dict(
    backbone=dict(
        fold=1,
        extra=dict(
            stage2=dict(num_channels=(8, 16)),
            stage3=dict(num_channels=(8, 16, 32)),
            stage4=dict(num_channels=(8, 16, 32, 64)),
        ),
    ),
    head=dict(in_channels=8),
)

optim_wrapper = dict(type="OptimWrapper")
train_cfg = dict(max_epochs=2, val_interval=2)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", T_max=2, eta_min=0.0, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
]
finetune = {"train_cfg.max_epochs": 1, "train_dataloader.sampler.samples_per_epoch": 16}

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[0].input_size = test_pipeline[0].input_size = (64, 96)
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
