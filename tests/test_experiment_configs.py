"""Every experiment's configurations at the paper's size: models build, rows differ only in what they name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kps.models.detector_config import detector_config
from kps.models.landmark_config import landmark_config
from mmdet.registry import MODELS as DETECTORS
from mmengine.registry import DefaultScope, init_default_scope
from mmpose.registry import MODELS as LANDMARK_MODELS

from kps.aggregation import Aggregation
from kps.flow.plan import Experiments, load_profile
from kps.flow.steps import DETECTOR, FINETUNE, LANDMARKS
from kps.models import detector, landmarks  # noqa: F401  (fill the registries)

PAPER = load_profile("paper", ["all"])
TRAININGS = [(name, {**PAPER.parameters.get(name, {}), **own}) for name, own in PAPER.steps]
FILES = {"size": "paper", "coco_file": "coco.json", "image_dir": "image", "work_dir": "work"}


def config_of(notebook: str, given: dict[str, Any]):
    """The configuration that a training step makes of its parameters."""
    options = {k: v for k, v in given.items() if k not in ("detector", "aggregation", "variant")}
    if notebook == DETECTOR:
        return detector_config(architecture=given["detector"], **FILES, **options)
    start = {"init_checkpoint": "final.pth"} if notebook == FINETUNE else {}
    return landmark_config(aggregation=Aggregation.named(given["aggregation"]), **FILES, **start, **options)


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Values by their path in a configuration."""
    if isinstance(value, dict):
        return {k: v for name, child in value.items() for k, v in flat(child, f"{prefix}.{name}").items()}
    return {prefix.lstrip("."): value}


def differing(first, second) -> set[str]:
    """Paths at which two configurations differ."""
    before, after = flat(first.to_dict()), flat(second.to_dict())
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def training(notebook: str, **wanted: Any):
    """The configuration of the one step with these parameters."""
    found = [given for name, given in TRAININGS if name == notebook and wanted.items() <= given.items()]
    assert len(found) == 1
    return config_of(notebook, found[0])


@pytest.mark.parametrize("name", ["htc", "cascade"])
def test_detectors_of_the_experiments_build(name):
    config = training(DETECTOR, detector=name)
    init_default_scope("mmdet")
    with torch.device("meta"):
        model = DETECTORS.build(config.model)
    assert [head.num_classes for head in model.roi_head.bbox_head] == [13] * 3
    assert config.param_scheduler[1].milestones == [16, 19]
    assert config.pretrained.startswith("https://") and config.optim_wrapper.type == "AmpOptimWrapper"


@pytest.mark.parametrize(("name", "groups"), [("identity", 294), ("hand81", 81)])
def test_landmark_models_of_the_experiments_build(name, groups):
    config = training(LANDMARKS, aggregation=name)
    with DefaultScope.overwrite_default_scope("mmpose"), torch.device("meta"):
        model = LANDMARK_MODELS.build(config.model)
    heatmaps = model.eval()(torch.zeros(1, 3, 512, 384, device="meta"), None)
    assert heatmaps.shape == (1, groups, 128, 96)


def test_maps_differ_in_nothing_but_the_groups():
    first, second = (training(LANDMARKS, aggregation=name) for name in ("identity", "hand81"))
    assert differing(first, second) == {"model.head.group"}


def test_detectors_differ_in_masks_and_weights_alone():
    first, second = (training(DETECTOR, detector=name) for name in ("cascade", "htc"))
    assert {key.split(".")[0] for key in differing(first, second)} == {
        "model", "pretrained", "train_dataloader",
    }  # fmt: skip


@pytest.mark.parametrize("category_id", [1, 3, 13])
def test_finetunings_differ_only_in_what_the_table_names(category_id):
    places = {"hflip_train": "train_dataloader.dataset.hflip", "learning_rate": "optim_wrapper.optimizer.lr"}
    plain = training(FINETUNE, variant="plain", category_id=category_id)
    for variant, changes in Experiments.shipped().finetuning.items():
        other = training(FINETUNE, variant=variant, category_id=category_id)
        at_base = {name for name, value in changes.items() if flat(plain.to_dict())[places[name]] == value}
        assert differing(plain, other) == {places[name] for name in changes.keys() - at_base}


def test_categories_of_a_finetuning_differ_in_the_category_alone():
    first, second = (training(FINETUNE, variant="plain", category_id=number) for number in (2, 3))
    assert differing(first, second) == {"train_dataloader.dataset.category_id"}
