"""One's own photos: what is written, and what is refused."""

import os
import sys
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from broken_inputs import LFS_POINTER
from builders import make_detections, make_predictions
from PIL import Image

import kps
from kps import predict
from kps.__main__ import main
from kps.data.photos import photo_of, read_photo
from kps.files import InputError, read_json, sha256
from kps.schema import CATEGORIES, category
from kps.synthetic import write_dataset
from kps.workspace import Workspace, write_record


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

    def detect(checkpoint, coco, image_dir, *, score_threshold, batch_size):
        assert all(photo_of(row, image_dir).shape == (row.height, row.width, 3) for row in coco.images)
        count = len(coco.images) * (score_threshold < 1)
        return make_detections(count, image_id=coco.image_ids[:count], category_id=np.full(count, 9))

    def predict_landmarks(checkpoints, found, coco, image_dir, *, flip_test):
        predictions = make_predictions(len(found), category_id=found.category_id)
        return replace(predictions, image_id=found.image_id, bbox_xywh=found.bbox_xywh)

    detector = SimpleNamespace(detect=detect, build_detector=lambda path: path)
    landmarks = SimpleNamespace(
        predict_landmarks=predict_landmarks, LandmarkModel=SimpleNamespace(load=lambda path: path)
    )
    for name, module in {"detector": detector, "landmarks": landmarks}.items():
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
    assert set(value) == {"image", "width", "height", "coordinates", "models", "garments"}
    assert (value["image"], value["width"], value["height"]) == (str(images[1]), 50, 40)
    (garment,) = value["garments"]
    skirt = category(9)
    assert (garment["category_id"], garment["category"]) == (9, skirt.name)
    assert [point["name"] for point in garment["landmarks"]] == list(skirt.landmark_names)
    assert [point["index"] for point in garment["landmarks"]] == list(range(skirt.slice.start, skirt.slice.stop))
    assert Image.open(tmp_path / "out" / "x_2.jpg").size[0] > 0


def test_photos_are_turned_upright(models, workspace, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    photo = make_photo(tmp_path / "p.jpg", (80, 60), exif=exif)
    (written,) = predict.predict_photos([photo], workspace.root, tmp_path / "out")
    assert (read_json(written)["width"], read_json(written)["height"]) == (60, 80)
    assert "turned upright" in read_json(written)["coordinates"]


def test_finetuned_models_are_preferred_once_all_are_there(workspace):
    assert predict.find_models(workspace.root).name == "htc, hand81 universal"
    for item in CATEGORIES:
        touch(workspace.finetune_dir("hand81", "plain", item.id) / "final.pth")
    found = predict.find_models(workspace.root)
    assert found.name == "htc, hand81 finetune_plain"
    assert found.landmarks[13].parent.name == "category_13"
    left = workspace.finetune_dir("hand81", "plain", 13) / "final.pth"
    left.unlink()
    assert predict.find_models(workspace.root).name == "htc, hand81 universal"
    step = "06_finetune_category_hand81_plain_13"
    nothing = {"parameters": {}, "inputs": {}, "outputs": {}, "metrics": {"train_items": 0}, "seconds": 0.0}
    write_record(workspace.record(step), step=step, **nothing)
    found = predict.find_models(workspace.root)
    assert found.name == "htc, hand81 finetune_plain" and found.landmarks[13].parent.name == "universal"


def test_without_a_workspace_the_ready_weights_serve(models, tmp_path, capsys):
    assert main(["predict", str(make_photo(tmp_path / "a.jpg")), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("models: the ready weights")
    assert read_json(tmp_path / "out" / "a.json")["models"].startswith("ready weights")


def test_the_ready_weights_are_those_of_their_card_and_small():
    card = (predict.READY / "README.md").read_text()
    files = sorted(predict.READY.glob("*.pth"))
    assert [path.name for path in files] == ["detector.pth", "landmarks.pth"]
    assert sum(path.stat().st_size for path in files) <= 20_000_000
    for path in files:
        assert f"| {path.name} | {path.stat().st_size:,} | `{sha256(path)}` |" in card


def test_one_garment_keeps_one_box_and_the_scores_of_all_its_names():
    boxes = np.array(
        [[10, 10, 100, 100], [12, 12, 100, 100], [10, 10, 100, 100], [200, 10, 50, 50], [13, 12, 100, 99.0]]
    )
    score = np.array([0.1, 0.5, 0.3, 0.2, 0.15])
    found = make_predictions(5, bbox_xywh=boxes, image_id=np.array([1, 1, 2, 1, 1]), score=score)
    kept, summed = predict.one_box_a_garment(found)
    assert kept.tolist() == [1, 2, 3]
    np.testing.assert_allclose(summed, [0.75, 0.3, 0.2])
    assert predict.one_box_a_garment(replace(found, score=10 * score))[1].max() == 1
    assert [len(part) for part in predict.one_box_a_garment(found.take(np.zeros(0, int)))] == [0, 0]


def test_what_is_at_fault_is_named_and_nothing_is_written(models, workspace, tmp_path):
    good = make_photo(tmp_path / "good.jpg")
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    out = tmp_path / "out"
    cases = [
        ([bad, good], workspace.root, r"bad\.jpg: expected an image"),
        ([tmp_path / "absent.jpg"], workspace.root, r"absent\.jpg: no such image"),
        ([], workspace.root, "at least one photo"),
        ([good], tmp_path / "empty", "expected a workspace with trained models"),
    ]
    for images, root, message in cases:
        with pytest.raises(InputError, match=message):
            predict.predict_photos(images, root, out)
    assert not out.exists()


def kps_predict(workspace, out, *images):
    """The command line's exit code."""
    return main(["predict", *map(str, images), "--models", str(workspace.root), "--out", str(out)])


def test_bad_photos_do_not_stop_the_others(models, workspace, tmp_path, capsys):
    images = [make_photo(tmp_path / name) for name in ("a.jpg", "cut.jpg", "z.png")]
    images[1].write_bytes(images[1].read_bytes()[:400])
    (tmp_path / "empty").mkdir()
    bad = [tmp_path / "absent.jpg", tmp_path / "pointer.jpg", tmp_path / "phone.HEIC"]
    bad[1].write_bytes(LFS_POINTER)
    bad[2].write_bytes(b"\0\0\0\x24ftypheic" + bytes(100))
    assert kps_predict(workspace, tmp_path / "out", bad[0], *images, *bad[1:]) == 1
    shown = capsys.readouterr()
    out = tmp_path / "out"
    assert shown.out == f"wrote {out}/a.json and a.jpg: 1 garment\nwrote {out}/z.json and z.jpg: 1 garment\n"
    said = ("absent.jpg: no such", "cut.jpg: expected", "pointer.jpg: expected", "got an HEIC photo (save it as JPEG)")
    lines = shown.err.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("kps: ") and part in line for line, part in zip(lines, said, strict=True))
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "a.json", "contact_sheet.jpg", "z.jpg", "z.json"]
    assert kps_predict(workspace, out, tmp_path / "empty") == 1
    assert "empty: expected a folder with photos" in capsys.readouterr().err


def test_folders_patterns_and_a_sheet_of_all(models, workspace, tmp_path, capsys):
    photos = [make_photo(tmp_path / "in" / name) for name in ("b.JPG", "a.png", "contact_sheet.jpg")]
    (tmp_path / "in" / "notes.txt").touch()
    assert predict.photos_and_videos([tmp_path / "in", photos[0]]) == [photos[1], photos[0], photos[2], photos[0]]
    assert predict.photos_and_videos([str(tmp_path / "*" / "[ab].*")]) == [photos[1], photos[0]]
    out = tmp_path / "out"
    for _ in range(2):  # its own sheet is replaced
        assert kps_predict(workspace, out, tmp_path / "in") == 0
    assert Image.open(out / "contact_sheet.jpg").size == (2 * 368, 2 * 368)
    assert (out / "contact_sheet_2.json").exists()
    make_photo(out / "contact_sheet.jpg")
    assert kps_predict(workspace, out, tmp_path / "in") == 1
    assert "contact_sheet.jpg: would be overwritten" in capsys.readouterr().err


def test_a_video_frame_by_frame(models, workspace, tmp_path, capsys):
    writer = cv2.VideoWriter(str(tmp_path / "walk.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 8.0, (720, 400))
    for number in range(3):
        writer.write(np.full((400, 720, 3), 60 * number, np.uint8))
    writer.release()
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "walk.mp4").read_bytes()[:100])
    out = tmp_path / "out"
    assert kps_predict(workspace, out, tmp_path / "cut.mp4", tmp_path / "walk.mp4") == 1
    shown = capsys.readouterr()
    assert shown.out == f"wrote {out}/walk.json and walk.mp4: 3 frames\n"
    assert "cut.mp4: expected a video" in shown.err
    value = read_json(out / "walk.json")
    assert [len(frame) for frame in value["garments"]] == [1, 1, 1] and value["frames_per_second"] == 8
    drawn = cv2.VideoCapture(str(out / "walk.mp4"))
    assert [drawn.read()[1].shape for _ in range(3)] == [(400, 720, 3)] * 3 and not drawn.read()[0]
    assert sorted(path.name for path in out.iterdir()) == ["walk.json", "walk.mp4"]


def test_no_garment_is_said_of_each_photo(models, workspace, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(predict, "find_garments", partial(predict.find_garments, score_threshold=1.0))
    assert kps_predict(workspace, tmp_path / "out", make_photo(tmp_path / "a.jpg")) == 0
    assert capsys.readouterr().out.endswith("a.json and a.jpg: 0 garments\n")


def files_in(folder):
    return {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", ["dress.json", "dress.jpg"])
@pytest.mark.parametrize("content", [b"mine", b"[]", b'{"image": "dress.png"}'])
def test_nothing_is_replaced_that_was_not_written_here(models, workspace, tmp_path, capsys, monkeypatch, name, content):
    make_photo(tmp_path / "dress.png")
    (tmp_path / name).write_bytes(content)
    before = files_in(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert kps_predict(workspace, ".", "dress.png") == 1
    assert capsys.readouterr().err.startswith(f"kps: {name}: would be overwritten")
    assert files_in(tmp_path) == before


def test_a_link_and_a_photo_are_in_the_way_too(models, workspace, tmp_path):
    png = make_photo(tmp_path / "dress.png")
    (tmp_path / "dress.json").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"dress\.json: would be overwritten"):
        predict.predict_photos([png], workspace.root, tmp_path)
    (tmp_path / "dress.json").unlink()
    predict.predict_photos([png], workspace.root, tmp_path)
    with pytest.raises(InputError, match="would be overwritten"):
        predict.predict_photos([png, tmp_path / "dress.jpg"], workspace.root, tmp_path)


def test_photos_of_one_name_keep_their_results_apart_and_find_them_again(models, workspace, tmp_path, monkeypatch):
    photos = [make_photo(tmp_path / folder / "x.jpg") for folder in ("a", "b", "c")]
    out = tmp_path / "out"
    for photo in (photos[0], photos[1], photos[0], photos[2], photos[1]):
        monkeypatch.chdir(photo.parent)
        assert kps_predict(workspace, "../out", "x.jpg") == 0
    results = {path.name: read_json(path)["image"] for path in out.glob("*.json")}
    assert results == dict(zip(("x.json", "x_2.json", "x_3.json"), map(str, photos), strict=True))
    written = predict.predict_photos(photos[::-1], workspace.root, out)
    assert [path.name for path in written] == ["x_3.json", "x_2.json", "x.json"]


def test_a_name_that_is_not_utf_8(models, workspace, tmp_path, capsys):
    photo = tmp_path / os.fsdecode(b"caf\xe9.png")
    make_photo(photo)
    for _ in range(2):
        assert kps_predict(workspace, tmp_path / "out", photo) == 0
    assert len(files_in(tmp_path / "out")) == 2
    (result,) = (tmp_path / "out").glob("*.json")
    assert read_json(result)["image"] == f"{tmp_path}/caf\\xe9.png"
    assert "1 garment" in capsys.readouterr().out


def test_a_video_of_such_a_name_and_of_a_rate_that_mpeg_4_does_not_know(models, workspace, tmp_path, capsys):
    writer = cv2.VideoWriter(str(tmp_path / "slow.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 119.887, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    video, out = tmp_path / os.fsdecode(b"caf\xe9.avi"), tmp_path / os.fsdecode(b"out\xe9")
    (tmp_path / "slow.avi").rename(video)
    assert kps_predict(workspace, out, video) == 0
    assert "caf\\udce9.mp4: 1 frame\n" in capsys.readouterr().out
    assert read_json(out / os.fsdecode(b"caf\xe9.json"))["frames_per_second"] == pytest.approx(119.887, abs=0.01)


def test_a_photo_that_cannot_be_written_is_named(models, workspace, tmp_path, capsys, monkeypatch):
    photos = [make_photo(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    real = predict.write_json

    def write_json(path, *value, **how):
        if path.name == "a.json":
            raise OSError(28, "No space left on device")
        real(path, *value, **how)

    monkeypatch.setattr(predict, "write_json", write_json)
    assert kps_predict(workspace, tmp_path / "out", *photos) == 1
    assert capsys.readouterr().err == f"kps: {photos[0]}: No space left on device\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.jpg", "b.json"]


@pytest.mark.parametrize("size", [(1, 1), (4000, 15), (15, 4000), (30_000, 1), (12_000, 900)])
def test_photos_of_extreme_shape_are_drawn(models, workspace, tmp_path, size):
    photo = make_photo(tmp_path / "p.png", size)
    (written,) = predict.predict_photos([photo], workspace.root, tmp_path / "out")
    assert (read_json(written)["width"], read_json(written)["height"]) == size
    assert max(Image.open(written.with_suffix(".jpg")).size) <= 8192


@pytest.mark.slow
def test_as_a_library(tmp_path):
    write_dataset(tmp_path / "raw", train=0, validation=2, test=0, seed=5, workers=1)
    files = sorted(tmp_path.rglob("*.jpg"))
    find = kps.Garments()
    both = find([files[0], read_photo(files[1])])
    for file, garments in zip(files, both, strict=True):
        (written,) = predict.predict_photos([file], None, tmp_path / "out")
        rows = read_json(written)["garments"]
        assert [row["category"] for row in rows] == [one.category.name for one in garments] != []
        for row, one in zip(rows, garments, strict=True):
            places = [[point["x"], point["y"], point["score"]] for point in row["landmarks"]]
            np.testing.assert_allclose(one.keypoints, places, atol=0.5)  # photos of one batch are padded alike
            assert len(one.keypoints) == len(one.category.landmark_names)
    assert find([]) == []
    with pytest.raises(InputError, match=r"photo 0: expected \(H, W, 3\) uint8, but got \(3, 4\) float64"):
        find([np.zeros((3, 4))])
