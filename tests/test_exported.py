"""Exported models: onnxruntime gives what torch gives, without torch, and what is refused."""

import subprocess
import sys

import numpy as np
import onnx
import orjson
import pytest
import torch
from builders import save_coco
from PIL import Image
from small_models import HAND, detector_config

from kps import exported, predict
from kps.__main__ import main
from kps.data.coco import load_coco
from kps.data.convert import convert_split
from kps.data.crops import PADDING
from kps.files import InputError, read_json
from kps.models import detector, landmarks
from kps.models.checkpoints import save_checkpoint
from kps.models.export import export_detector, export_landmarks
from kps.predict import READY
from kps.results.detections import ground_truth_detections
from kps.synthetic import write_dataset

UNSURE = 0.05  # boxes of the last proposals score less
NO_TORCH = f"""
import sys

class Absent:
    def find_spec(name, path=None, target=None):
        if name in ("torch", "torchvision", "mmcv", "mmengine", "mmdet", "mmpose", "onnx"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent)
from kps import predict
from kps.__main__ import main
predict.LEAST_BOX_SCORE = {UNSURE}
sys.exit(main(sys.argv[1:]))
"""
SAME_PX = 0.01


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """The ready weights as ONNX files."""
    out = tmp_path_factory.mktemp("exported")
    assert main(["export", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Drawn photos and their garments."""
    root = tmp_path_factory.mktemp("drawn")
    write_dataset(root / "raw", train=0, validation=10, test=0)
    convert_split(root / "raw", "validation", root / "coco.json")
    return load_coco(root / "coco.json"), root / "raw" / "validation" / "image"


def save_untrained(config, model, path):
    """A checkpoint of a model that has learnt nothing."""
    meta = {"config_json": orjson.dumps(config.to_dict()).decode()}
    save_checkpoint(path, {"meta": meta, "state_dict": model.state_dict()})
    return path


def same_landmarks(checkpoint, model, photos, *, share=1.0):
    """The same for that share of the landmarks: where maps are flat, the last digit decides."""
    boxes = ground_truth_detections(photos[0])
    ours = landmarks.predict_landmarks(checkpoint, boxes, *photos)
    theirs = exported.predict_landmarks(model, boxes, *photos)
    apart = np.abs(theirs.keypoints - ours.keypoints).max(2)[ours.keypoints[..., 2] > 0]
    assert np.quantile(apart, share) < SAME_PX
    assert np.allclose(theirs.score, ours.score, atol=1e-4)


def same_boxes(checkpoint, model, photos):
    """The same boxes; but the last of 50 proposals may hang on a last digit, and so may a box of low score."""
    ours = detector.detect(checkpoint, *photos, batch_size=1)
    theirs = exported.detect(model, *photos)
    partners = []
    for image in photos[0].images:  # boxes of equal scores have no order
        a, b = (found.take(np.flatnonzero(found.image_id == image.id)) for found in (ours, theirs))
        apart = np.abs(a.bbox_xywh[:, None] - b.bbox_xywh).max(2) + 1e6 * (a.category_id[:, None] != b.category_id)
        row, other = np.nonzero(apart < 0.1)
        assert np.allclose(a.score[row], b.score[other], atol=1e-3)
        for one, found in ((a, row), (b, other)):
            partners.append(np.isin(np.arange(len(one)), found))
            assert partners[-1][one.score >= UNSURE].all()
    assert np.concatenate(partners).mean() > 0.95
    return ours


def test_the_ready_weights_give_the_same_boxes_and_landmarks(ready, photos):
    found = same_boxes(READY / "detector.pth", ready / "detector.onnx", photos)
    assert len({(image.width, image.height) for image in photos[0].images}) > 1
    assert found.score.max() > 0.5
    same_landmarks(READY / "landmarks.pth", ready / "landmarks.onnx", photos)


def test_strips_and_small_photos_are_detected_alike(ready, tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for number, size in enumerate([(900, 20), (7, 300), (40, 40)]):
        Image.fromarray(generator.integers(0, 255, (*size, 3)).astype(np.uint8)).save(tmp_path / f"{number}.png")
        rows.append({"id": number, "file_name": f"{number}.png", "width": size[1], "height": size[0]})
    save_coco(tmp_path / "coco.json", rows, [])
    same_boxes(READY / "detector.pth", ready / "detector.onnx", (load_coco(tmp_path / "coco.json"), tmp_path))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hrnet_tiny", {"model.head.loss": {"_delete_": True, "type": "HeatmapMSELoss", "sigma": 2.0}}),
        ("hrnet_tiny", {"model.head.residual": True}),
        ("rtmpose_m", {}),
    ],
    ids=["squared error", "residuals", "SimCC"],
)
def test_a_model_of_another_kind(name, options, photos, tmp_path):
    torch.manual_seed(0)
    run = {"aggregation": HAND, "coco_file": "c.json", "image_dir": "i", "work_dir": tmp_path, "options": options}
    config = landmarks.landmark_config(name, **run)
    model = landmarks.LandmarkModel(config).model
    if "model.head.residual" in options:
        torch.nn.init.normal_(model.head.residual)
    path = save_untrained(config, model, tmp_path / "a.pth")
    export_landmarks(path, tmp_path / "a.onnx")
    same_landmarks(path, tmp_path / "a.onnx", photos, share=0.8)


@pytest.mark.parametrize("architecture", ["htc", "cascade"])
def test_the_papers_detectors(architecture, photos, tmp_path):
    config = detector_config(architecture=architecture, coco_file="c.json", work_dir=tmp_path)
    torch.manual_seed(0)
    model = detector.MODELS.build(config.model)
    path = save_untrained(config, model, tmp_path / "a.pth")
    export_detector(path, tmp_path / "a.onnx")
    same_boxes(path, tmp_path / "a.onnx", photos)


def test_photos_of_ones_own_without_torch(ready, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "LEAST_BOX_SCORE", UNSURE)
    images = sorted(map(str, photos[1].glob("*.jpg")))[:3]
    command = [sys.executable, "-c", NO_TORCH, "predict", *images, "--models", str(ready), "--out", str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = predict.predict_photos(images, None, tmp_path / "b")
    assert sum(len(read_json(path)["garments"]) for path in written) > 0
    for path in written:
        ours, theirs = read_json(path), read_json(tmp_path / "a" / path.name)
        assert theirs.pop("models") == f"exported, {ready.name}" and ours.pop("models")
        assert theirs["garments"] == [approximately(garment) for garment in ours["garments"]]


def approximately(garment):
    # OpenCV samples a crop at multiples of 1/32 of its pixels: boxes apart by their last digits may be one step apart.
    step = max(garment["bbox_xywh"][2:]) * PADDING / 128 / 32
    near = {"x": step, "y": step, "score": 0.02}
    marks = [mark | {name: pytest.approx(mark[name], abs=near[name]) for name in near}
             for mark in garment["landmarks"]]  # fmt: skip
    box = pytest.approx(garment["bbox_xywh"], abs=0.02)
    return garment | {"landmarks": marks, "bbox_xywh": box, "score": pytest.approx(garment["score"], abs=2e-4)}


def test_from_python_and_a_model_for_each_category(ready, photos, tmp_path):
    for kind in range(1, 14):
        (tmp_path / f"landmarks_{kind:02d}.onnx").symlink_to(ready / "landmarks.onnx")
    (tmp_path / "detector.onnx").symlink_to(ready / "detector.onnx")
    image = next(photos[1].glob("*.jpg"))
    assert set(exported.exported_landmarks(tmp_path)) == set(range(1, 14))
    (one,), (other,) = predict.Garments(tmp_path)([image]), predict.Garments(ready)([image])
    assert [(a.category, a.score) for a in one] == [(b.category, b.score) for b in other]


def test_models_of_two_runs_do_not_mix(ready, capsys):
    before = {path.name: path.stat().st_mtime_ns for path in ready.iterdir()}
    assert main(["export", "--out", str(ready)]) == 1
    assert "expected a new or empty folder" in capsys.readouterr().err
    assert main(["export", "--models", str(ready), "--out", str(ready / "again")]) == 1
    assert "exported already" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in ready.iterdir()} == before


def test_what_is_refused(ready, photos, tmp_path):
    boxes = ground_truth_detections(photos[0])
    with pytest.raises(InputError, match="expected a model of boxes, but it is one of landmarks"):
        exported.detect(ready / "landmarks.onnx", *photos)
    (tmp_path / "detector.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match="expected a model of kps export, but"):
        exported.detect(tmp_path / "detector.onnx", *photos)
    graph = onnx.load(ready / "detector.onnx")
    onnx.helper.set_model_props(graph, {"kps": '{"task": "boxes", "scale": [256, 192], "interpolation": "area"}'})
    onnx.save(graph, tmp_path / "detector.onnx")
    with pytest.raises(InputError, match="expected its property kps with scale, interpolation, but got"):
        exported.detect(tmp_path / "detector.onnx", *photos)
    with pytest.raises(InputError, match=r"expected landmarks.onnx beside detector.onnx"):
        predict.find_models(tmp_path)
    with pytest.raises(InputError, match="expected the flip test"):
        exported.predict_landmarks(ready / "landmarks.onnx", boxes, *photos, flip_test=False)
    with pytest.raises(InputError, match="expected a landmark model"):
        export_landmarks(READY / "detector.pth", tmp_path / "a.onnx")
    config = detector.detector_config("rtmdet_tiny", coco_file="c.json", image_dir="i", work_dir=tmp_path)
    path = save_untrained(config, detector.MODELS.build(config.model), tmp_path / "a.pth")
    with pytest.raises(InputError, match="expected a cascade such as HTC, but got RTMDet"):
        export_detector(path, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
