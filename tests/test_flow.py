"""One pass of all ten notebooks on a handful of built-in photos, as a user starts it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kps.data.coco import load_coco
from kps.results.predictions import Predictions
from kps.results.submission import validate_submission
from kps.workspace import REPOSITORY, Workspace, load_records, submission_zip

PHOTOS = ("-p", "01.train_photos=39", "-p", "01.validation_photos=13", "-p", "01.test_photos=3")
STEPS = 41

pytestmark = pytest.mark.slow


def run_tiny(folder: Path) -> str:
    """Run the whole flow; everything it writes goes into `folder`; return what it printed."""
    command = [sys.executable, "-m", "kps", "run", "--profile", "tiny", "--workspace", folder / "work"]
    command += [*PHOTOS, "-p", f"09.folder={folder / 'submissions'}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def flow(tmp_path_factory) -> tuple[Path, str]:
    """A finished run's folder, and what the run printed."""
    folder = tmp_path_factory.mktemp("flow")
    (folder / "started").touch()
    return folder, run_tiny(folder)


@pytest.fixture
def work(flow) -> Workspace:
    return Workspace(flow[0] / "work")


def test_progress_is_seen_and_what_is_to_come_of_it_is_there(flow, work):
    folder, shown = flow
    assert f"{STEPS} of {STEPS} steps done after" in shown
    assert "[04_train_detector_htc] epoch 1/" in shown and "[06_finetune_category_hand81_flip_13] done in" in shown
    summary = validate_submission(submission_zip("tiny", folder / "submissions"), images=work.coco("test"))
    assert summary.num_rows > 0 and not summary.warnings
    assert all(f"Table {number}" in work.report.read_text() for number in (1, 2, 3))


def test_every_step_left_record_and_notebook_and_scores_all_labelled_garments(work):
    records = load_records(work.record("any").parent)
    assert len(records) == STEPS
    labelled = int((load_coco(work.coco("validation")).instances.num_keypoints > 0).sum())
    for step, record in records.items():
        shown = work.executed(step).read_text()
        assert "site-packages" not in shown and "Warning: " not in shown, "a library's warning is of no use to a reader"
        assert record.step == step and record.seconds > 0 and record.parameters["workspace"]
        assert all(Path(path).exists() for path in record.outputs.values())
        if step.startswith("07_predict_landmarks"):
            scores = record.metrics["validation"]["visible_and_occluded"]
            assert scores["num_items"] == labelled and 0 <= scores["AP"] <= 1


def test_finetuned_models_differ_and_the_ensemble_is_their_mean(work):
    runs = ("ensemble", "finetune_plain", "finetune_flip")
    mean, *members = (Predictions.load(work.predictions(run, "test")) for run in runs)
    assert np.array_equal(mean.detection_id, members[0].detection_id)
    expected = (members[0].keypoints + members[1].keypoints) / 2
    np.testing.assert_allclose(mean.keypoints[:, :, :2], expected[:, :, :2], atol=1e-6)
    runs = ("universal_gt", "finetune_plain_gt", "finetune_flip_gt")
    universal, plain, flip = (Predictions.load(work.predictions(run, "validation")).keypoints for run in runs)
    assert not np.allclose(universal, plain) and not np.allclose(plain, flip)


def test_nothing_was_written_elsewhere_and_a_second_run_does_nothing(flow, work):
    started = (flow[0] / "started").stat().st_mtime
    elsewhere = [REPOSITORY / name for name in ("runs/tiny", "submissions/tiny", "notebooks")]
    files = [path for folder in elsewhere for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.stat().st_mtime > started]
    before = {path: path.stat().st_mtime_ns for path in work.record("any").parent.iterdir()}
    assert "started" not in run_tiny(flow[0])
    assert before == {path: path.stat().st_mtime_ns for path in work.record("any").parent.iterdir()}
