"""scripts/bench.py at a thousandth of its size: whole commands beside their peers, and one comparison of models."""

import subprocess
import sys

import pytest

from kps.files import read_json
from kps.workspace import REPOSITORY


def test_rows_compare_with_a_peer(tmp_path):
    names = ["scores, landmarks", "validating the submission"]
    options = ["--only", *names, "--scale", "0.001", "--repeats", "1", "--json", tmp_path / "rows.json"]
    command = [sys.executable, REPOSITORY / "scripts" / "bench.py", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = read_json(tmp_path / "rows.json")
    assert {row["name"] for row in rows} == {f"{name} ({unit})" for name in names for unit in ("s", "GB")}
    peers = {"hotcoco", "faster_coco_eval", "pycocotools", "json.load"}
    assert {row["peer_name"].removesuffix(": not run") for row in rows} == peers
    for row in rows:
        assert row["ours"] > 0 and row["unit"] in ("s", "GB")
        if row["peer"] is None:
            assert row["peer_name"].endswith(": not run") and row["ratio"] is row["spread"] is None
        else:
            assert row["ratio"] == pytest.approx(row["peer"] / row["ours"]) and row["spread"] == 0
    assert all(f"| {row['name']} |" in done.stdout for row in rows)
