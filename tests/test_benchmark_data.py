"""scripts/benchmark_data.py at a thousandth of its size: the tree, the measures' agreement, the page."""

from pathlib import Path

import numpy as np
import pytest
from builders import make_coco

from kps.convert import convert_split
from kps.schema import NUM_CATEGORIES
from kps.workspace import REPOSITORY


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts can be imported, and draw few photos."""
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # of the measured processes
    import benchmark_tree

    monkeypatch.setattr(benchmark_tree, "POOL_PHOTOS", 24)


def test_a_tree_has_the_counts_of_the_data_set(tmp_path: Path) -> None:
    from benchmark_tree import write_tree

    write_tree(tmp_path, ("train", "test"), share=0.001)
    counts = convert_split(tmp_path / "tree", "train", tmp_path / "train.json", strict=True)
    assert counts.num_images == 192 and counts.num_items == pytest.approx(312, abs=NUM_CATEGORIES)
    assert min(counts.per_category.values()) >= 1 and counts.per_category[1] == 72
    assert convert_split(tmp_path / "tree", "test", tmp_path / "test.json").num_images == 63


def test_results_lie_near_the_items(tmp_path: Path) -> None:
    from benchmark_tree import make_results

    items = make_coco(tmp_path).instances
    results = make_results(items, 130, images=7)
    results.check("results")
    assert np.bincount(results.category_id).tolist() == [0] + [10] * NUM_CATEGORIES
    assert set(results.image_id) == set(range(1, 8))
    near = [
        np.abs(
            results.keypoints[results.category_id == kind, :, :2] - items.keypoints[kind - 1, :, :2]
        ).mean()
        for kind in items.category_id
    ]
    assert 0 < np.mean(near) < 30


def test_a_page_is_written_and_both_ways_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import benchmark_data

    wanted = ["convert", "convert_plainly", "evaluate_tenth", "evaluate_tenth_plainly"]
    options = ["--share", "0.001", "--folder", str(tmp_path / "folder"), "--out", str(tmp_path / "page.md")]
    assert benchmark_data.main([*options, "--only", *wanted]) == 0
    page = (tmp_path / "page.md").read_text()
    assert page.strip() in capsys.readouterr().out and str(tmp_path) not in page
    rows = [
        line.split(" | ") for line in page.splitlines() if line.startswith(("| conversion", "| evaluation"))
    ]
    assert len(rows) == 4 and rows[0][4] == rows[1][4] and rows[2][4] == rows[3][4]
    assert rows[0][4].startswith("32 photos") and rows[0][6] == "yes |"
    assert not list((tmp_path / "folder").iterdir())


def test_what_disagrees_is_named() -> None:
    from benchmark_page import Outcome, disagreements

    found = {
        "read": Outcome([1.0], [1], {"annotations": 3}),
        "read_plainly": Outcome([1.0], [1], {"annotations": 4}),
        "write": Outcome(not_run="needs 3 GB, 1 was free"),
    }
    (line,) = disagreements(found)
    assert "expected {'annotations': 3}, but got {'annotations': 4}" in line


def test_a_measure_that_fails_is_named_in_the_table(tmp_path: Path) -> None:
    import benchmark_data
    from benchmark_page import make_page

    outcome = benchmark_data.Outcome()
    benchmark_data.measure_once("read", benchmark_data.Inputs(tmp_path), outcome)
    assert outcome.not_run == "ended with exit code 1" and not outcome.seconds
    assert "| load_coco | not run |" in make_page({"read": outcome}, "command")
