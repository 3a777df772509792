"""Another backbone in one file: a vision transformer of timm, of which any model with `features_only` works."""

_base_ = "./hrnet_w48.py"

model = dict(
    backbone=dict(
        _delete_=True, type="TimmBackbone", model_name="vit_small_patch16_224", img_size=(512, 384), pretrained=False
    ),
    head=dict(in_channels=384, deconv_out_channels=(256, 256), deconv_kernel_sizes=(4, 4)),
)
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=5e-4, weight_decay=0.1),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
