"""The demo's HTC with a backbone of 8 channels: seconds on a CPU, for tests; it learns nothing of use."""

_base_ = "./htc_demo.py"

model = dict(backbone=dict(base_channels=8, stem_channels=8), neck=dict(in_channels=[16, 32, 64]))
train_cfg = dict(max_epochs=2, val_interval=2)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-2, by_epoch=False, begin=0, end=10),
    dict(type="CosineAnnealingLR", T_max=2, eta_min=0.0, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
]
train_dataloader = dict(batch_size=4)
