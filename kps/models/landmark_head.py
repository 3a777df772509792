"""The landmark model's own parts in mmpose's registry: input normalisation, the head, and its losses.

Letters: N instances, C feature channels, G groups, L = 39 own landmarks, [W, H] the heatmap's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor, nn

from kps import schema
from kps.aggregation import Aggregation
from kps.models.landmark_decoding import decode, gaussian_factors, gaussian_heatmaps, smooth
from kps.models.ops import memory_format

MIN_SCALE = 0.7  # heatmap px; a sharper weight would follow the noise of single pixels


@MODELS.register_module()
class CropPreprocessor(BaseDataPreprocessor):
    """Normalise crops (N, H, W, 3) uint8 to (N, 3, H, W) float in channels-last memory, on the device.

    In training, contrast and brightness of each colour change by up to `colour_jitter` (a part of the range).
    With `fold` f, each f x f square of pixels becomes one pixel of 3 f^2 channels: the network works at a
    resolution f times lower, at a cost f^2 times lower, without losing detail of the input.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], colour_jitter: float = 0.0, fold: int = 1) -> None:
        super().__init__()
        for name, value in {"mean": mean, "std": std}.items():
            self.register_buffer(name, torch.tensor(value).float().view(1, 3, 1, 1), persistent=False)
        self.colour_jitter, self.fold = colour_jitter, fold

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return {"inputs": (N, 3, H, W), "data_samples": ...} ready for the model."""
        data = self.cast_data(data)
        inputs = (data["inputs"].permute(0, 3, 1, 2).float() - self.mean) / self.std
        if training and self.colour_jitter:
            shape, device = (2, len(inputs), 3, 1, 1), inputs.device
            grey = torch.rand((2, len(inputs), 1, 1, 1), device=device)
            change = torch.rand(shape, device=device) + grey - 1
            gain, bias = change * self.colour_jitter
            inputs = inputs * (1 + gain) + bias * 2
        if self.fold > 1:
            inputs = F.pixel_unshuffle(inputs, self.fold)
        inputs = inputs.contiguous(memory_format=memory_format())
        return {"inputs": inputs, "data_samples": data.get("data_samples")}


@MODELS.register_module()
class HeatmapMSELoss(nn.Module):
    """Squared error against Gaussians of peak 1, mean over pixels (paper: sigma 3 on maps of 96 x 128)."""

    sharpness = 1.0

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, heatmaps: Tensor, points_xy: Tensor) -> Tensor:
        """(N, L, H, W), (N, L, 2) heatmap px -> (N, L)."""
        target = gaussian_heatmaps(points_xy, heatmaps.shape[:1:-1], self.sigma)
        return (heatmaps - target).square().mean((2, 3))

    def activate(self, heatmaps: Tensor) -> Tensor:
        """Return the heatmaps as they are."""
        return heatmaps

    def decode(self, heatmaps: Tensor, oks_scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return places (N, L, 2) in heatmap px and confidence (N, L), the height of the peak.

        `oks_scale` is not used: these maps are no probabilities, so nothing can be expected of them.
        """
        points_xy, _ = decode(smooth(heatmaps, torch.full_like(oks_scale, self.sigma)))
        return points_xy, heatmaps.flatten(2).amax(2)


@MODELS.register_module()
class HeatmapCrossEntropyLoss(nn.Module):
    """Divergence of a softmax over the heatmap from a Gaussian: learns far faster than squared error when
    training lasts minutes, since every pixel competes with the peak. Zero is about the least.

    The head multiplies its maps by `sharpness`: an optimizer that moves weights by fixed steps reaches a peak
    that much sooner.
    """

    def __init__(self, sigma: float, sharpness: float = 10.0) -> None:
        super().__init__()
        self.sigma, self.sharpness = sigma, sharpness

    def forward(self, heatmaps: Tensor, points_xy: Tensor) -> Tensor:
        """(N, L, H, W), (N, L, 2) heatmap px -> (N, L)."""
        factor_y, factor_x = gaussian_factors(points_xy, heatmaps.shape[:1:-1], self.sigma)
        factor_y = factor_y / factor_y.sum(-1, keepdim=True).clamp_min(1e-6)
        factor_x = factor_x / factor_x.sum(-1, keepdim=True).clamp_min(1e-6)
        expected = ((heatmaps @ factor_x[..., None])[..., 0] * factor_y).sum(-1)
        entropy = math.log(2 * math.pi * math.e * self.sigma**2)  # of the target: the least there is
        return heatmaps.flatten(2).logsumexp(2) - expected - entropy

    def activate(self, heatmaps: Tensor) -> Tensor:
        """Return probabilities."""
        return heatmaps.flatten(2).softmax(2).view_as(heatmaps)

    def decode(self, heatmaps: Tensor, oks_scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the similarity to expect is greatest (N, L, 2), heatmap px, and how great (N, L).

        `oks_scale` (N, L) px: where object keypoint similarity is exp(-1/2).
        """
        return decode(smooth(heatmaps, oks_scale.clamp_min(MIN_SCALE)))


@MODELS.register_module()
class OwnLandmarkHead(HeatmapHead):
    """mmpose's heatmap head on G groups, of which each instance computes only its own category's.

    The last 1 x 1 convolution is applied as a gather of its rows, so other channels get no gradient at all,
    and no map is computed for nothing. The parameters are those of `HeatmapHead`.

    Args:
        group: (294,) group of each landmark, 1..G, as in an aggregation file.
        norm_eval: keep the batch norm statistics as they are in training.
        others: as for `HeatmapHead`; the final layer must be 1 x 1.
    """

    def __init__(self, group: Sequence[int], norm_eval: bool = False, **kwargs: object) -> None:
        aggregation = Aggregation(np.array(group) - 1)
        super().__init__(out_channels=aggregation.num_groups, **kwargs)
        self.norm_eval = norm_eval
        own_channels = torch.as_tensor(aggregation.own_channels)
        self.register_buffer("own_channels", own_channels, persistent=False)
        flipped = torch.as_tensor(aggregation.flip_indices)[own_channels]
        self.register_buffer("own_channels_flipped", flipped, persistent=False)
        self.register_buffer("own_mask", torch.as_tensor(schema.own_landmark_mask()), persistent=False)

    def train(self, mode: bool = True) -> OwnLandmarkHead:
        """Switch to training, batch norm excepted where its statistics are frozen."""
        super().train(mode)
        for module in self.modules():
            if mode and self.norm_eval and isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def own_heatmaps(self, feats: Sequence[Tensor], category_id: Tensor, *, flipped: bool = False) -> Tensor:
        """Return the maps (N, L, H, W) of the own landmarks, times the loss's sharpness; zero on padding.

        Args:
            feats: the backbone's outputs; the last is used, (N, C, H, W).
            category_id: (N,) 1..13.
            flipped: the input was mirrored: take each landmark's mirror channel and mirror the map back.
        """
        features = self.conv_layers(self.deconv_layers(feats[-1]))
        channels = (self.own_channels_flipped if flipped else self.own_channels)[category_id - 1]  # (N, L)
        gain = self.own_mask[category_id - 1][..., None] * self.loss_module.sharpness
        weight = self.final_layer.weight.flatten(1)[channels] * gain  # (N, L, C)
        bias = self.final_layer.bias[channels][..., None] * gain
        maps = torch.baddbmm(bias, weight, features.flatten(2)).unflatten(2, features.shape[-2:])
        return maps.flip(-1) if flipped else maps

    def loss(self, feats: Sequence[Tensor], batch_data_samples: dict, train_cfg: dict | None = None) -> dict:
        """Return the mean over instances of the mean over their labelled landmarks.

        Args:
            feats: the backbone's outputs.
            batch_data_samples: category_id (N,), landmarks (N, L, 3) in parts of the input's size (0..1 from
                edge to edge) with visibility; 1 and 2 weigh the same, 0 nothing.
            train_cfg: unused, part of mmpose's interface.
        """
        category_id, landmarks = batch_data_samples["category_id"], batch_data_samples["landmarks"]
        maps = self.own_heatmaps(feats, category_id)
        size = torch.tensor(maps.shape[:1:-1], device=maps.device)
        points_xy = landmarks[..., :2] * size - 0.5
        labelled = (landmarks[..., 2] > 0) & self.own_mask[category_id - 1]
        labelled &= ((points_xy > -0.5) & (points_xy < size - 0.5)).all(-1)
        each = self.loss_module(maps, torch.where(labelled[..., None], points_xy, 0.0))
        counts = labelled.sum(1)
        per_instance = torch.where(labelled, each, 0.0).sum(1) / counts.clamp_min(1)
        return {"loss_kpt": per_instance.sum() / (counts > 0).sum().clamp_min(1)}
