"""Every artifact has one path of its own, no output destroys an input, records tell how a number came about."""

import os
from pathlib import Path

import pytest
from builders import make_raw_folder

from kps.files import InputError, sha256, write_json
from kps.workspace import SPLITS, Workspace, check_outputs, load_record, load_records, submission_zip, write_record

WORKSPACE = Workspace(Path("runs/test"))


def test_paths_are_distinct_and_inside_the_workspace() -> None:
    paths = [WORKSPACE.built_in_data, WORKSPACE.data, WORKSPACE.homogeneity, WORKSPACE.report]
    paths += [path(split) for split in SPLITS for path in (WORKSPACE.coco, WORKSPACE.coco_visible_only)]
    paths += [WORKSPACE.detections("htc", split) for split in SPLITS]
    paths += [WORKSPACE.predictions(run, split) for run in ("a", "b") for split in SPLITS]
    paths += [WORKSPACE.finetune_dir("hand81", variant, c) for variant in ("plain", "lr_1e-3") for c in range(1, 14)]
    paths += [WORKSPACE.universal_dir("hand81"), WORKSPACE.universal_dir("identity"), WORKSPACE.detector_dir("htc")]
    paths += [WORKSPACE.record("01"), WORKSPACE.executed("01"), WORKSPACE.aggregation("hand81")]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to(WORKSPACE.root) for path in paths)
    assert submission_zip("demo") == Path("submissions/demo/submission.zip")


def test_unknown_splits_and_variants_are_refused() -> None:
    with pytest.raises(InputError, match="train, validation, test"):
        WORKSPACE.coco("val")
    with pytest.raises(InputError, match="a variant's name"):
        WORKSPACE.finetune_dir("hand81", "../flip", 1)


def test_image_folders_are_remembered(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write_data({"train": tmp_path / "image"}, source="built-in")
    assert workspace.image_dir("train") == tmp_path / "image"
    assert workspace.data_source() == "built-in"
    with pytest.raises(InputError, match="no images of the test split"):
        workspace.image_dir("test")


def test_no_output_is_an_input_or_another_output_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "in.json"
    path.write_text("{}")
    symbolic, hard = tmp_path / "symbolic", tmp_path / "hard"
    symbolic.symlink_to(path)
    hard.hardlink_to(path)
    for output in (path, Path(os.path.relpath(path)), tmp_path / "folder" / ".." / "in.json", symbolic, hard):
        with pytest.raises(InputError, match="expected a place of its own"):
            check_outputs([output], [tmp_path / "other.json", path])
    with pytest.raises(InputError, match="expected a place of its own"):
        check_outputs([tmp_path / "new.json", tmp_path / "folder" / ".." / "new.json"], [])
    check_outputs([tmp_path / "new.json", tmp_path / "folder"], [path, tmp_path / "absent"])


def test_no_output_lies_in_raw_data(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    make_raw_folder(raw)
    (raw / "json_for_validation").mkdir()
    (tmp_path / "link").symlink_to(raw / "train")
    places = ("train", "train/x.json", "train/image/new/x.json", "json_for_validation/x.json", "", "x.json")
    for place in (*places, tmp_path / "link" / "x.json"):
        with pytest.raises(InputError, match="expected an output outside of raw data"):
            check_outputs([raw / place], [])
    check_outputs([raw / "runs" / "demo" / "x.json", tmp_path, tmp_path / "x.json"], [])
    with pytest.raises(InputError, match="outside of raw data"):
        check_outputs([raw / "runs" / "demo" / "x.json"], [tmp_path])


def test_a_record_survives_the_round_trip(tmp_path: Path) -> None:
    work, source = Workspace(tmp_path), tmp_path / "input.json"
    source.write_text("{}")
    paths = {"inputs": {"coco": source}, "outputs": {"model": source}}
    given = {"step": "05_train_landmarks", "parameters": {"seed": 1}, "metrics": {"AP": 0.5}, "seconds": 1.25}
    record = write_record(work.record(given["step"]), **given, **paths)
    assert load_record(work.record(given["step"])) == record
    assert record.inputs["coco"]["sha256"] == sha256(source)
    assert record.versions["numpy"] and "cores" in record.hardware
    assert list(load_records(work.record("any").parent)) == ["05_train_landmarks"]
    source.unlink()
    with pytest.raises(InputError, match="names coco = "):
        write_record(work.record("new"), **given, **paths)
    assert not work.record("new").exists()
    write_json(work.record("new"), {"step": "x"})
    with pytest.raises(InputError, match="expected a record"):
        load_record(work.record("new"))
