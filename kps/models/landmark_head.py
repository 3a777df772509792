"""The landmark model's own parts in mmpose's registry: heatmaps and their decoding, losses, the head.

Letters: N instances, L = 39 own landmarks, [W, H] the heatmap's size. Heatmap coordinates are 0-indexed pixel
centres; input pixel x lies at (x + 0.5) * W / input width - 0.5, so that mirroring needs no shift.
"""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor, nn

from kps import schema
from kps.models.backbones import NormsMayStay
from kps.models.landmark_data import aggregation_of, mean_sigmas


def gaussian_factors(points_xy: Tensor, size_wh: tuple[int, int], sigma: float) -> tuple[Tensor, Tensor]:
    """Return the factors (N, L, H) and (N, L, W) of Gaussians of peak 1 at unrounded centres (N, L, 2)."""
    x = torch.arange(size_wh[0], device=points_xy.device, dtype=points_xy.dtype)
    y = torch.arange(size_wh[1], device=points_xy.device, dtype=points_xy.dtype)
    factor_x = torch.exp(-((x - points_xy[..., 0, None]) ** 2) / (2 * sigma**2))
    factor_y = torch.exp(-((y - points_xy[..., 1, None]) ** 2) / (2 * sigma**2))
    return factor_y, factor_x


def gaussian_heatmaps(points_xy: Tensor, size_wh: tuple[int, int], sigma: float) -> Tensor:
    """Return heatmaps (N, L, H, W) of Gaussians of peak 1 at unrounded centres (N, L, 2) in heatmap px."""
    factor_y, factor_x = gaussian_factors(points_xy, size_wh, sigma)
    return factor_y[..., :, None] * factor_x[..., None, :]


def bell(distance: Tensor, sigma: Tensor) -> Tensor:
    """Return a Gaussian of peak 1, nowhere below e**-30: products of less are denormal numbers, and slow on CPUs."""
    return torch.exp(-(distance**2 / (2 * sigma**2)).clamp_max(30.0))


def smooth(heatmaps: Tensor, sigma: Tensor) -> Tensor:
    """Weigh heatmaps (N, L, H, W) around every pixel by a Gaussian of peak 1 and sigma (N, L) px.

    Of a map of probabilities, with the sigma of object keypoint similarity, that is the similarity to expect
    of each pixel.
    """
    height, width = heatmaps.shape[-2:]
    x = torch.arange(max(height, width), device=heatmaps.device, dtype=heatmaps.dtype)
    kernel = bell(x - x[:, None], sigma[..., None, None])
    return kernel[..., :height, :height] @ heatmaps @ kernel[..., :width, :width]


def decode(smoothed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the peaks' places (N, L, 2) in heatmap px and their heights (N, L).

    The maximum is refined by one Newton step on the logarithm, exact for a Gaussian (distribution-aware
    decoding, arXiv 1910.06278); the step is at most a pixel each way.
    """
    height, width = smoothed.shape[-2:]
    score, index = smoothed.flatten(2).max(2)
    column = (index % width).clamp(1, width - 2)
    row = (index // width).clamp(1, height - 2)
    step = torch.tensor([-1, 0, 1], device=smoothed.device)
    window = (step[:, None] * width + step).flatten()
    around = (row * width + column)[..., None] + window  # (N, L, 9)
    values = smoothed.flatten(2).gather(2, around).clamp_min(1e-12).log()
    nw, n, ne, w, c, e, sw, s, se = values.unbind(-1)
    dx, dy = (e - w) / 2, (s - n) / 2
    dxx, dyy, dxy = e - 2 * c + w, s - 2 * c + n, (se - sw - ne + nw) / 4
    determinant = dxx * dyy - dxy**2
    peaked = (determinant > 1e-12) & (dxx < 0)
    safe = torch.where(peaked, determinant, 1.0)
    step_x = torch.where(peaked, (dxy * dy - dyy * dx) / safe, 0.0).clamp(-1, 1)
    step_y = torch.where(peaked, (dxy * dx - dxx * dy) / safe, 0.0).clamp(-1, 1)
    return torch.stack([column + step_x, row + step_y], -1), score


POOL, REACH = 4, 3.5  # px that are pooled for a first look; sigmas that a window holds


def locate(heatmaps: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places (N, L, 2) of the peaks of heatmaps (N, L, H, W) smoothed by sigma (N, L) px, and their heights.

    Maps are smoothed there alone where their pooled map has its peak, from a window around it: many times as fast.
    """
    height, width = heatmaps.shape[-2:]
    if height % POOL or width % POOL or min(height, width) < 4 * POOL:
        return decode(smooth(heatmaps, sigma))
    columns = torch.eye(width // POOL).to(heatmaps).repeat_interleave(POOL, 0)  # a product with them is soonest
    pooled = smooth(heatmaps.unflatten(2, (-1, POOL)).sum(3) @ columns, sigma / POOL).flatten(2).argmax(2)
    coarse = torch.stack([pooled // (width // POOL), pooled % (width // POOL)])  # (2, N, L) row, column
    centre = coarse * POOL + POOL // 2
    fine = POOL + 1  # px around the centre in which the peak is
    # In a traced graph the reach would be a constant of the example: there the window is the whole map.
    reach = fine + (max(height, width) if torch.jit.is_tracing() else math.ceil(REACH * float(sigma.max())))
    windows, kernels, ends = [], [], []
    for middle, size in zip(centre, (height, width), strict=True):
        around, near = ((middle - r).clamp(0, max(size - 2 * r - 1, 0)) for r in (reach, fine))
        span = min(2 * reach + 1, size)
        step = torch.arange(span + 2 * fine, device=heatmaps.device)
        windows.append(around[..., None] + step[:span])
        # A row of the kernel is the next one's, shifted: so few distances, and rows from the last pixel to the first.
        apart = ((near - around + 2 * fine)[..., None] - step).to(sigma)
        within = apart.abs() <= REACH * sigma[..., None]  # so that no map depends on the others' sigmas
        weights = bell(apart, sigma[..., None]) * within
        kernels.append(torch.stack([weights[..., row : row + span] for row in range(2 * fine + 1)], -2))
        ends.append(near + 2 * fine)
    window = heatmaps
    if windows[0].shape[-1] < height or windows[1].shape[-1] < width:
        index = windows[0][..., :, None] * width + windows[1][..., None, :]
        window = heatmaps.flatten(2).gather(2, index.flatten(2)).view(index.shape)
    points_xy, score = decode(kernels[0] @ window @ kernels[1].transpose(-1, -2))
    return torch.stack(ends[::-1], -1) - points_xy, score


MIN_SCALE = 0.7  # heatmap px; a sharper weight would follow the noise of single pixels


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
        """Return places (N, L, 2) in heatmap px and the peaks' heights (N, L): no probabilities, whatever the scale."""
        points_xy, _ = locate(heatmaps, torch.full_like(oks_scale, self.sigma))
        return points_xy, heatmaps.flatten(2).amax(2)


@MODELS.register_module()
class HeatmapCrossEntropyLoss(nn.Module):
    """Divergence of a softmax over the heatmap from a Gaussian; zero is about the least.

    It learns far faster than squared error in the first minutes, since every pixel competes with the peak. The head
    multiplies its maps by `sharpness`: an optimizer that moves weights by fixed steps reaches a peak that much sooner.
    """

    def __init__(self, sigma: float, sharpness: float = 10.0) -> None:
        super().__init__()
        self.sigma, self.sharpness = sigma, sharpness

    def forward(self, heatmaps: Tensor, points_xy: Tensor) -> Tensor:
        """(N, L, H, W), (N, L, 2) heatmap px -> (N, L)."""
        factors = gaussian_factors(points_xy, heatmaps.shape[:1:-1], self.sigma)
        factor_y, factor_x = (factor / factor.sum(-1, keepdim=True).clamp_min(1e-6) for factor in factors)
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
        return locate(heatmaps, oks_scale.clamp_min(MIN_SCALE))


@MODELS.register_module()
class OwnLandmarkHead(NormsMayStay, HeatmapHead):
    """mmpose's heatmap head on G groups, of which each instance computes only its own category's.

    The last 1 x 1 convolution is applied as a gather of its rows, so other channels get no gradient at all, and no map
    is computed for nothing. Parameters, data samples and results are those of `HeatmapHead`; where a sample knows no
    category, all G groups are located, without residuals.

    Args:
        aggregation: the map, see `kps.models.landmark_data.aggregation_of`.
        residual: a landmark's channel is its group's and a part of its own, from zero: the map as a prior. The decay of
            the optimizer's `residual` says how strong a one (0: a channel for each landmark; infinite: the map alone).
        norm_eval: keep the batch norm statistics as they are in training.
        category_channels: of all maps but the last, from which, pooled, a linear layer tells the garment's category;
            with 0 there is none.
        category_weight: of its loss; with 0 the layer stays as it is.
        kwargs: as for `HeatmapHead`; the final layer must be 1 x 1.
    """

    def __init__(
        self,
        aggregation: str | Sequence[int],
        residual: bool = False,
        norm_eval: bool = False,
        category_channels: int = 0,
        category_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.aggregation = aggregation_of(aggregation)
        super().__init__(**{**kwargs, "out_channels": self.aggregation.num_groups})
        self.norm_eval, self.category_channels, self.category_weight = norm_eval, category_channels, category_weight
        if category_channels:
            self.category_layer = nn.Linear(2 * category_channels, schema.NUM_CATEGORIES)
            self.category_layer.requires_grad_(category_weight > 0)
        channels = self.final_layer.in_channels + 1  # the last is the bias
        self.residual = nn.Parameter(torch.zeros(schema.NUM_LANDMARKS, channels)) if residual else None
        tables = {"own_landmarks": np.maximum(schema.own_indices(), 0), "own_mask": schema.own_landmark_mask()}
        tables |= {"group": self.aggregation.group, "mirrored": schema.FLIP_INDICES}
        tables["flip_indices"] = self.aggregation.flip_indices
        for name, table in tables.items():
            self.register_buffer(name, torch.tensor(table), persistent=False)

    def own_heatmaps(self, feats: Sequence[Tensor], category_id: Tensor, *, flipped: bool = False) -> Tensor:
        """Return the maps (N, L, H, W) of the own landmarks, times the loss's sharpness; zero on padding.

        Args:
            feats: the backbone's outputs; the last is used, (N, C, H, W).
            category_id: (N,) 1..13.
            flipped: the input was mirrored: take each landmark's mirror channel and mirror the map back.
        """
        features = self.conv_layers(self.deconv_layers(feats[-1]))
        landmarks = self.own_landmarks[category_id - 1]  # (N, L)
        landmarks = self.mirrored[landmarks] if flipped else landmarks
        gain = self.own_mask[category_id - 1][..., None] * self.loss_module.sharpness
        weight = self.final_layer.weight.flatten(1)[self.group[landmarks]]  # (N, L, C)
        bias = self.final_layer.bias[self.group[landmarks]][..., None]
        if self.residual is not None:
            weight, bias = weight + self.residual[landmarks][..., :-1], bias + self.residual[landmarks][..., -1:]
        with torch.autocast(features.device.type, enabled=False):  # a peak's place is finer than half precision has it
            maps = torch.baddbmm(bias * gain, weight * gain, features.flatten(2).float())
        maps = maps.unflatten(2, features.shape[-2:])
        return maps.flip(-1) if flipped else maps

    def loss(self, feats: Sequence[Tensor], batch_data_samples: list, train_cfg: dict | None = None) -> dict:
        """Return the mean over instances of the mean over their labelled landmarks inside the crop.

        The N samples have keypoints (1, G, 2) in input px, keypoints_visible (1, G) and category_id.
        """
        device = feats[-1].device
        category_id = torch.tensor([sample.category_id for sample in batch_data_samples], device=device)
        labels = [sample.gt_instances for sample in batch_data_samples]
        visible = np.concatenate([one.keypoints_visible for one in labels])[..., None]
        grouped = np.concatenate([np.concatenate([one.keypoints for one in labels]), visible], 2)
        channels, own_mask = self.group[self.own_landmarks[category_id - 1]], self.own_mask[category_id - 1]
        landmarks = torch.as_tensor(grouped).to(device, torch.float32)
        landmarks = landmarks.gather(1, channels[..., None].expand(-1, -1, 3))  # (N, L, 3)
        maps = self.own_heatmaps(feats, category_id)
        size = torch.tensor(maps.shape[:1:-1], device=device)
        stride = torch.tensor(batch_data_samples[0].input_size, device=device) / size
        points_xy = (landmarks[..., :2] + 0.5) / stride - 0.5
        labelled = (landmarks[..., 2] > 0) & own_mask
        labelled &= ((points_xy > -0.5) & (points_xy < size - 0.5)).all(-1)
        each = self.loss_module(maps, torch.where(labelled[..., None], points_xy, 0.0))
        counts = labelled.sum(1)
        per_instance = torch.where(labelled, each, 0.0).sum(1) / counts.clamp_min(1)
        losses = {"loss_kpt": per_instance.sum() / (counts > 0).sum().clamp_min(1)}
        if self.category_channels and self.category_weight:
            unlike = F.cross_entropy(self.category_logits(feats), category_id - 1)
            losses["loss_category"] = self.category_weight * unlike
        return losses

    def category_logits(self, feats: Sequence[Tensor]) -> Tensor:
        """(N, 13) from the backbone's outputs."""
        with torch.autocast(feats[-1].device.type, enabled=False):
            pooled = [pool(one.float(), (2, 3)) for one in feats[:-1] for pool in (torch.mean, torch.amax)]
            return self.category_layer(torch.cat(pooled, 1))

    def predict(self, feats: Any, batch_data_samples: list, test_cfg: dict | None = None) -> list[InstanceData]:
        """Return each crop's keypoints (1, G, 2) in input px and keypoint_scores (1, G); zeros for other categories.

        With a layer that tells categories also category_scores (1, 13), which sum to one.

        Args:
            feats: the backbone's outputs; with test_cfg["flip_test"], a list of those and of the mirrored crops'.
            batch_data_samples: N samples with input_size, bboxes (1, 4) px and input_scale; category_id where known.
        """
        samples, both = batch_data_samples, feats if (test_cfg or {}).get("flip_test") else [feats]
        known = all("category_id" in sample for sample in samples)
        kind = torch.tensor([s.category_id for s in samples], device=both[0][-1].device) if known else None
        scale = torch.as_tensor(np.stack([self._oks_scale(s, known) for s in samples])).to(both[0][-1])
        points_xy, confidence, kinds = self.locate(both, kind, scale, samples[0].input_size)
        located = torch.cat([points_xy, confidence[..., None]], 2).double().cpu().numpy()
        if known:
            located = self.aggregation.aggregate(kind.cpu().numpy(), located)
        found = {"keypoints": located[..., :2], "keypoint_scores": located[..., 2]}
        if kinds is not None:
            found["category_scores"] = kinds.double().cpu().numpy()
        return [InstanceData(**{name: value[i : i + 1] for name, value in found.items()}) for i in range(len(samples))]

    def locate(
        self, both: Sequence, category_id: Tensor | None, oks_scale: Tensor, input_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return places (N, L, 2) in input px, confidence (N, L) 0..1, and (N, 13) of each category or None.

        Args:
            both: the backbone's outputs, and perhaps those of the mirrored crops.
            category_id: (N,) 1..13; without it the G groups take the place of the L own landmarks.
            oks_scale: (N, L) input px: where object keypoint similarity is exp(-1/2).
            input_size: width and height, px.
        """
        if category_id is None:
            maps = [self.forward(one) * self.loss_module.sharpness for one in both]
            maps[1:] = [one.flip(-1)[:, self.flip_indices] for one in maps[1:]]
        else:
            maps = [self.own_heatmaps(one, category_id, flipped=bool(number)) for number, one in enumerate(both)]
        maps = reduce(Tensor.add, map(self.loss_module.activate, maps)).div_(len(both))
        stride = torch.tensor([s / m for s, m in zip(input_size, maps.shape[:1:-1], strict=True)]).to(maps)
        points_xy, confidence = self.loss_module.decode(maps, oks_scale / stride.mean())
        kinds = None
        if self.category_channels:
            kinds = sum(self.category_logits(one).softmax(1) for one in both) / len(both)
        return (points_xy + 0.5) * stride - 0.5, confidence.clamp(0, 1), kinds

    def _oks_scale(self, sample: Any, known: bool) -> np.ndarray:
        """(L,) or (G,): distance in input px at which object keypoint similarity is exp(-1/2)."""
        x1, y1, x2, y2 = sample.gt_instances.bboxes[0]
        zoom = sample.input_size[0] / sample.input_scale[0]
        if known:
            kind = sample.category_id - 1
            sigmas = np.where(schema.own_landmark_mask()[kind], schema.own_sigmas()[kind], 0)  # padding wants no window
        else:
            sigmas = mean_sigmas(self.aggregation)
        return 2 * sigmas * np.sqrt((x2 - x1) * (y2 - y1)) * zoom
