"""What each step of the paper moved: neighbours of Table 2, paired on the same photos."""

from itertools import pairwise

import numpy as np
import pytest
from builders import make_coco

from kps.evaluation.scores import mean_shape, mean_shape_predictions
from kps.files import InputError, read_json, write_json
from kps.flow.run import shipped
from kps.report import STEPS, measure_steps, steps_table
from kps.results.detections import ground_truth_detections
from kps.results.predictions import Predictions
from kps.workspace import Workspace


def test_steps_are_neighbours_among_the_experiments():
    assert {run for step in STEPS for run in (step.without, step.with_)} <= set(shipped()["experiments"])
    assert all(a.with_ == b.without for a, b in pairwise(STEPS))
    assert sum(step.paper for step in STEPS) == pytest.approx(0.615 - 0.556)


def test_a_step_that_was_not_run_says_so_and_a_gain_goes_up(tmp_path):
    truth, work = make_coco(tmp_path, (1, 1, 8, 8)), Workspace(tmp_path / "work")
    boxes = ground_truth_detections(truth)
    right = Predictions.on(boxes, truth.instances.keypoints, np.ones(len(boxes)))
    mean_shape_predictions(mean_shape(truth), boxes).save(work.predictions("universal", "validation"))
    right.save(work.predictions("finetune_plain", "validation"))
    gains = measure_steps([work], truth, samples=20)
    table = steps_table(gains)
    assert list(gains) == ["finetuning"] and table.loc["finetuning", "direction here"] == "up"
    assert table.loc["finetuning", "AP_kps, paper"] == "+0.028"
    assert (table.drop(index="finetuning")["AP_kps, ours"] == "not run").all()


def test_seeds_widen_the_interval_and_other_photos_are_refused(tmp_path):
    truth, works = make_coco(tmp_path, (1, 8) * 4), [Workspace(tmp_path / seed) for seed in "ab"]
    boxes = ground_truth_detections(truth)
    right = Predictions.on(boxes, truth.instances.keypoints, np.ones(len(boxes)))
    for work, off in zip(works, (400, 0), strict=True):
        write_json(work.coco("validation"), read_json(truth.path))
        right.save(work.predictions("universal", "validation"))
        moved = right.keypoints + [off, 0, 0]
        Predictions.on(boxes, moved, np.ones(len(boxes))).save(work.predictions("finetune_plain", "validation"))
    one, both = (measure_steps(some, truth, samples=20)["finetuning"].AP for some in (works[:1], works))
    assert one.estimate == -1 and both.estimate == pytest.approx(-0.5)
    assert both.high - both.low > one.high - one.low == 0
    write_json(works[1].coco("validation"), {})
    with pytest.raises(InputError, match=f"{works[1].root}.*expected the photos of {works[0].root}"):
        measure_steps(works, truth)
