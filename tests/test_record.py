"""Records tell how a number came about."""

from pathlib import Path

import pytest

from kps.files import InputError, sha256, write_json
from kps.workspace import load_record, load_records, write_record


def make_record(folder: Path, step: str = "05_train_landmarks"):
    source = folder / "input.json"
    source.write_text("{}")
    return write_record(
        folder / "records" / f"{step}.json",
        step=step,
        parameters={"seed": 1},
        inputs={"coco": source},
        outputs={"model": source},
        metrics={"AP": 0.5},
        seconds=1.25,
    )


def test_a_record_survives_the_round_trip(tmp_path: Path) -> None:
    record = make_record(tmp_path)
    assert load_record(tmp_path / "records" / "05_train_landmarks.json") == record
    assert record.inputs["coco"]["sha256"] == sha256(tmp_path / "input.json")
    assert record.versions["numpy"] and "cores" in record.hardware
    assert list(load_records(tmp_path / "records")) == ["05_train_landmarks"]


def test_an_output_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names zip = "):
        write_record(
            tmp_path / "r.json",
            step="s",
            parameters={},
            inputs={},
            outputs={"zip": tmp_path / "absent"},
            metrics={},
            seconds=0,
        )
    assert not (tmp_path / "r.json").exists()


def test_something_else_is_no_record(tmp_path: Path) -> None:
    write_json(tmp_path / "r.json", {"step": "x"})
    with pytest.raises(InputError, match="expected a record"):
        load_record(tmp_path / "r.json")
