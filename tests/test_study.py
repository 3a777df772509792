"""The study of maps: balanced, resumable, and compared in pairs."""

from pathlib import Path

import numpy as np
import pytest
from builders import make_coco
from garment_photos import write_photos

from kps.aggregation import Aggregation
from kps.data.coco import load_coco
from kps.evaluation.scores import mean_shape, mean_shape_predictions
from kps.files import InputError, read_json
from kps.flow.study import StudyRun, aggregation_of, compare_runs, grid, load_study, study_table, train_and_predict
from kps.results.detections import ground_truth_detections
from kps.results.predictions import Predictions
from kps.workspace import Workspace


def test_a_study_that_stops_early_is_still_balanced():
    runs = grid(["identity", "hand81"], [0.1, 0.5], [0, 1])
    assert [run.seed for run in runs] == [0] * 4 + [1] * 4
    assert {(run.aggregation, run.share) for run in runs[:4]} == {
        (name, share) for name in ("identity", "hand81") for share in (0.1, 0.5)
    }


def test_random_maps_have_the_derived_maps_sizes(tmp_path):
    work = Workspace(tmp_path)
    with pytest.raises(InputError, match=r"derived\.json"):
        aggregation_of(work, StudyRun("random", 0.5, 0))
    hand = Aggregation.named("hand81")
    hand.save(work.aggregation("derived"))
    assert aggregation_of(work, StudyRun("derived", 0.5, 0)) == hand
    drawn = [aggregation_of(work, StudyRun("random", 0.5, seed)) for seed in (0, 1)]
    assert drawn[0] != drawn[1]
    assert all(sorted(np.bincount(one.group)) == sorted(np.bincount(hand.group)) for one in drawn)


def test_maps_are_compared_with_the_baseline_seed_by_seed(tmp_path):
    truth = make_coco(tmp_path, (1, 1, 8, 8))
    boxes = ground_truth_detections(truth)
    right = Predictions.on(boxes, truth.instances.keypoints, np.ones(len(boxes)))
    floor = mean_shape_predictions(mean_shape(truth), boxes)
    runs = {StudyRun("hand81", 0.5, seed): floor for seed in (0, 1)}
    runs |= {StudyRun("identity", 0.5, seed): right for seed in (0, 1)}
    runs |= {StudyRun("derived", 0.5, 7): right, StudyRun("identity", 0.1, 0): right}
    gains = compare_runs(truth, runs, samples=10)
    assert list(gains) == [(0.5, "identity")], "others have no partner"
    assert gains[0.5, "identity"].AP.estimate > 0.3
    table = study_table(truth, runs)
    assert table.loc[(0.5, "identity"), ["seed 0", "seed 1", "mean"]].tolist() == pytest.approx([1, 1, 1])


@pytest.mark.slow
def test_a_run_trains_on_its_share_and_is_not_run_twice(tmp_path, monkeypatch):
    coco_file = write_photos(tmp_path / "set", count=8)
    work = Workspace(tmp_path / "work")
    for split in ("train", "validation"):
        work.coco(split).parent.mkdir(parents=True, exist_ok=True)
        work.coco(split).write_bytes(coco_file.read_bytes())
    work.write_data(dict.fromkeys(("train", "validation"), coco_file.parent / "image"), source="test")
    run = StudyRun("hand81", 0.5, 3)
    out = train_and_predict(work, run, config="hrnet_tiny", epochs=1, draws=8)
    share = load_coco(next((work.study / "data").glob("*.json")))
    assert len(share.images) == 4
    assert read_json(out.parent / "config.json")["randomness"]["seed"] == 3
    assert list(load_study(work)) == [run]
    monkeypatch.setattr("kps.models.training.train", None)
    assert train_and_predict(work, run, config="hrnet_tiny", epochs=1, draws=8) == out
    assert isinstance(out, Path)
    with pytest.raises(TypeError):  # it wants to train
        train_and_predict(work, run, config="hrnet_tiny", epochs=2, draws=8)
    file = work.coco("validation")
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(TypeError):
        train_and_predict(work, run, config="hrnet_tiny", epochs=1, draws=8)
