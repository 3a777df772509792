"""The table of experiments: every row of the paper, shared steps once, rows that differ as they say."""

from itertools import pairwise

import pytest
from builders import make_raw_folder

from kps.__main__ import main
from kps.files import InputError
from kps.flow.batch import experiment_steps, load_profile, make_plan, shipped
from kps.flow.steps import FINETUNE, LANDMARKS, PREDICT, PREPARE, REPORT, SUBMISSION
from kps.report.tables import DETECTORS, PAPER

EXPERIMENTS, FINETUNING = shipped()["experiments"], shipped()["finetuning"]
# Table 2's columns in the paper's order.
COLUMNS = (
    "cascade_identity",
    "cascade_hand81",
    "universal_no_flip_test",
    "universal",
    "finetune_plain",
    "finetune_flip",
    "universal_gt_no_flip_test",
)


def settings(name: str) -> dict:
    """What Table 2 says of a column, from the table's parameters."""
    given = {"aggregation": "hand81", "flip_test": True, **EXPERIMENTS[name]}
    return {
        "detector": DETECTORS[given["boxes"]],
        "aggregation": given["aggregation"] != "identity",
        "finetune": given["model"].startswith("finetune"),
        "hflip_train": given["model"] == "finetune_flip",
        "hflip_test": given["flip_test"],
    }


@pytest.mark.parametrize(("name", "column"), list(zip(COLUMNS, PAPER["table2"], strict=True)))
def test_every_column_of_table_2_is_an_experiment(name, column):
    assert settings(name) == {key: column[key] for key in settings(name)}


@pytest.mark.parametrize(("one", "next_one"), list(pairwise(COLUMNS[:6])))
def test_neighbours_in_table_2_differ_in_one_thing(one, next_one):
    before, after = settings(one), settings(next_one)
    assert sum(before[key] != after[key] for key in before) == 1


def test_table_1_is_the_mean_of_the_two_finetuned_models():
    assert EXPERIMENTS["ensemble"] == {"runs": ["finetune_plain", "finetune_flip"]}


def test_stages_that_rows_share_are_computed_once():
    steps = experiment_steps(["all"])
    assert len(steps) == len({repr(step) for step in steps})
    universal = [parameters["aggregation"] for notebook, parameters in steps if notebook == LANDMARKS]
    assert sorted(universal) == ["hand81", "identity"]
    finetunings = [parameters for notebook, parameters in steps if notebook == FINETUNE]
    assert len(finetunings) == 13 * len(FINETUNING)
    assert sum(notebook == PREDICT for notebook, _ in steps) == len(EXPERIMENTS) - 1


def test_finetunings_differ_only_in_what_they_name():
    runs = {
        parameters["variant"]: parameters
        for notebook, parameters in experiment_steps(["all"])
        if notebook == FINETUNE and parameters["category_id"] == 3
    }
    for name, changes in FINETUNING.items():
        assert {k: v for k, v in runs[name].items() if runs["plain"].get(k) != v} == {
            **({} if name == "plain" else {"variant": name}),
            **changes,
        }


def test_an_experiment_takes_what_it_needs_and_no_more():
    steps = [notebook for notebook, _ in experiment_steps(["universal_gt"])]
    assert [name[:2] for name in steps] == ["01", "02", "03", "05", "07", "10"]
    last = experiment_steps(["finetune_plain", "universal_gt"])[-2:]
    assert last == [(SUBMISSION, {"run": "finetune_plain"}), (REPORT, {})]


def test_the_whole_table_is_a_plan():
    plan = make_plan(load_profile("tiny", ["all"]), {})
    names = [step.name for step in plan]
    assert len(set(names)) == len(names)
    assert "04_train_detector_cascade" in names and "05_train_landmarks_identity" in names


COCO = {f"{split}_{kind}": f"/{split}" for split in ("train", "validation") for kind in ("file", "images")}


@pytest.mark.parametrize(
    ("given", "submitted"),
    [({}, True), ({"test_photos": 0}, False), ({"data_root": "{}"}, False), ({"data_root": "/none"}, True)]
    + [(COCO, False), (COCO | {"test_file": "/t", "test_images": "/t"}, True)],
)
def test_without_a_test_split_there_is_no_submission(tmp_path, given, submitted):
    make_raw_folder(tmp_path)
    prepare = {name: str(value).format(tmp_path) for name, value in given.items()}
    steps = make_plan(load_profile("tiny"), {PREPARE: prepare, SUBMISSION: {"submission": "mine"}})
    assert [step.name for step in steps if step.notebook == SUBMISSION] == [SUBMISSION] * submitted
    assert steps[-1].notebook == REPORT


def test_an_unknown_experiment_lists_the_known():
    with pytest.raises(InputError, match="no experiment 'best'; there are cascade_identity, "):
        experiment_steps(["best"])


def test_an_executor_that_is_not_installed_is_one_line(tmp_path, capsys):
    command = ["run", "--profile", "tiny", "--workspace", str(tmp_path), "--executor", "nowhere"]
    assert main(command) == 1
    assert "pip install snakemake-executor-plugin-nowhere" in capsys.readouterr().err
