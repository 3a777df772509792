"""kps.prepare: the three ways to get data into a workspace."""

import json
import unicodedata

import numpy as np
import pytest
from builders import make_raw_folder
from garment_photos import write_photos

from kps import prepare
from kps.coco import load_coco
from kps.detections import load_detections
from kps.errors import InputError
from kps.photos import photo_of
from kps.workspace import SPLITS, Workspace


def test_built_in_data_are_made_once_and_anew_for_other_wishes(tmp_path):
    work, photos = Workspace(tmp_path), {"train": 3, "validation": 2, "test": 1}
    splits = prepare.prepare_built_in(work, photos=photos, seed=0)
    assert {split: len(coco.images) for split, coco in splits.items()} == photos
    assert work.data_source() == prepare.BUILT_IN and not len(splits["test"].instances)
    photo = next(work.image_dir("train").iterdir())
    made = photo.stat().st_mtime_ns
    prepare.prepare_built_in(work, photos=photos, seed=0, limit=1)
    assert photo.stat().st_mtime_ns == made and len(load_coco(work.coco("train")).images) == 1
    other = prepare.prepare_built_in(work, photos={**photos, "train": 4}, seed=0)
    assert len(other["train"].images) == 4


def test_a_folder_that_was_not_made_here_is_left_alone(tmp_path):
    work = Workspace(tmp_path)
    work.built_in_data.mkdir()
    (work.built_in_data / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="holds something"):
        prepare.prepare_built_in(work, photos={"train": 1, "validation": 1, "test": 1}, seed=0)
    assert (work.built_in_data / "mine.txt").exists()


def test_raw_data_become_coco_files_and_ground_truth_boxes(tmp_path):
    for split in ("train", "validation"):
        make_raw_folder(tmp_path / "raw", split=split)
    make_raw_folder(tmp_path / "raw", split="test")
    work = Workspace(tmp_path / "run")
    splits = prepare.prepare_raw(work, tmp_path / "raw", source="mine")
    boxes = load_detections(work.detections("ground_truth", "validation"))
    assert boxes.detection_id.tolist() == splits["validation"].instances.annotation_id.tolist()
    assert not work.detections("ground_truth", "test").exists()
    assert work.image_dir("test") == (tmp_path / "raw" / "test" / "image").resolve()
    visible = load_coco(work.coco_visible_only("train")).instances.keypoints
    assert np.array_equal(visible, splits["train"].visible_only().instances.keypoints)


def test_what_raw_data_lose_is_printed(tmp_path, capsys):
    for split in ("train", "validation", "test"):
        make_raw_folder(tmp_path / "raw", split=split)
    for number in range(2, 9):
        make_raw_folder(tmp_path / "raw", image_id=number).write_text("{")
    splits = prepare.prepare_raw(Workspace(tmp_path / "run"), tmp_path / "raw", source="mine")
    assert len(splits["train"].images) == 1
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "train: skipped 7 files or items that cannot be converted"
    assert len(lines) == prepare.LINES_SHOWN and "000002.json: expected JSON" in lines[0]


def test_a_coco_file_serves_as_all_splits(tmp_path):
    file = write_photos(tmp_path / "set", count=3)
    work = Workspace(tmp_path / "run")
    splits = prepare.prepare_coco(work, file, tmp_path / "set" / "image", limit=2)
    assert all(len(splits[split].images) == 2 for split in SPLITS)
    visible = load_coco(work.coco_visible_only("train")).instances.keypoints
    assert np.array_equal(visible, splits["train"].visible_only().instances.keypoints)
    assert work.data_source() == str(file)


def test_an_absent_photo_is_named(tmp_path):
    file = write_photos(tmp_path / "set", count=2)
    (tmp_path / "set" / "image" / "000002.jpg").unlink()
    with pytest.raises(InputError, match=r"000002\.jpg is not there"):
        prepare.prepare_coco(Workspace(tmp_path / "run"), file, tmp_path / "set" / "image")
    assert not (tmp_path / "run").exists()


def test_counts_and_contents(tmp_path):
    coco = load_coco(write_photos(tmp_path / "set", count=4))
    counts = prepare.item_counts({"train": coco})
    assert (
        json.dumps(counts)
        and sum(counts["train"].values()) == 4
        and set(counts["train"]) == {str(number) for number in range(1, 14)}
    )
    held = prepare.contents(coco)
    assert held["photos"] == held["garments"] == 4 and held["garments without landmarks"] == 0
    labelled = coco.instances.num_keypoints.sum()
    assert held["landmarks visible"] + held["landmarks occluded"] == labelled


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_1_is_refused(tmp_path, limit):
    work = Workspace(tmp_path / "work")
    file = write_photos(tmp_path / "set", count=1)
    with pytest.raises(InputError, match="limit of at least 1 photo"):
        prepare.prepare_coco(work, file, file.parent / "image", limit=limit)
    photos = {"train": 1, "validation": 1, "test": 1}
    with pytest.raises(InputError, match="limit of at least 1 photo"):
        prepare.prepare_built_in(work, photos=photos, seed=0, limit=limit)
    assert not work.root.exists()


def test_names_may_write_accents_in_another_form_than_the_disk(tmp_path):
    file = write_photos(tmp_path / "set", count=1)
    photo = file.parent / "image" / "000001.jpg"
    photo.rename(photo.with_name(unicodedata.normalize("NFD", "é.jpg")))
    file.write_text(file.read_text().replace("000001.jpg", unicodedata.normalize("NFC", "é.jpg")))
    work = Workspace(tmp_path / "work")
    splits = prepare.prepare_coco(work, file, photo.parent)
    assert photo_of(splits["train"].images[0], work.image_dir("train")).ndim == 3
