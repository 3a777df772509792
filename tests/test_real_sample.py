"""The same flow on real photos: a few that may not be shipped; skipped where they are absent."""

import subprocess
import sys
from pathlib import Path

import pytest
from builders import REAL_SAMPLE, needs_real_sample

from kps.data.coco import load_coco
from kps.results.submission import validate_submission
from kps.workspace import REPOSITORY, Workspace, load_record, submission_zip

PROFILE = """
configs: {htc: htc_tiny, cascade: cascade_tiny, landmarks: hrnet_tiny}
data: own
parameters:
  09_submission: {run: universal, submission: real}
steps:
  - 01_prepare_data
  - 02_landmark_homogeneity
  - 03_aggregation_mapping
  - 04_train_detector
  - 05_train_landmarks
  - 07_predict_landmarks: {run: universal, model: universal, boxes: htc, flip_test: false}
  - 07_predict_landmarks: {run: universal_gt, model: universal, boxes: ground_truth, splits: [validation]}
  - 09_submission
  - 10_report
"""

pytestmark = [pytest.mark.slow, needs_real_sample]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What a run on the real photos wrote."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "real.yaml").write_text(PROFILE)
    command = [sys.executable, "-m", "kps", "run", "--profile", str(folder / "real.yaml")]
    command += ["--coco-file", str(REAL_SAMPLE / "train_coco.json")]
    command += ["--image-dir", str(REAL_SAMPLE / "image")]
    command += ["--workspace", str(folder / "work"), "-p", f"09.folder={folder / 'submissions'}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_both_models_trained_on_the_real_photos(folder):
    work = Workspace(folder / "work")
    for step in ("04_train_detector_htc", "05_train_landmarks_hand81"):
        record = load_record(work.record(step))
        assert Path(record.outputs["checkpoint"]).exists()
        assert record.inputs["train"]["path"] == str(work.coco("train"))


def test_predictions_are_scored_on_all_labelled_items(folder):
    work = Workspace(folder / "work")
    items = load_coco(work.coco("validation")).instances
    labelled = int((items.num_keypoints > 0).sum())
    assert labelled > 0
    for run in ("universal", "universal_gt"):
        scores = load_record(work.record(f"07_predict_landmarks_{run}")).metrics["validation"]
        assert scores["visible_and_occluded"]["num_items"] == labelled


def test_submission_is_valid(folder):
    work = Workspace(folder / "work")
    summary = validate_submission(submission_zip("real", folder / "submissions"), images=work.coco("test"))
    assert summary.num_rows > 0


def test_photos_stay_where_they_are(folder):
    work = Workspace(folder / "work")
    assert work.image_dir("train").resolve() == (REAL_SAMPLE / "image").resolve()
    assert not list((folder / "work").rglob("*.jpg"))
