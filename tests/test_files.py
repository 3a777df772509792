"""Files are whole or absent; a field of JSON has the type that it must have, or is named."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kps import files
from kps.files import InputError, atomic_folder, atomic_path, progress, read_json, write_json

ROW = {"whole": 5, "real": 0.5, "many": [1, 2.5], "nothing": None}


def test_json_survives_the_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b.json", {"x": np.arange(3), "y": np.float64(0.5)})
    assert read_json(tmp_path / "a" / "b.json") == {"x": [0, 1, 2], "y": 0.5}


@pytest.mark.parametrize(
    ("make", "says"),
    [(Path.mkdir, "cannot be read"), (lambda path: path.symlink_to(path), "cannot be read"), (bool, "no such file")]
    + [(partial(Path.write_bytes, data=data), "expected JSON") for data in (b"", b"{", b"\xff\xfe", b'{"a": NaN}')],
)
def test_what_is_no_file_or_no_json_is_named(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    make(tmp_path / "odd")
    with pytest.raises(InputError, match=f"/odd: {says}"):
        read_json(tmp_path / "odd")


def test_a_failed_write_leaves_the_old_file_and_nothing_else_and_a_folder_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]
    with pytest.raises(InputError, match="expected a file to write, but it is a folder"):
        write_json(tmp_path, {})


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "out") as temporary:
        (temporary / "file").write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with atomic_folder(tmp_path / "out") as temporary:
        (temporary / "file").write_text("whole")
    assert (tmp_path / "out" / "file").read_text() == "whole"
    with pytest.raises(InputError, match="new or empty folder"), atomic_folder(tmp_path / "out"):
        pass


def test_progress_says_a_line_now_and_then(capsys, monkeypatch):
    assert list(progress(range(3), desc="reading")) == [0, 1, 2]
    assert capsys.readouterr().out == "", "too short for a line"
    monkeypatch.setattr("kps.files.PROGRESS_SECONDS", 0.0)
    assert list(progress(iter("ab"), desc="reading", unit="photo")) == ["a", "b"]
    assert list(progress("a", desc="reading", total=5, unit="photo")) == ["a"]
    lines = ["reading: 1 photos, 0 s", "reading: 2 photos, 0 s", "reading: 1 of 5 photos, 0 s"]
    assert capsys.readouterr().out.splitlines() == lines


def test_fields_come_back_as_they_are() -> None:
    assert files.field(ROW, "nothing") is None
    assert files.integer_field(ROW, "whole") == 5
    assert files.integer_field(ROW, "nothing", default=3) == files.integer_field(ROW, "absent", default=3) == 3
    assert files.integer_field({"whole": 0}, "whole", default=3) == 0
    assert files.number_field(ROW, "whole") == 5.0 and files.number_field(ROW, "real") == 0.5
    assert files.numbers_field(ROW, "many", 2) is ROW["many"]
    assert files.shown("a" * 1000) == "'" + "a" * 39 + "..."


TWO_NUMBERS = partial(files.numbers_field, count=2)


@pytest.mark.parametrize(
    ("function", "row", "message"),
    [(function, {}, "a field 'x'") for function in (files.field, files.integer_field, files.number_field, TWO_NUMBERS)]
    + [(files.integer_field, {"x": value}, "a whole number as x") for value in ("5", True, 5.0, None, [5], 2**63)]
    + [(files.integer_field, {"x": -(2**63)}, "a whole number as x, but got -9223372036854775808")]
    + [(files.number_field, {"x": value}, "a number as x") for value in ("0.5", True, None, [0.5])]
    + [(TWO_NUMBERS, {"x": value}, "x of 2 numbers, but got (1|str)") for value in ([1], "12")]
    + [(TWO_NUMBERS, {"x": [1, value]}, f"x as numbers, but got {value!r}") for value in ("2", True, None)],
)
def test_a_field_that_is_absent_or_of_another_type_is_named(function: Any, row: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"expected {message}"):
        function(row, "x")
