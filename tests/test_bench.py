"""scripts/bench.py at a thousandth of its size: the measures' agreement, the page, what fails."""

from pathlib import Path
from types import ModuleType

import pytest

from kps.workspace import REPOSITORY


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    monkeypatch.chdir(tmp_path)
    import bench

    return bench


def test_a_page_is_written_and_both_ways_agree(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    only = ["convert", "evaluate", "write", "doctor", "homogeneity"]
    assert bench.main(["--scale", "0.001", "--out", "page.md", "--only", *only]) == 0
    page = Path("page.md").read_text()
    assert page.strip() in capsys.readouterr().out
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")][2:]
    assert [row[4].split(",")[0] for row in rows] == (
        ["32 photos"] * 2 + ["500 results"] + ["50 results"] * 2 + ["500 rows"] * 2
        + ["95 photos", "321 annotations"]
    )  # fmt: skip
    assert rows[0][4] == "32 photos, 54 items" and rows[0][6] == "yes |"


def test_what_fails_or_disagrees_is_named(
    bench: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = bench.measure_row(bench.MEASURES[2])  # nothing was prepared
    assert absent[2] == "not run" and absent[4].startswith("InputError: validation.json: ")
    found = iter(["3 items", "4 items"])
    monkeypatch.setattr(bench, "prepare", lambda scale: None)
    monkeypatch.setattr(bench, "measure_row", lambda row: [row.what, row.how, "1", "1", next(found), "", ""])
    assert bench.main(["--only", "convert"]) == 1
    assert "json, PIL, one process: expected 3 items, but got 4 items" in capsys.readouterr().err
