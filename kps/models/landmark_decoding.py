"""Heatmaps from landmarks and landmarks from heatmaps, in batches.

Letters: N instances, L = 39 own landmarks, [W, H] the heatmap's size. Heatmap coordinates are 0-indexed pixel
centres; input pixel x lies at (x + 0.5) * W / input width - 0.5, so that mirroring needs no shift.
"""

from __future__ import annotations

import torch
from torch import Tensor


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


def smooth(heatmaps: Tensor, sigma: Tensor) -> Tensor:
    """Weigh heatmaps (N, L, H, W) around every pixel by a Gaussian of peak 1 and sigma (N, L) px.

    Of a map of probabilities, with the sigma of object keypoint similarity, that is the similarity to expect
    of each pixel.
    """
    height, width = heatmaps.shape[-2:]
    x = torch.arange(max(height, width), device=heatmaps.device, dtype=heatmaps.dtype)
    kernel = torch.exp(-((x - x[:, None]) ** 2) / (2 * sigma[..., None, None] ** 2))
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
