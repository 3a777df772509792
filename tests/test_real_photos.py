"""scripts/real_photos.py: the table, and one line for bad input."""

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location

from kps.workspace import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "real_photos.py"


def test_the_table_has_a_row_a_model():
    spec = spec_from_file_location("real_photos", SCRIPT)
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    accuracy = {
        "mean shape": {"mean_oks": 0.25, "PCK@0.2": 0.5, "PCK@0.05": 0.125, "num_items": 27},
        "universal": {"mean_oks": 0.75, "PCK@0.2": 1.0, "PCK@0.05": 0.5, "num_items": 27},
    }
    lines = script.table(accuracy, num_photos=16).splitlines()
    assert lines[0].startswith("16 photos, 27 garments")
    assert lines[2] == "|  | mean OKS | PCK@0.2 | PCK@0.05 |"
    assert lines[4:] == ["| mean shape | 0.250 | 0.500 | 0.125 |", "| universal | 0.750 | 1.000 | 0.500 |"]


def test_an_absent_file_is_one_line_and_exit_1(tmp_path):
    command = [sys.executable, SCRIPT, "--coco", tmp_path / "no.json", "--images", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.strip().splitlines()[-1].endswith("no.json: no such file")
