"""Files are whole or absent."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kps.files import InputError, atomic_folder, atomic_path, open_file, progress, read_json, sha256, write_json


def test_json_survives_the_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b.json", {"x": np.arange(3), "y": np.float64(0.5)})
    assert read_json(tmp_path / "a" / "b.json") == {"x": [0, 1, 2], "y": 0.5}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": NaN}'])
def test_broken_json_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected JSON") as caught:
        read_json(path)
    assert str(path) in str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "absent.json")


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


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "odd")
    with pytest.raises(InputError, match="odd: cannot be read"), open_file(tmp_path / "odd"):
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
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea")


def test_progress_says_a_line_now_and_then(capsys, monkeypatch):
    assert list(progress(range(3), desc="reading")) == [0, 1, 2]
    assert capsys.readouterr().out == "", "too short for a line"
    monkeypatch.setattr("kps.files.PROGRESS_SECONDS", 0.0)
    assert list(progress(iter("ab"), desc="reading", unit="photo")) == ["a", "b"]
    assert list(progress("a", desc="reading", total=5, unit="photo")) == ["a"]
    lines = ["reading: 1 photos, 0 s", "reading: 2 photos, 0 s", "reading: 1 of 5 photos, 0 s"]
    assert capsys.readouterr().out.splitlines() == lines
