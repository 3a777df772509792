"""Backbones: HRNet on folded photos, and any of timm's; and the jitter of colours before them."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.registry import MODELS as SHARED_MODELS
from mmpose.models.backbones import HRNet
from mmpose.registry import MODELS
from torch import Tensor, nn

from kps.files import InputError
from kps.models.checkpoints import load_into, load_weights


@MODELS.register_module()
class FoldedHRNet(HRNet):
    """HRNet on folded photos: each fold x fold square of pixels enters as one pixel of 3 fold^2 channels.

    So the network works at a resolution fold times lower, at a cost fold^2 times lower, without losing detail.
    """

    def __init__(self, fold: int = 1, in_channels: int = 3, **kwargs: object) -> None:
        super().__init__(in_channels=in_channels * fold**2, **kwargs)
        self.fold = fold

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> the finest branch (N, C, H / (4 fold), W / (4 fold))."""
        return super().forward(F.pixel_unshuffle(x, self.fold))


class NormsMayStay(nn.Module):
    """A module that keeps the statistics of its batch norms in training where its `norm_eval` says so."""

    def train(self, mode: bool = True) -> "NormsMayStay":
        """Switch to training."""
        super().train(mode)
        for part in self.modules() if mode and self.norm_eval else ():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        return self


@SHARED_MODELS.register_module()
class TimmBackbone(NormsMayStay, BaseModule):
    """Any backbone of timm by its name; its maps of features go on, finest first.

    Args:
        model_name: such as "resnet18" or "vit_tiny_patch16_224".
        package: an installed package that ships weights of this network in a .pth file, from which training starts.
        frozen: beginnings of the names of parameters that keep their values.
        norm_eval: keep the batch norm statistics as they are in training.
        kwargs: of `timm.create_model`, such as pretrained, img_size or out_indices.
    """

    def __init__(
        self,
        model_name: str,
        package: str | None = None,
        frozen: Sequence[str] = (),
        norm_eval: bool = False,
        init_cfg: dict | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(init_cfg)
        import timm  # here, since most configurations do without

        self.timm_model = timm.create_model(model_name, features_only=True, **kwargs)
        self.package, self.norm_eval = package, norm_eval
        for name, parameter in self.timm_model.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(frozen)))

    def init_weights(self) -> None:
        """Take the package's tensors in their order, which is the network's; InputError: the package is absent."""
        if self.package is None:
            return
        found = importlib.util.find_spec(self.package)
        files = sorted(Path(found.submodule_search_locations[0]).rglob("*.pth")) if found else []
        if not files:
            raise InputError(f"expected weights to start from in the package {self.package}, but it is not installed")
        own = self.timm_model.state_dict()
        names = [name for name in own if not name.endswith("num_batches_tracked")]
        weights = {name: tensor for name, tensor in load_weights(files[0]).items() if "num_batches" not in name}
        load_into(self.timm_model, files[0], own | dict(zip(names, weights.values(), strict=False)))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> maps of features, finest first."""
        return tuple(self.timm_model(x))


@MODELS.register_module()
class SummedMaps(BaseModule):
    """Bring maps of several strides to the same channels, sum them at the finest stride, and add that as last map."""

    def __init__(self, in_channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(channels, out_channels, 1, bias=False) for channels in in_channels)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (N, C, H, W), finest first -> the same and (N, out_channels, H, W)."""
        size, parts = maps[0].shape[2:], [lateral(one) for lateral, one in zip(self.laterals, maps, strict=True)]
        total = parts[0] + sum(F.interpolate(part, size, mode="bilinear") for part in parts[1:])
        return *maps, F.relu(self.norm(total))


@MODELS.register_module()
class ColourJitter(nn.Module):
    """Change contrast and brightness of each colour of normalised crops by up to `amount` of their range."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, inputs: Tensor, data_samples: list) -> tuple[Tensor, list]:
        """(N, 3, H, W) -> the same."""
        grey = torch.rand((2, len(inputs), 1, 1, 1), device=inputs.device)
        change = torch.rand((2, len(inputs), 3, 1, 1), device=inputs.device) + grey - 1
        gain, bias = change * self.amount
        return inputs * (1 + gain) + bias * 2, data_samples
