"""kps.flow.prepare: the three ways to get data into a workspace."""

import json
import unicodedata
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from builders import make_item, make_raw_folder
from garment_photos import write_photos

from kps.data.coco import Coco, load_coco
from kps.data.photos import photo_of
from kps.files import InputError, read_json, write_json
from kps.flow import prepare
from kps.results.detections import load_detections
from kps.workspace import SPLITS, Workspace

ONE_EACH = dict.fromkeys(SPLITS, 1)


def prepare_one(work: Workspace, file: Path, images: Path | None = None, **options) -> dict[str, Coco]:
    """Take a COCO file, and the photos in `image` beside it, as all three splits."""
    sources = (dict.fromkeys(SPLITS, path) for path in (file, images or file.parent / "image"))
    return prepare.prepare_coco(work, *sources, **options)


def make_raw(root: Path, *splits: str, **changes) -> Path:
    for split in splits:
        make_raw_folder(root, {"item1": make_item(1, **changes)}, split=split)
    return root


@pytest.fixture
def work(tmp_path) -> Workspace:
    return Workspace(tmp_path / "run")


def test_built_in_data_are_made_once_and_anew_for_other_wishes_or_an_edited_generator(work, monkeypatch):
    photos = {"train": 3, "validation": 2, "test": 1}

    def made(**options) -> int:
        splits = prepare.prepare_built_in(work, photos=photos, seed=0, **options)
        expected = dict.fromkeys(photos, options["limit"]) if options else photos
        assert {split: len(coco.images) for split, coco in splits.items()} == expected
        return (work.image_dir("train") / "000001.jpg").stat().st_mtime_ns

    first = made()
    assert work.data_source() == prepare.BUILT_IN and not len(load_coco(work.coco("test")).instances)
    assert made(limit=1) == first
    photos["train"] = 4
    second = made()
    edited = prepare.code_sha256(["kps.synthetic"]) | {"kps.synthetic.sleeves": "edited"}
    monkeypatch.setattr(prepare, "code_sha256", lambda *_, **__: edited)
    assert first < second < made() == made()


def test_a_folder_that_was_not_made_here_is_left_alone(work):
    work.built_in_data.mkdir(parents=True)
    (work.built_in_data / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="holds something"):
        prepare.prepare_built_in(work, photos=ONE_EACH, seed=0)
    assert (work.built_in_data / "mine.txt").exists()


def test_raw_data_become_coco_files_and_ground_truth_boxes(tmp_path, work):
    splits = prepare.prepare_raw(work, make_raw(tmp_path / "raw", *SPLITS), source="mine")
    boxes = load_detections(work.detections("ground_truth", "validation"))
    assert boxes.detection_id.tolist() == splits["validation"].instances.annotation_id.tolist()
    assert not work.detections("ground_truth", "test").exists()
    assert work.image_dir("test") == (tmp_path / "raw" / "test" / "image").resolve()
    visible = load_coco(work.coco_visible_only("train")).instances.keypoints
    assert np.array_equal(visible, splits["train"].visible_only().instances.keypoints)


def test_what_raw_data_lose_is_printed(tmp_path, work, capsys):
    make_raw(tmp_path / "raw", *SPLITS)
    for number in range(2, 9):
        make_raw_folder(tmp_path / "raw", image_id=number).write_text("{")
    splits = prepare.prepare_raw(work, tmp_path / "raw", source="mine")
    assert len(splits["train"].images) == 1
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "train: skipped 7 files or items that cannot be converted"
    assert len(lines) == prepare.LINES_SHOWN and "000002.json: expected JSON" in lines[0]


@pytest.mark.parametrize("folder", ["absent", "raw/test/image"])
def test_raw_data_may_lack_the_test_split(tmp_path, work, folder, capsys):
    make_raw(tmp_path / "raw", "train", "validation")
    (tmp_path / folder).mkdir(parents=True)
    splits = prepare.prepare_raw(work, tmp_path / "raw", source="mine")
    assert list(splits) == work.available(SPLITS) == ["train", "validation"]
    assert "no test split" in capsys.readouterr().out and not work.coco("test").exists()
    assert not prepare.has_test({"data_root": str(tmp_path / "raw")})
    with pytest.raises(InputError, match="no images of the test split, only of train, validation"):
        work.available(["test"])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_a_landmark_is_refused(tmp_path, work, split):
    make_raw(tmp_path / "raw", "train", "validation")
    make_raw(tmp_path / "raw", split, landmarks=[0] * 3 * 25)
    message = f"expected a labelled landmark in the {split} split, but none of its 1 garments has one"
    with pytest.raises(InputError, match=message):
        prepare.prepare_raw(work, tmp_path / "raw", source="mine")
    image = {"id": 1, "file_name": "000001.jpg", "width": 468, "height": 624}
    write_json(tmp_path / "bare.json", {"images": [image]})
    with pytest.raises(InputError, match="in the train split, but none of its 0 garments"):
        prepare_one(work, tmp_path / "bare.json", tmp_path / "raw" / "train" / "image")
    assert not work.data.exists()


def test_a_coco_file_serves_as_all_splits_but_is_not_replaced_by_its_own_selection(tmp_path, work):
    file = write_photos(tmp_path / "set", count=3)
    splits = prepare_one(work, file, limit=2)
    assert all(len(splits[split].images) == 2 for split in SPLITS)
    visible = load_coco(work.coco_visible_only("train")).instances.keypoints
    assert np.array_equal(visible, splits["train"].visible_only().instances.keypoints)
    assert work.data_source() == str(file)
    with pytest.raises(InputError, match="expected a file outside the folder that is written to"):
        prepare_one(work, work.coco("train"), file.parent / "image", limit=1)
    assert len(load_coco(work.coco("train")).images) == 2


def test_an_absent_photo_is_named_and_a_limit_below_1_refused(tmp_path, work):
    file = write_photos(tmp_path / "set", count=2)
    for limit in (0, -1):
        with pytest.raises(InputError, match="limit of at least 1 photo"):
            prepare_one(work, file, limit=limit)
        with pytest.raises(InputError, match="limit of at least 1 photo"):
            prepare.prepare_built_in(work, photos=ONE_EACH, seed=0, limit=limit)
    (tmp_path / "set" / "image" / "000002.jpg").unlink()
    with pytest.raises(InputError, match=r"000002\.jpg is not there"):
        prepare_one(work, file)
    assert not work.root.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: {"keypoints": [0] * 882}, "labelled landmark"),
        (lambda row: {"bbox": [number / 160 for number in row["bbox"]], "area": None}, "not shares"),
        (lambda row: {"area": 0}, "annotation 0: expected an area"),
        (lambda row: {"bbox": [*row["bbox"][:3], 0]}, "annotation 0: expected a box"),
        (lambda row: {"area": row["area"] / 2}, None),
    ],
    ids=["no landmarks", "shares", "no area", "no height", "half the area"],
)
def test_what_contradicts_itself_is_refused_before_anything_is_written_and_what_is_doubtful_printed_once(
    tmp_path, work, change, says, capsys
):
    file = write_photos(tmp_path / "set", count=3)
    value = read_json(file)
    value["annotations"] = [row | change(row) for row in value["annotations"]]
    write_json(file, value)
    with pytest.raises(InputError, match=says) if says else nullcontext():
        prepare_one(work, file)
    assert work.root.exists() == (says is None)
    assert capsys.readouterr().out.count(f"warning: {file}: 3 of 3 have an area") == (says is None)


def test_each_split_has_a_coco_file_and_photos_of_its_own(tmp_path, work, capsys):
    files = {"train": write_photos(tmp_path / "a", count=3), "validation": write_photos(tmp_path / "b", count=4)}
    folders = {split: file.parent / "image" for split, file in files.items()}
    assert list(prepare.prepare_coco(work, files, folders)) == ["train", "validation"]
    assert "warning" not in capsys.readouterr().out
    files["test"], folders["test"] = tmp_path / "information.json", folders["train"]
    image = {"id": 7, "file_name": "000001.jpg", "width": 120, "height": 160}
    write_json(files["test"], {"images": [image]})
    splits = prepare.prepare_coco(work, files, folders)
    assert [len(splits[split].images) for split in SPLITS] == [3, 4, 1]
    assert work.image_dir("validation") == folders["validation"] and not len(splits["test"].instances)
    line = f"warning: train and test have 1 photos in common, such as {folders['train'] / '000001.jpg'}"
    assert line in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        ("coco_file=a image_dir=i", "train=a,i validation=a,i test=a,i"),
        ("coco_file=a image_dir=i test_images=t", "train=a,i validation=a,i test=a,t"),
        ("train_file=a validation_file=b image_dir=i", "train=a,i validation=b,i"),
    ],
)
def test_sources_of_the_splits(given, expected):
    files, folders = prepare.coco_sources(dict(pair.split("=") for pair in given.split()))
    assert " ".join(f"{split}={files[split]},{folders[split]}" for split in folders) == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [(names, "the train split needs a file") for names in ("coco_file", "image_dir", "validation_file image_dir")]
    + [("train_file image_dir", "the validation split needs a file")]
    + [("train_file train_images validation_file", "the validation split needs a file")]
    + [("train_file validation_file image_dir test_images", "the test split needs a file")]
    + [("train_file validation_file train_images validation_images test_file", "the test split needs a file")]
    + [("coco_file train_file image_dir", "got both")],
)
def test_half_a_source_is_one_line(names, message):
    with pytest.raises(InputError, match=message):
        prepare.coco_sources(dict.fromkeys(names.split(), "x"))


def test_counts_and_contents(tmp_path):
    coco = load_coco(write_photos(tmp_path / "set", count=4))
    counts = prepare.item_counts({"train": coco})["train"]
    assert json.dumps(counts) and sum(counts.values()) == 4 and list(counts) == [str(i) for i in range(1, 14)]
    held = prepare.contents(coco)
    assert held["photos"] == held["garments"] == 4 and held["garments without landmarks"] == 0
    assert held["landmarks visible"] + held["landmarks occluded"] == coco.instances.num_keypoints.sum()


def test_names_may_write_accents_in_another_form_than_the_disk(tmp_path, work):
    file = write_photos(tmp_path / "set", count=1)
    photo = file.parent / "image" / "000001.jpg"
    photo.rename(photo.with_name(unicodedata.normalize("NFD", "é.jpg")))
    file.write_text(file.read_text().replace("000001.jpg", unicodedata.normalize("NFC", "é.jpg")))
    splits = prepare_one(work, file)
    assert photo_of(splits["train"].images[0], work.image_dir("train")).ndim == 3
