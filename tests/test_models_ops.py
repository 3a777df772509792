"""mmcv's ops by torchvision: equal to hand-made values, and so is their gradient."""

import importlib.util
import sys
from functools import partial

import numpy as np
import pytest
import torch

from kps.files import InputError
from kps.models import ops  # before mmcv.ops

from mmcv.ops import RoIAlign, batched_nms, sigmoid_focal_loss  # isort: skip

BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [21, 21, 31, 31], [10, 0, 20, 10]])
SCORES = torch.tensor([0.6, 0.9, 0.5, 0.7, 0.8])


def pooled(features, boxes, *, size=7, **changes):
    """Features pooled by `ops.pool` as mmcv calls it, at a quarter of the photo's size."""
    given = {"aligned_height": size, "aligned_width": size, "spatial_scale": 0.25, "sampling_ratio": 0}
    output, nothing = features.new_zeros((len(boxes), features.shape[1], size, size)), features.new_zeros(0)
    ops.pool(features, boxes, output, nothing, nothing, **{**given, "pool_mode": 1, "aligned": True, **changes})
    return output


def by_hand(features: np.ndarray, box: np.ndarray, *, size: int, samples: int, aligned: bool) -> np.ndarray:
    """RoIAlign of one box (x1, y1, x2, y2 in feature px) by its definition: means of bilinear samples."""
    height, width = features.shape[1:]
    out = np.zeros((len(features), size, size))
    least = 0 if aligned else 1  # px of a side
    step_x, step_y = (max(box[k + 2] - box[k], least) / size / samples for k in (0, 1))
    for i, j in np.ndindex(size * samples, size * samples):
        y = min(max(box[1] - 0.5 * aligned + (i + 0.5) * step_y, 0), height - 1)
        x = min(max(box[0] - 0.5 * aligned + (j + 0.5) * step_x, 0), width - 1)
        y0, x0 = min(int(y), height - 2), min(int(x), width - 2)
        corners = features[:, y0 : y0 + 2, x0 : x0 + 2]
        weights = np.outer([1 - (y - y0), y - y0], [1 - (x - x0), x - x0])
        out[:, i // samples, j // samples] += (corners * weights).sum((1, 2)) / samples**2
    return out


def test_nms_keeps_the_best_of_those_that_overlap():
    assert ops.nms(BOXES, SCORES, iou_threshold=0.5, offset=0).tolist() == [1, 4, 3]
    assert ops.nms(BOXES[:0], SCORES[:0], iou_threshold=0.5, offset=0).tolist() == []


def test_with_an_offset_the_last_pixel_belongs_to_a_box():
    boxes = torch.tensor([[0.0, 0, 9, 9], [5, 0, 14, 9]])  # they share 5 of 15 columns
    scores = torch.tensor([0.9, 0.8])
    for threshold, kept in ((0.34, [0, 1]), (0.33, [0])):
        assert ops.nms(boxes, scores, iou_threshold=threshold, offset=1).tolist() == kept


def test_batched_nms_of_mmcv_keeps_classes_apart():
    classes = torch.tensor([0, 1, 0, 0, 1])
    _, kept = batched_nms(BOXES, SCORES, classes, {"type": "nms", "iou_threshold": 0.5})
    assert kept.tolist() == [1, 4, 3, 0]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("threads", "aligned"), [(1, True), (2, True), (1, False)])
def test_pooling_is_the_mean_of_bilinear_samples_in_any_layout(layout, threads, aligned):
    features = torch.randn((2, 5, 20, 30), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    boxes = torch.tensor([[0, 8.0, 8, 60, 50], [1, 12, 20, 100, 70], [1, 3, 5, 9, 8]], dtype=torch.float64)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        laid_out = features.contiguous(memory_format=layout)
        got = pooled(laid_out, boxes, size=3, sampling_ratio=2, aligned=aligned).numpy()
    finally:
        torch.set_num_threads(before)
    for row, box in zip(got, boxes.numpy(), strict=True):
        expected = by_hand(features[int(box[0])].numpy(), box[1:] * 0.25, size=3, samples=2, aligned=aligned)
        assert np.abs(row - expected).max() < 1e-9


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("ratio", [0, 2])
def test_the_gradient_of_mmcvs_layer_is_right(layout, ratio, monkeypatch):
    monkeypatch.setattr(sys.modules["mmcv.ops.roi_align"], "ext_module", ops.TorchvisionOps())
    features = torch.randn((2, 3, 8, 9), dtype=torch.float64).contiguous(memory_format=layout)
    boxes = torch.tensor([[0, 1.0, 2, 20, 25], [1, 5, 3, 30, 17]], dtype=torch.float64)
    layer = RoIAlign((2, 3), spatial_scale=0.25, sampling_ratio=ratio)
    assert torch.autograd.gradcheck(lambda values: layer(values, boxes), features.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_its_type(dtype):
    features, boxes = torch.randn((1, 3, 8, 9)), torch.tensor([[0, 1.0, 2, 20, 25]])
    got = pooled(features.to(dtype), boxes)
    assert got.dtype == dtype and (got.float() - pooled(features, boxes)).abs().max() < 0.05


def test_another_op_is_named_in_one_line_when_it_is_called():
    pooled_by_maximum = partial(pooled, torch.zeros((1, 1, 4, 4)), torch.zeros((1, 5)), pool_mode=0)
    for call in (ops.TorchvisionOps().softnms, pooled_by_maximum):
        with pytest.raises(InputError, match=r"^mmcv's op \w+ is not here.*pip install[^\n]*$"):
            call()
    if isinstance(sys.modules[ops.NAME], ops.TorchvisionOps):
        with pytest.raises(InputError, match="sigmoid_focal_loss_forward"):
            sigmoid_focal_loss(torch.zeros((1, 2)), torch.zeros(1, dtype=torch.long))


def test_ops_that_are_there_are_left_alone(monkeypatch):
    before = sys.modules[ops.NAME]
    ops.provide_ops()
    assert sys.modules[ops.NAME] is before and importlib.util.find_spec(ops.NAME) is not None
    monkeypatch.delitem(sys.modules, ops.NAME)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())  # mmcv has its own
    ops.provide_ops()
    assert ops.NAME not in sys.modules
