"""scripts/real_photos.py: found garments are counted once, intervals hold the value, and bad input is one line."""

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
from builders import make_coco, make_detections, make_predictions

from kps.results.predictions import Predictions
from kps.workspace import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "real_photos.py"
spec = spec_from_file_location("real_photos", SCRIPT)
script = module_from_spec(spec)
spec.loader.exec_module(script)


def test_a_garment_is_found_once_by_its_best_box(tmp_path):
    coco = make_coco(tmp_path, (1, 2, 8))  # a photo each, with one box
    boxes, kinds = coco.instances.bbox_xywh[[0, 0, 1, 2]], np.array([2, 1, 2, 8])
    boxes[3, 0] += boxes[3, 2]  # beside its garment
    found = make_detections(
        4, bbox_xywh=boxes, image_id=np.array([1, 1, 2, 3]), category_id=kinds, score=np.array([0.9, 0.8, 0.7, 0.6])
    )
    predictions = Predictions.on(found, make_predictions(4, category_id=kinds).keypoints, found.score)
    values = [row[0] for row in script.found_rows(coco, predictions).values()]
    np.testing.assert_allclose(values, [2 / 3, 1 / 3, 2 / 4])


def test_the_interval_is_over_photos():
    value, low, high = script.with_interval(lambda rows: rows.mean(), np.repeat(np.arange(30), 2))
    assert value == 29.5 and low < value < high
    assert script.with_interval(lambda rows: 1.0, np.zeros(3)) == (1.0, 1.0, 1.0)


def test_an_absent_file_is_one_line_and_exit_1(tmp_path):
    command = [sys.executable, SCRIPT, "--coco", tmp_path / "no.json", "--images", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.strip().splitlines()[-1].endswith("no.json: no such file")
