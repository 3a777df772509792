"""One pass of all ten notebooks on a handful of built-in photos, as a user starts it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kps.data.coco import load_coco
from kps.files import read_json
from kps.results.predictions import Predictions
from kps.results.submission import validate_submission
from kps.workspace import REPOSITORY, Workspace, load_records, submission_zip

PHOTOS = ("-p", "01.train_photos=39", "-p", "01.validation_photos=13", "-p", "01.test_photos=3")
STEPS = 41

pytestmark = pytest.mark.slow


def run_tiny(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the whole flow; everything it writes goes into `folder`."""
    command = [sys.executable, "-m", "kps", "run", "--profile", "tiny", "--workspace", str(folder / "work")]
    command += [*PHOTOS, "-p", f"09.folder={folder / 'submissions'}", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)


@pytest.fixture(scope="module")
def flow(tmp_path_factory) -> tuple[Path, str]:
    """A finished run's folder, and what the run printed."""
    folder = tmp_path_factory.mktemp("flow")
    (folder / "started").touch()
    done = run_tiny(folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout


def test_progress_is_seen(flow):
    _, shown = flow
    assert f"{STEPS} of {STEPS} steps done after" in shown
    assert "[04_train_detector_htc] epoch 1/" in shown and "[06_finetune_category_hand81_flip_13] done in" in shown


def test_submission_is_valid(flow):
    folder, _ = flow
    work = Workspace(folder / "work")
    summary = validate_submission(submission_zip("tiny", folder / "submissions"), images=work.coco("test"))
    assert summary.num_rows > 0 and not summary.warnings


def test_every_step_left_record_and_notebook(flow):
    work = Workspace(flow[0] / "work")
    records = load_records(work.record("any").parent)
    assert len(records) == STEPS
    for step, record in records.items():
        assert work.executed(step).exists()
        assert record.step == step and record.seconds > 0 and record.parameters["workspace"]
        assert all(Path(path).exists() for path in record.outputs.values())


def test_scores_are_those_of_the_protocol(flow):
    """Every run was scored on as many items as the validation split has."""
    work = Workspace(flow[0] / "work")
    items = load_coco(work.coco("validation")).instances
    labelled = int((items.num_keypoints > 0).sum())
    for record in load_records(work.record("any").parent).values():
        if record.step.startswith("07_predict_landmarks"):
            scores = record.metrics["validation"]["visible_and_occluded"]
            assert scores["num_items"] == labelled and 0 <= scores["AP"] <= 1


def test_ensemble_is_the_mean_of_its_members(flow):
    work = Workspace(flow[0] / "work")
    runs = ("ensemble", "finetune_plain", "finetune_flip")
    mean, *members = (Predictions.load(work.predictions(run, "test")) for run in runs)
    assert np.array_equal(mean.detection_id, members[0].detection_id)
    expected = (members[0].keypoints + members[1].keypoints) / 2
    np.testing.assert_allclose(mean.keypoints[:, :, :2], expected[:, :, :2], atol=1e-6)


def test_finetuned_models_differ_from_the_universal_one(flow):
    work = Workspace(flow[0] / "work")
    universal, plain, flip = (
        Predictions.load(work.predictions(run, "validation")).keypoints
        for run in ("universal_gt", "finetune_plain_gt", "finetune_flip_gt")
    )
    assert not np.allclose(universal, plain) and not np.allclose(plain, flip)


def test_executed_notebooks_hold_no_warnings_of_the_libraries(flow):
    for path in Workspace(flow[0] / "work").executed("any").parent.glob("*.ipynb"):
        text = path.read_text()
        assert not re.findall(r".{0,90}(?:site-packages|Warning: ).{0,90}", text), path


def test_report_has_the_three_tables(flow):
    html = Workspace(flow[0] / "work").report.read_text()
    assert all(f"Table {number}" in html for number in (1, 2, 3))


def test_second_run_does_nothing(flow):
    folder, _ = flow
    records = folder / "work" / "records"
    before = {path: os.stat(path).st_mtime_ns for path in records.iterdir()}
    again = run_tiny(folder)
    assert again.returncode == 0 and "started" not in again.stdout
    assert before == {path: os.stat(path).st_mtime_ns for path in records.iterdir()}


def test_nothing_was_written_elsewhere(flow):
    started = (flow[0] / "started").stat().st_mtime
    elsewhere = [REPOSITORY / name for name in ("runs/tiny", "submissions/tiny", "notebooks")]
    files = [path for folder in elsewhere for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.stat().st_mtime > started]


def test_plan_is_kept_with_the_artifacts(flow):
    plan = read_json(flow[0] / "work" / "plan.json")
    assert len(plan["steps"]) == STEPS
    assert "train_photos 39" in plan["steps"]["01_prepare_data"]["words"]
