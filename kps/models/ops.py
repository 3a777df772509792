"""mmcv's compiled ops from torchvision, where mmcv comes without its own: no compiler, no nvcc; bfloat16; memory.

mmcv looks its ops up by name on a module `mmcv._ext` when `mmcv.ops` is imported, and calls them when they
are used. The models here use two, NMS and RoIAlign with its gradient; torchvision has both, for CPU and GPU.
"""

import ctypes
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import Tensor, nn

from kps.files import InputError

NAME = "mmcv._ext"
AVERAGE = 1  # mmcv's number of the pooling mode "avg"
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # <malloc.h>


def keep_memory() -> None:
    """Let glibc keep what tensors free: else every large one is mapped and cleared anew, a tenth of a CPU's time."""
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


class TorchvisionOps(ModuleType):
    """Stands in for `mmcv._ext`; an op that it lacks raises one line when called, not when looked up."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.__spec__ = ModuleSpec(NAME, loader=None)  # mmengine looks for the module by `find_spec`
        self.nms, self.roi_align_forward, self.roi_align_backward = nms, pool, pool_gradient

    def __getattr__(self, op: str) -> Callable[..., None]:
        if op.startswith("__"):
            raise AttributeError(op)

        def absent(*_: Any, **__: Any) -> None:
            raise InputError(
                f"mmcv's op {op} is not here, only nms and roi_align are; to compile all (needs g++): "
                "pip install --force-reinstall --no-deps --no-build-isolation --no-cache-dir onedl-mmcv"
            )

        return absent


def provide_ops() -> None:
    """Put the two ops where mmcv looks for its own, which are left alone; before `mmcv.ops` is imported."""
    if NAME not in sys.modules and importlib.util.find_spec(NAME) is None:
        sys.modules[NAME] = TorchvisionOps()


def memory_format() -> torch.memory_format:
    """Return the order of tensors that is fast and safe here: channels innermost, or the usual one.

    mmcv's own RoIAlign silently misreads channels innermost. With several CPU threads, torch 2.15 crashes in
    the detector's backward pass in that order; tests/test_models_detector.py trains so on purpose.
    """
    ours = isinstance(sys.modules.get(NAME), TorchvisionOps)
    safe = ours and (torch.cuda.is_available() or torch.get_num_threads() == 1)
    return torch.channels_last if safe else torch.contiguous_format


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Compute in bfloat16 where the GPU or the processor has arithmetic for it, elsewhere in full precision.

    Its range is that of single precision, so losses need no scale; weights and their steps stay in single precision.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        gpu = torch.cuda.is_available()
        fast = torch.cuda.is_bf16_supported() if gpu else torch.cpu._is_amx_tile_supported()
        with super().optim_context(model), torch.autocast("cuda" if gpu else "cpu", torch.bfloat16, enabled=fast):
            yield


def nms(boxes: Tensor, scores: Tensor, *, iou_threshold: float, offset: int) -> Tensor:
    """Return the rows of `boxes` (N, 4) x1, y1, x2, y2 px (the last pixel within with `offset` 1) kept, best first."""
    return _ops().nms(boxes + boxes.new_tensor([0, 0, offset, offset]), scores, iou_threshold)


def pool(features: Tensor, boxes: Tensor, output: Tensor, *argmax: Tensor, **how: Any) -> None:
    """Write the `features` (N, C, H, W) pooled from `boxes` (R, 5), number and x1, y1, x2, y2 px, into `output`.

    `output` is (R, C, h, w); `argmax` serves pooling by the maximum, which is not here; `how` see `_arguments`.
    """
    exact = _exact(features)
    size, ratio, aligned = _arguments(**how)
    output.copy_(_ops().roi_align(exact, boxes.to(exact), *size, ratio, aligned))


def pool_gradient(gradient: Tensor, boxes: Tensor, *rest: Tensor, **how: Any) -> None:
    """Write the gradient of the features into the last of `rest`, from `gradient` (R, C, h, w); as `pool`."""
    exact, output = _exact(gradient), rest[-1]
    size, ratio, aligned = _arguments(**how)
    output.copy_(_ops()._roi_align_backward(exact, boxes.to(exact), *size, *output.shape, ratio, aligned))


def _ops() -> Any:
    import torchvision  # noqa: F401  (registers its ops; here, since landmark models do without, and it takes a second)

    return torch.ops.torchvision


def _arguments(
    *, aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool
) -> tuple[tuple[float, int, int], int, bool]:
    """Return torchvision's arguments of mmcv's: scale and (h, w), samples a bin, half-pixel shift."""
    if pool_mode != AVERAGE:
        TorchvisionOps().roi_align_max()
    return (spatial_scale, aligned_height, aligned_width), sampling_ratio, aligned


def _exact(values: Tensor) -> Tensor:
    """In at least single precision: not every device has these ops in half of it."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
