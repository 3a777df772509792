"""Broken input gives one clear line that names file and item, exit code 1, and no output at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from broken_archives import archives, zips
from broken_inputs import Command
from broken_lists import box_files, coco_files, result_files
from broken_raw import convert, layouts, photos, raw_files, raw_items, sound_raw

from kps.__main__ import main

pytestmark = pytest.mark.filterwarnings("error")  # a warning would be a second line

UNTOUCHED = "what an earlier run wrote"
TABLES = (raw_files, raw_items, photos, layouts, coco_files, result_files, box_files, archives, zips)
CASES = [pytest.param(make, says, id=f"{table.__name__}: {name}") for table in TABLES for name, make, *says in table()]


def refused(command: Command, capfd: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail as a user should see it fail; return its one line."""
    code = main([str(word) for word in command])
    out, err = capfd.readouterr()
    assert code == 1
    assert out == ""
    assert err.startswith("kps: ") and err.endswith("\n") and err.count("\n") == 1
    assert len(err) < 1000
    return err


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize(("make", "says"), CASES)
def test_broken_input_gets_one_clear_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Callable[[Path], Command], says: list[str]
) -> None:
    command = make(tmp_path)
    before = files_in(tmp_path)
    line = refused(command, capfd)
    for part in says:
        assert part in line
    assert files_in(tmp_path) == before, "no output, no temporary file"
    (tmp_path / "out").write_text(UNTOUCHED)
    assert refused(command, capfd) == line
    assert (tmp_path / "out").read_text() == UNTOUCHED
    assert files_in(tmp_path) == sorted([*before, tmp_path / "out"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
@pytest.mark.parametrize("name", ["raw", "raw/train/annos", "raw/train/annos/000002.json"])
def test_what_may_not_be_read_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    sound_raw(tmp_path)
    (tmp_path / name).chmod(0)
    try:
        assert str(tmp_path / name) in refused(convert(tmp_path), capfd)
    finally:
        (tmp_path / name).chmod(0o755)
