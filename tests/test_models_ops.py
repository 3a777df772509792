"""mmcv's ops by torchvision: equal to hand-made values and to mmcv's own, and so is their gradient."""

import importlib.util
import sys

import numpy as np
import pytest
import torch

from kps.files import InputError
from kps.models import ops  # before mmcv.ops

from mmcv.ops import RoIAlign, batched_nms, sigmoid_focal_loss  # isort: skip

BOXES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [21, 21, 31, 31], [10, 0, 20, 10]])
SCORES = torch.tensor([0.6, 0.9, 0.5, 0.7, 0.8])
compiled = sys.modules[ops.NAME] if not isinstance(sys.modules[ops.NAME], ops.TorchvisionOps) else None
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
needs_compiled = pytest.mark.skipif(compiled is None, reason="mmcv has no compiled ops here")


def random_boxes(count: int, size: float = 100) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    start = torch.rand((count, 2), generator=generator) * size
    return torch.cat([start, start + torch.rand((count, 2), generator=generator) * size / 3], dim=1)


def pooled(features, boxes, *, ratio=0, size=(7, 7), scale=0.25, aligned=True):
    """Features pooled by `ops.pool` as mmcv calls it."""
    output = features.new_zeros((len(boxes), features.shape[1], *size))
    nothing = output.new_zeros(0)
    ops.pool(features, boxes, output, nothing, nothing, **arguments(ratio, size, scale, aligned))
    return output


def arguments(ratio=0, size=(7, 7), scale=0.25, aligned=True):
    sizes = {"aligned_height": size[0], "aligned_width": size[1]}
    return {**sizes, "spatial_scale": scale, "sampling_ratio": ratio, "pool_mode": 1, "aligned": aligned}


def by_hand(features: np.ndarray, box: np.ndarray, *, size: int, samples: int) -> np.ndarray:
    """RoIAlign of one box (x1, y1, x2, y2 in feature px) by its definition: means of bilinear samples."""
    height, width = features.shape[1:]
    out = np.zeros((len(features), size, size))
    step_x, step_y = (box[2] - box[0]) / size / samples, (box[3] - box[1]) / size / samples
    for i, j in np.ndindex(size * samples, size * samples):
        y = min(max(box[1] - 0.5 + (i + 0.5) * step_y, 0), height - 1)
        x = min(max(box[0] - 0.5 + (j + 0.5) * step_x, 0), width - 1)
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
@pytest.mark.parametrize("threads", [1, 2])
def test_pooling_is_the_mean_of_bilinear_samples_in_any_layout(layout, threads):
    features = torch.randn((2, 5, 20, 30), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    boxes = torch.tensor([[0, 8.0, 8, 60, 50], [1, 12, 20, 100, 70], [1, 3, 5, 9, 8]], dtype=torch.float64)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        got = pooled(features.contiguous(memory_format=layout), boxes, ratio=2, size=(3, 3)).numpy()
    finally:
        torch.set_num_threads(before)
    for row, box in zip(got, boxes.numpy(), strict=True):
        expected = by_hand(features[int(box[0])].numpy(), box[1:] * 0.25, size=3, samples=2)
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
    stand_in = ops.TorchvisionOps()
    for call in (stand_in.softnms, pooled_by_maximum):
        with pytest.raises(InputError, match=r"^mmcv's op \w+ is not here.*pip install[^\n]*$"):
            call()
    if compiled is None:
        with pytest.raises(InputError, match="sigmoid_focal_loss_forward"):
            sigmoid_focal_loss(torch.zeros((1, 2)), torch.zeros(1, dtype=torch.long))


def pooled_by_maximum():
    features = torch.zeros((1, 1, 4, 4))
    ops.pool(features, torch.zeros((1, 5)), features, **{**arguments(), "pool_mode": 0})


def test_ops_that_are_there_are_left_alone(monkeypatch):
    before = sys.modules[ops.NAME]
    ops.provide_ops()
    assert sys.modules[ops.NAME] is before and importlib.util.find_spec(ops.NAME) is not None
    monkeypatch.delitem(sys.modules, ops.NAME)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())  # mmcv has its own
    ops.provide_ops()
    assert ops.NAME not in sys.modules


@needs_compiled
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("aligned", [True, False])
def test_equal_to_mmcvs_own(ratio, aligned, device):
    boxes, scores = random_boxes(300).to(device), torch.rand(300, device=device)
    for threshold in (0.3, 0.7):
        for offset in (0, 1):
            named = {"iou_threshold": threshold, "offset": offset}
            assert ops.nms(boxes, scores, **named).equal(compiled.nms(boxes, scores, **named))
    features = torch.randn((2, 16, 30, 40), device=device)
    rois = torch.cat([torch.randint(2, (300, 1), device=device).float(), boxes], dim=1)
    mine, theirs = features.new_zeros((2, 300, 16, 7, 7))
    nothing = features.new_zeros(0)
    named = arguments(ratio, aligned=aligned)
    ops.pool(features, rois, mine, nothing, nothing, **named)
    compiled.roi_align_forward(features, rois, theirs, nothing, nothing, **named)
    assert mine.equal(theirs)
    gradient, (mine, theirs) = torch.randn_like(mine), features.new_zeros((2, *features.shape))
    ops.pool_gradient(gradient, rois, nothing, nothing, mine, **named)
    compiled.roi_align_backward(gradient, rois, nothing, nothing, theirs, **named)
    assert (mine - theirs).abs().max() < 1e-4
