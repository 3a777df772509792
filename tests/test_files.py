"""Files are whole or absent; a field of JSON has the type that it must have, or is named."""

from collections.abc import Callable
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


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": NaN}'])
def test_broken_json_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.json").write_bytes(content)
    with pytest.raises(InputError, match=r"/broken.json: expected JSON"):
        read_json(tmp_path / "broken.json")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file to write, but it is a folder"):
        write_json(tmp_path, {})


@pytest.mark.parametrize(
    ("make", "says"),
    [(Path.mkdir, "cannot be read"), (lambda path: path.symlink_to(path), "cannot be read"), (bool, "no such file")],
)
def test_what_is_no_file_is_named(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    make(tmp_path / "odd")
    with pytest.raises(InputError, match=f"odd: {says}"), files.open_file(tmp_path / "odd"):
        pass


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


def test_sha256_is_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea")


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


@pytest.mark.parametrize("function", [files.field, files.integer_field, files.number_field])
def test_an_absent_field_is_named(function: Any) -> None:
    with pytest.raises(InputError, match="expected a field 'absent'"):
        function(ROW, "absent")


@pytest.mark.parametrize("value", ["5", True, 5.0, None, [5], 2**63, -(2**63)])
def test_only_whole_numbers_of_64_bits_are_integers(value: Any) -> None:
    with pytest.raises(InputError, match="expected a whole number as x"):
        files.integer_field({"x": value}, "x")


@pytest.mark.parametrize("value", ["0.5", True, None, [0.5]])
def test_only_numbers_are_numbers(value: Any) -> None:
    with pytest.raises(InputError, match="expected a number as x"):
        files.number_field({"x": value}, "x")


@pytest.mark.parametrize(
    ("value", "message"),
    [([1], "of 2 numbers, but got 1"), ("12", "of 2 numbers, but got str"), ([1, "2"], "as numbers, but got '2'")]
    + [([1, True], "as numbers, but got True"), ([1, None], "as numbers, but got None")],
)
def test_only_lists_of_numbers_are_such(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"expected x {message}"):
        files.numbers_field({"x": value}, "x", 2)
