"""The detector's configurations: the paper's model is the paper's, small ones are its siblings."""

import orjson
import pytest
import torch
from kps.models.config_base import SIZES
from kps.models.detector_config import ARCHITECTURES, detector_config
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from kps.files import InputError
from kps.models import checkpoints, detector, training  # noqa: F401  (registers the data set)


def make_config(**changes):
    return detector_config(
        **{"size": "tiny", "coco_file": "a.json", "image_dir": "image", "work_dir": "work", **changes}
    )


def build_on_meta(config):
    init_default_scope("mmdet")
    with torch.device("meta"):
        return MODELS.build(config.model)


@pytest.mark.parametrize(("architecture", "millions"), [("htc", 135.1), ("cascade", 127.1)])
def test_the_papers_detector_has_its_size(architecture, millions):
    model = build_on_meta(make_config(architecture=architecture, size="paper"))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


def test_the_semantic_branch_that_is_left_out_is_the_rest_of_htc():
    """With mmdet's branch for stuff, which DeepFashion2 has no maps of, HTC has 137.9 M parameters."""
    config = make_config(size="paper")
    branch = {"type": "FusedSemanticHead", "num_ins": 5, "fusion_level": 1, "num_convs": 4}
    branch |= {"in_channels": 256, "conv_out_channels": 256, "num_classes": 183, "seg_scale_factor": 1 / 8}
    extractor = {**config.model.roi_head.mask_roi_extractor, "featmap_strides": [8]}
    config.model.roi_head.update(semantic_head=branch, semantic_roi_extractor=extractor)
    count = sum(parameter.numel() for parameter in build_on_meta(config).parameters())
    assert count / 1e6 == pytest.approx(137.9, abs=0.05)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_size_is_of_the_same_classes(architecture):
    def classes(size):
        model = build_on_meta(make_config(architecture=architecture, size=size))
        heads = [*model.roi_head.bbox_head, *(model.roi_head.mask_head if model.roi_head.with_mask else [])]
        return {type(part).__name__ for part in (model, model.neck, model.rpn_head, model.roi_head, *heads)}

    assert classes("tiny") == classes("demo") == classes("paper")
    assert ("HybridTaskCascadeRoIHead" in classes("paper")) == (architecture == "htc")


def test_there_is_no_semantic_branch():
    model = build_on_meta(make_config(size="paper"))
    assert not model.roi_head.with_semantic and model.roi_head.with_mask
    assert [head.num_classes for head in model.roi_head.bbox_head] == [13] * 3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_configuration_survives_the_checkpoint(size, architecture, tmp_path):
    config = make_config(size=size, architecture=architecture)
    text = orjson.dumps(config.to_dict()).decode()
    checkpoints.save_checkpoint(tmp_path / "a.pth", {"meta": {"config_json": text}, "state_dict": {}})
    read = checkpoints.load_config(tmp_path / "a.pth")
    assert orjson.dumps(read.to_dict()).decode() == text


def test_parameters_arrive_where_they_act():
    config = make_config(seed=3, epochs=7, batch_size=5, workers=2, work_dir="some/where")
    assert config.randomness.seed == 3 and config.train_cfg.max_epochs == 7
    assert config.train_dataloader.batch_size == 5 and config.train_dataloader.num_workers == 2
    assert config.work_dir.endswith("/some/where") and config.work_dir.startswith("/")
    assert config.param_scheduler[1].T_max == 7


def test_the_papers_learning_rate_falls_where_mmdets_recipe_says():
    assert make_config(size="paper").param_scheduler[1].milestones == [16, 19]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "large"}, "size: expected one of tiny, demo, paper"),
        ({"architecture": "yolo"}, "architecture: expected one of htc, cascade"),
        ({"epochs": 0}, "epochs: expected a positive integer"),
        ({"batch_size": -1}, "batch_size: expected a positive integer"),
    ],
)
def test_bad_parameters_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        make_config(**changes)


@pytest.mark.parametrize(("batch", "accumulate", "rate"), [(2, 1, 0.0025), (1, 2, 0.0025), (1, 1, 0.00125)])
def test_the_papers_learning_rate_follows_the_photos_of_a_step(batch, accumulate, rate, tmp_path):
    config = make_config(size="paper", work_dir=tmp_path, batch_size=batch, accumulate=accumulate)
    config.model = {"type": "ResNet", "depth": 18}  # a small one
    runner = training.ResumableRunner.from_cfg(training._with_runner_settings(config.to_dict()))
    wrapper = runner.build_optim_wrapper(config.optim_wrapper)
    runner.scale_lr(wrapper, runner.auto_scale_lr)
    assert wrapper.get_lr()["lr"][0] == pytest.approx(rate)
