"""The demo's Cascade R-CNN on EfficientNet-Lite0."""

_base_ = ["./cascade_demo.py", "../_lite.py"]
public_weights = "{{ fileDirname }}/../../weights/detector.pth"  # without its masks

model = {{_base_.lite}}
train_cfg = {{_base_.one_epoch}}
param_scheduler = {{_base_.one_epoch_schedule}}
optim_wrapper = {{_base_.lite_training}}
train_dataloader = dict(dataset=dict(dataset=dict(pipeline={{_base_.varied}})))
val_dataloader = dict(dataset=dict(pipeline={{_base_.as_it_is}}))
test_dataloader = val_dataloader
tta_pipeline = {{_base_.in_four_ways}}
