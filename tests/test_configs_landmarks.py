"""The landmark model's configurations: the paper's numbers, and what each parameter changes."""

import logging

import pytest
import torch
from kps.models.landmark_config import landmark_config
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

import kps.models.landmarks  # noqa: F401  (fills the registry)
from kps.aggregation import Aggregation
from kps.files import InputError


def make_config(**changes):
    settings = {
        "size": "paper",
        "aggregation": Aggregation.named("hand81"),
        "coco_file": "coco.json",
        "image_dir": "image",
        "work_dir": "work",
    }
    return landmark_config(**{**settings, **changes})


def build(config, device="meta"):
    logging.disable(logging.CRITICAL)
    with DefaultScope.overwrite_default_scope("mmpose"), torch.device(device):
        model = MODELS.build(config.model)
    logging.disable(logging.NOTSET)
    return model


@pytest.mark.parametrize(("aggregation", "millions"), [("hand81", 63.6), ("identity", 63.6)])
def test_the_paper_size_is_hrnet_w48(aggregation, millions):
    model = build(make_config(aggregation=Aggregation.named(aggregation)))
    assert type(model).__name__ == "TopdownPoseEstimator"
    assert type(model.backbone).__name__ == "HRNet"
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    assert model.head.final_layer.weight.shape[0] == Aggregation.named(aggregation).num_groups


def test_the_paper_size_has_the_papers_maps_and_schedule():
    config = make_config()
    heatmaps = build(config).eval()(torch.zeros(1, 3, 512, 384, device="meta"), None)
    assert heatmaps.shape == (1, 81, 128, 96)
    data = config.train_dataloader.dataset
    assert (data.size_wh, data.scale, data.rotation, data.hflip) == ((384, 512), 0.25, 30, False)
    assert config.train_dataloader.batch_size == 48
    assert config.model.head.loss.sigma == 3
    assert config.optim_wrapper.optimizer == {"type": "Adam", "lr": 1e-3}
    assert config.train_cfg.max_epochs == 12
    assert config.param_scheduler[-1].milestones == [7, 10]


@pytest.mark.parametrize("size", ["tiny", "demo"])
def test_smaller_sizes_are_the_same_classes(size):
    config = make_config(size=size)
    model, paper = build(config), build(make_config())
    assert [type(part) for part in (model, model.backbone, model.head)] == [
        type(part) for part in (paper, paper.backbone, paper.head)
    ]
    assert sum(p.numel() for p in model.parameters()) < 3e6
    width, height = config.train_dataloader.dataset.size_wh
    fold = config.model.data_preprocessor.fold
    inputs = torch.zeros(1, 3 * fold**2, height // fold, width // fold, device="meta")
    heatmaps = model.eval()(inputs, None)
    assert heatmaps.shape[1] == 81
    assert heatmaps.shape[2] / heatmaps.shape[3] == height / width


@pytest.mark.parametrize("size", ["tiny", "demo", "paper"])
def test_finetuning_keeps_the_architecture_and_starts_from_weights(size):
    universal = make_config(size=size)
    config = make_config(size=size, category_id=3, init_checkpoint="universal.pth", hflip_train=True)
    assert config.train_dataloader.dataset.category_id == 3
    assert config.train_dataloader.dataset.hflip
    assert config.load_from.endswith("/universal.pth")
    assert config.optim_wrapper.optimizer.lr < universal.optim_wrapper.optimizer.lr
    shapes = [{k: tuple(v.shape) for k, v in build(c).state_dict().items()} for c in (universal, config)]
    assert shapes[0] == shapes[1]


def test_the_papers_finetuning():
    config = make_config(category_id=8)
    assert config.optim_wrapper.optimizer.lr == 1e-4
    assert config.param_scheduler[-1].milestones == [7, 10]


def test_given_numbers_replace_the_sizes():
    config = make_config(epochs=3, batch_size=4, learning_rate=0.5, workers=1, seed=9)
    assert (config.train_cfg.max_epochs, config.train_dataloader.batch_size) == (3, 4)
    assert (config.optim_wrapper.optimizer.lr, config.train_dataloader.num_workers) == (0.5, 1)
    assert config.randomness.seed == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "huge"}, "size: expected one of tiny, demo, paper, but got 'huge'"),
        ({"category_id": 14}, "category id from 1 to 13, but got 14"),
        ({"epochs": 0}, "epochs: expected a positive integer, but got 0"),
    ],
)
def test_wrong_parameters_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        make_config(**changes)
