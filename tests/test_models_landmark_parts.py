"""Heatmaps and their decoding, the head's masking, the data set and its order."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from garment_photos import write_photos
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

import kps.models.landmarks  # noqa: F401  (fills the registry)
from kps import schema
from kps.aggregation import Aggregation
from kps.data.coco import load_coco
from kps.files import InputError
from kps.models.backbones import ColourJitter, FoldedHRNet
from kps.models.landmark_data import CategoryBalancedSampler, GarmentLandmarks
from kps.models.landmark_head import bell, decode, gaussian_heatmaps, locate, smooth

HAND = Aggregation.named("hand81")
LOSSES = ["HeatmapMSELoss", "HeatmapCrossEntropyLoss"]


def test_the_libraries_are_quiet_in_a_fresh_process():
    """What they print or warn of holds paths of the machine and would stand in executed notebooks."""
    light = "import sys, kps.models.landmarks, kps.models.training; assert 'torchvision' not in sys.modules"
    heavy = "import kps.models.detector, mmdet.evaluation, mmpose.evaluation"
    done = subprocess.run([sys.executable, "-c", f"{light}; {heavy}"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def make_head(loss="HeatmapMSELoss", aggregation="hand81", **given):
    torch.manual_seed(0)
    config = {"type": "OwnLandmarkHead", "aggregation": aggregation, "in_channels": 8, "deconv_out_channels": None}
    with DefaultScope.overwrite_default_scope("mmpose"):
        head = MODELS.build({**config, "loss": {"type": loss, "sigma": 1.5}, **given})
    torch.nn.init.normal_(head.final_layer.weight)
    return head.eval()


def make_samples(category_id):
    landmarks = torch.rand(len(category_id), 39, 3, generator=torch.Generator().manual_seed(0))
    landmarks[..., 2] = 2
    return {"category_id": torch.tensor(category_id), "landmarks": landmarks}


def packed(samples):
    """As mmpose's data samples: landmarks on the groups, in px of an input of 48 x 64."""
    kinds, own = samples["category_id"].numpy(), samples["landmarks"].numpy()
    grouped = HAND.aggregate(kinds, own)
    found = []
    for kind, one in zip(kinds.tolist(), grouped, strict=True):
        garment = InstanceData(keypoints=one[None, :, :2] * (48, 64) - 0.5, keypoints_visible=one[None, :, 2])
        sample = PoseDataSample(metainfo={"category_id": kind, "input_size": (48, 64)})
        sample.gt_instances = garment
        found.append(sample)
    return found


def make_feats(count):
    return (torch.randn(count, 8, 16, 12, generator=torch.Generator().manual_seed(1)),)


INSIDE = np.random.default_rng(0).uniform([12, 12], [83, 115], (3, 39, 2))
AT_THE_BORDER = [[[0.0, 0.0], [23.0, 31.0], [0.3, 15.6]]]


@pytest.mark.parametrize(
    ("points", "size", "sigma", "tolerance"),
    [(INSIDE, (96, 128), 1.5, 0.02), (INSIDE, (96, 128), 3.0, 0.02), (AT_THE_BORDER, (24, 32), 1.5, 1.0)],
)
def test_decoding_inverts_rendering(points, size, sigma, tolerance):
    points = torch.tensor(points, dtype=torch.float32)
    sigmas, maps = torch.full(points.shape[:2], sigma), gaussian_heatmaps(points, size, sigma)
    for found, _ in (decode(smooth(maps, sigmas)), locate(maps, sigmas)):
        assert (found - points).abs().max() < tolerance


def test_no_product_of_two_weights_is_a_denormal_number():
    """Which would make smoothing several times as slow."""
    distance, sigma = torch.arange(-200.0, 200), torch.tensor(0.7)
    weights = bell(distance, sigma)
    assert weights.square().min() > torch.finfo(torch.float32).tiny
    assert torch.allclose(weights, torch.exp(-(distance**2) / (2 * sigma**2)), atol=1e-12)


def test_smoothing_gives_the_expected_similarity():
    maps = torch.rand(2, 3, 8, 6).flatten(2).softmax(2).view(2, 3, 8, 6)
    sigma = torch.rand(2, 3) + 1
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="ij")
    distance = (x - 4) ** 2 + (y - 5) ** 2
    expected = (maps * torch.exp(-distance / (2 * sigma[..., None, None] ** 2))).sum((2, 3))
    assert torch.allclose(smooth(maps, sigma)[..., 5, 4], expected)


def test_a_doubtful_landmark_is_placed_where_most_is_to_be_gained():
    """Two equal guesses: apart they are two peaks, but for a tolerant measure the middle is best."""
    maps = gaussian_heatmaps(torch.tensor([[[8.0, 10.0]], [[12.0, 10.0]]]), (24, 20), 1.0).sum(0, keepdim=True)
    strict, _ = decode(smooth(maps, torch.tensor([[0.7]])))
    tolerant, _ = decode(smooth(maps, torch.tensor([[4.0]])))
    assert min(abs(strict[0, 0, 0] - 8), abs(strict[0, 0, 0] - 12)) < 0.5
    assert abs(tolerant[0, 0, 0] - 10) < 0.1


def test_own_maps_are_the_heads_channels():
    head, feats, kind = make_head(), make_feats(13), torch.arange(1, 14)
    own, full = head.own_heatmaps(feats, kind), head(feats)
    for row, item in enumerate(schema.CATEGORIES):
        channels = HAND.channels(item.id)
        assert torch.allclose(own[row, : item.num_landmarks], full[row, channels], atol=1e-5)
        assert not own[row, item.num_landmarks :].any()


@pytest.mark.parametrize("aggregation", ["hand81", "identity"])
def test_flipping_twice_is_no_change(aggregation):
    head, feats, kind = make_head(aggregation=aggregation), make_feats(13), torch.arange(1, 14)
    mirrored = head.own_heatmaps((feats[0].flip(-1),), kind, flipped=True)
    flip = torch.from_numpy(schema.own_flip_indices())
    own = head.own_heatmaps(feats, kind)
    assert torch.allclose(mirrored, own.gather(1, flip[..., None, None].expand_as(own)), atol=1e-5)
    assert (flip.gather(1, flip) == torch.arange(39)).all()


def test_a_residual_is_a_landmarks_own():
    """A map with residuals is a channel for each landmark: its group's and the residual, in mirrored crops as well."""
    soft, each, groups = make_head(residual=True), make_head(aggregation="identity"), HAND.group
    torch.nn.init.normal_(soft.residual)
    each.final_layer.weight.data = soft.final_layer.weight[groups] + soft.residual[:, :-1, None, None]
    each.final_layer.bias.data = soft.final_layer.bias[groups] + soft.residual[:, -1]
    feats, kind = make_feats(13), torch.arange(1, 14)
    for flipped in (False, True):
        own, wanted = (head.own_heatmaps(feats, kind, flipped=flipped) for head in (soft, each))
        assert torch.allclose(own, wanted, atol=1e-5)
    soft.loss(feats, packed(make_samples(range(1, 14))))["loss_kpt"].backward()
    assert soft.residual.grad.abs().sum(1).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_other_categories_channels_get_no_gradient(loss):
    head = make_head(loss)
    head.loss(make_feats(4), packed(make_samples([3, 3, 7, 7])))["loss_kpt"].backward()
    touched = set(head.final_layer.weight.grad.abs().sum((1, 2, 3)).nonzero().flatten().tolist())
    assert touched == {int(c) for kind in (3, 7) for c in HAND.channels(kind)}


@pytest.mark.parametrize("loss", LOSSES)
def test_visible_and_occluded_count_and_unlabelled_does_not(loss):
    head, feats = make_head(loss), make_feats(1)
    samples = make_samples([8])
    first = head.loss(feats, packed(samples))["loss_kpt"]
    samples["landmarks"][..., 2] = 1
    assert head.loss(feats, packed(samples))["loss_kpt"] == first
    samples["landmarks"][0, 4, 2] = 0
    without = head.loss(feats, packed(samples))["loss_kpt"]
    samples["landmarks"][0, 4, :2] = 0.123
    assert head.loss(feats, packed(samples))["loss_kpt"] == without != first
    samples["landmarks"][..., 2] = 0
    assert head.loss(feats, packed(samples))["loss_kpt"] == 0


def test_instances_weigh_the_same_whatever_their_landmarks():
    head, samples, (feats,) = make_head(), make_samples([3, 8]), make_feats(2)
    samples["landmarks"][1, 3:, 2] = 0
    both, first, second = (
        head.loss((feats[part],), packed(samples)[part])["loss_kpt"] for part in (slice(0, 2), slice(0, 1), slice(1, 2))
    )
    assert torch.allclose(both, (first + second) / 2)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_map_as_the_target_is_the_optimum(loss):
    module = make_head(loss).loss_module
    points = torch.tensor([[[5.3, 7.8]]])
    target = gaussian_heatmaps(points, (12, 16), 1.5)
    best = target if loss == "HeatmapMSELoss" else target.clamp_min(1e-12).log()
    assert module(best, points) < module(best + 0.2 * torch.randn_like(best), points)
    assert module(best, points) < module(best, points + 0.3)
    found, confidence = module.decode(module.activate(best), torch.full((1, 1), 50.0))
    assert (found - points).abs().max() < 0.1
    assert 0.9 < confidence.item() <= 1


@pytest.fixture(scope="module")
def coco_file(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), count=9)


def make_dataset(coco_file, category_id=None, **crop):
    pipeline = [{"type": "GarmentCrop", "input_size": (96, 128), **crop}, {"type": "PackGarment"}]
    settings = {"ann_file": str(coco_file), "data_prefix": {"img": str(coco_file.parent / "image")}}
    with DefaultScope.overwrite_default_scope("mmpose"):
        return GarmentLandmarks(**settings, category_id=category_id, pipeline=pipeline)


def places(item):
    """Labelled landmarks in parts of the input, and which groups have one."""
    garment = item["data_samples"].gt_instances
    labelled = garment.keypoints_visible[0] > 0
    return (garment.keypoints[0] + 0.5) / (96, 128), labelled


@pytest.mark.parametrize("cache", [False, True])
def test_an_item_is_a_crop_with_its_landmarks(coco_file, cache):
    dataset = make_dataset(coco_file, cache=cache)
    for _ in range(2):  # the second time from the cache
        item = dataset[0]
        assert item["inputs"].shape == (3, 128, 96)
        points, labelled = places(item)
        assert labelled.any() and ((points[labelled] >= 0.099) & (points[labelled] <= 0.911)).all()  # the box's share
        assert item["data_samples"].category_id == dataset.category_id[0]


def test_mirroring_swaps_landmarks_and_pixels(coco_file):
    plain, mirrored = make_dataset(coco_file)[1], make_dataset(coco_file, flip=1.0)[1]
    assert (mirrored["inputs"].flip(2).int() - plain["inputs"].int()).abs().max() <= 2
    (points, labelled), (turned, seen) = places(plain), places(mirrored)
    flip = HAND.flip_indices
    assert (seen[flip] == labelled).all()
    np.testing.assert_allclose(1 - turned[flip][labelled, 0], points[labelled, 0], atol=1e-5)


def test_augmentation_follows_the_seed(coco_file):
    dataset, drawn = make_dataset(coco_file, scale=0.25, rotation=30), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(places(dataset[0])[0])
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()


def test_a_category_without_garments_is_named(coco_file):
    with pytest.raises(InputError, match="with landmarks of category 5, but found none"):
        make_dataset(coco_file, category_id=5)
    only = make_dataset(coco_file, category_id=8)
    assert set(only.category_id) == {8}
    assert len(make_dataset(coco_file)) == len(load_coco(coco_file).instances)


def draw(counts, epochs=1, **settings):
    """Each epoch's order, and how often each category is in them."""
    kinds = np.repeat(np.arange(len(counts)), counts)
    sampler = CategoryBalancedSampler(SimpleNamespace(category_id=kinds), **settings)
    orders = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert len(orders[-1]) == len(sampler)
    return orders, np.bincount(kinds[np.concatenate(orders)]).tolist()


def test_garments_are_drawn_equally_often_and_rare_categories_by_balance():
    (first, second), _ = draw([50, 3], epochs=2)
    assert sorted(first) == sorted(second) == list(range(53)) and first != second
    assert draw([900, 90, 10], balance=1.0, samples_per_epoch=300)[1] == [100, 100, 100]
    assert draw([900, 100], balance=0.5, samples_per_epoch=400)[1] == [300, 100]
    counts = np.bincount(np.concatenate(draw([5], epochs=3, samples_per_epoch=7)[0]))
    assert counts.max() - counts.min() <= 1


def test_folding_keeps_every_pixel_and_jitter_changes_colours():
    crops = torch.rand(2, 3, 8, 6)
    folded = torch.nn.functional.pixel_unshuffle(crops, 2)
    seen = []
    hrnet = FoldedHRNet.__mro__[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hrnet, "__init__", lambda self, **kwargs: torch.nn.Module.__init__(self))
        patch.setattr(hrnet, "forward", lambda self, x: seen.append(x))
        FoldedHRNet(fold=2)(crops)
    assert torch.equal(seen[0], folded) and torch.equal(torch.nn.functional.pixel_shuffle(seen[0], 2), crops)
    assert not torch.equal(ColourJitter(0.2)(crops, [])[0], crops)
