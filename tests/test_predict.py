"""One's own photos: what is written, and what is refused."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from builders import make_detections, make_predictions
from PIL import Image

from kps import predict
from kps.errors import InputError
from kps.files import read_json
from kps.schema import CATEGORIES, category
from kps.workspace import Workspace


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


@pytest.fixture
def workspace(tmp_path):
    """A workspace with the names of trained models, but no models."""
    root = Workspace(tmp_path / "run")
    touch(root.detector_dir("htc") / "final.pth")
    touch(root.universal_dir("hand81") / "final.pth")
    return root


@pytest.fixture
def models(monkeypatch):
    """Models that find one garment a photo, for tests of what stands around them."""

    def detect(checkpoint, coco, image_dir, *, score_threshold):
        sizes = [Image.open(Path(image_dir) / row.file_name).size for row in coco.images]
        assert sizes == [(row.width, row.height) for row in coco.images]
        count = len(coco.images)
        return make_detections(count, image_id=coco.image_ids, category_id=np.full(count, 9))

    def predict_landmarks(checkpoints, found, coco, image_dir, *, flip_test):
        predictions = make_predictions(len(found), category_id=found.category_id)
        return replace(predictions, image_id=found.image_id, bbox_xywh=found.bbox_xywh)

    for name, function in {"detector": detect, "landmarks": predict_landmarks}.items():
        module = SimpleNamespace(**{function.__name__: function})
        monkeypatch.setitem(sys.modules, f"kps.models.{name}", module)


def make_photo(path, size=(60, 80), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 150)).save(path, **options)
    return path


def test_a_picture_and_a_json_for_each_photo(models, workspace, tmp_path):
    images = [make_photo(tmp_path / "a" / "x.jpg"), make_photo(tmp_path / "b" / "x.png", (50, 40))]
    written = predict.predict_photos(images, workspace.root, tmp_path / "out")
    assert [path.name for path in written] == ["x.json", "x_2.json"]
    value = read_json(written[1])
    assert set(value) == {"image", "width", "height", "models", "garments"}
    assert (value["image"], value["width"], value["height"]) == (str(images[1]), 50, 40)
    (garment,) = value["garments"]
    skirt = category(9)
    assert (garment["category_id"], garment["category"]) == (9, skirt.name)
    assert [point["name"] for point in garment["landmarks"]] == list(skirt.landmark_names)
    assert [point["index"] for point in garment["landmarks"]] == list(
        range(skirt.slice.start, skirt.slice.stop)
    )
    assert Image.open(tmp_path / "out" / "x_2.jpg").size[0] > 0


def test_photos_are_turned_upright(models, workspace, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    photo = make_photo(tmp_path / "p.jpg", (80, 60), exif=exif)
    (written,) = predict.predict_photos([photo], workspace.root, tmp_path / "out")
    assert (read_json(written)["width"], read_json(written)["height"]) == (60, 80)


def test_finetuned_models_are_preferred_once_all_are_there(workspace):
    assert predict.find_models(workspace.root).name == "htc, hand81 universal"
    for item in CATEGORIES:
        touch(workspace.finetune_dir("hand81", "plain", item.id) / "final.pth")
    found = predict.find_models(workspace.root)
    assert found.name == "htc, hand81 finetune_plain"
    assert found.landmarks[13].parent.name == "category_13"


def test_one_garment_keeps_one_box():
    boxes = np.array([[10, 10, 100, 100], [12, 12, 100, 100], [10, 10, 100, 100], [200, 10, 50, 50.0]])
    found = make_detections(
        4, bbox_xywh=boxes, image_id=np.array([1, 1, 2, 1]), score=np.array([0.5, 0.9, 0.3, 0.2])
    )
    assert predict.one_box_a_garment(found).tolist() == [1, 2, 3]


def test_what_is_at_fault_is_named_and_nothing_is_written(models, workspace, tmp_path):
    good = make_photo(tmp_path / "good.jpg")
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    out = tmp_path / "out"
    cases = [
        ([good, bad], workspace.root, r"bad\.jpg: expected an image"),
        ([tmp_path / "absent.jpg"], workspace.root, r"absent\.jpg: no such image"),
        ([], workspace.root, "at least one photo"),
        ([good], tmp_path / "empty", "expected a workspace with trained models"),
    ]
    for images, root, message in cases:
        with pytest.raises(InputError, match=message):
            predict.predict_photos(images, root, out)
    with pytest.raises(InputError, match="would be overwritten"):
        predict.predict_photos([good], workspace.root, tmp_path)
    assert not out.exists()
