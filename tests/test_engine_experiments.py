"""The table of experiments and the profiles: every row of the paper, shared steps once, what a step reads from."""

from itertools import pairwise

import pytest
from builders import make_raw_folder

from kps.__main__ import main
from kps.files import InputError
from kps.flow import steps
from kps.flow.run import experiment_steps, load_profile, make_plan, parse_overrides, shipped, steps_to_run
from kps.flow.steps import FINETUNE, LANDMARKS, PREPARE, REPORT, SUBMISSION
from kps.report.tables import DETECTORS, PAPER

EXPERIMENTS, FINETUNING = shipped()["experiments"], shipped()["finetuning"]
# Table 2's columns in the paper's order.
COLUMNS = ["cascade_identity", "cascade_hand81", "universal_no_flip_test", "universal", "finetune_plain"]
COLUMNS += ["finetune_flip", "universal_gt_no_flip_test"]


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


def test_neighbours_in_table_2_differ_in_one_thing_and_table_1_is_a_mean():
    for before, after in pairwise(map(settings, COLUMNS[:6])):
        assert sum(before[key] != after[key] for key in before) == 1
    assert EXPERIMENTS["ensemble"] == {"runs": ["finetune_plain", "finetune_flip"]}


def test_stages_that_rows_share_are_computed_once_and_finetunings_differ_in_what_they_name():
    found = experiment_steps(["all"])
    assert len(found) == len({repr(step) for step in found})
    universal = [parameters["aggregation"] for notebook, parameters in found if notebook == LANDMARKS]
    assert sorted(universal) == ["hand81", "identity"]
    assert sum(notebook == steps.PREDICT for notebook, _ in found) == len(EXPERIMENTS) - 1
    finetunings = [parameters for notebook, parameters in found if notebook == FINETUNE]
    shared = {"aggregation": "hand81", "category_id": 3}
    expected = [shared | {"variant": name} | changes for name, changes in FINETUNING.items()]
    of_one = [parameters for parameters in finetunings if parameters["category_id"] == 3]
    assert of_one == expected and len(finetunings) == 13 * len(expected)


def test_an_experiment_takes_what_it_needs_and_no_more():
    assert [name[:2] for name, _ in experiment_steps(["universal_gt"])] == ["01", "02", "03", "05", "07", "10"]
    last = experiment_steps(["finetune_plain", "universal_gt"])[-2:]
    assert last == [(SUBMISSION, {"run": "finetune_plain"}), (REPORT, {})]


@pytest.mark.parametrize("name", ["demo", "tiny", "paper"])
def test_shipped_profiles_fit_the_notebooks(name):
    profile = load_profile(name)
    data = {PREPARE: {"data_root": "/photos"}} if profile.data == "own" else {}
    plan = [step.name for step in make_plan(profile, data)]
    assert sum(step.startswith(FINETUNE) for step in plan) in (26, 65)


def test_finetuning_chooses_by_photos_that_its_universal_model_has_not_seen():
    assert make_plan(load_profile("tiny"), parse_overrides(["05.held_out=0.2", "06.held_out=0.1"]))
    for texts in (["06.held_out=0.1"], ["05.held_out=0.1", "06.held_out=0.2"]):
        with pytest.raises(InputError, match=r"plain_01: expected held_out to be at most 05's, 0\.\d, but "):
            make_plan(load_profile("tiny"), parse_overrides(texts))


@pytest.mark.parametrize("name", [steps.DETECTOR, LANDMARKS, FINETUNE])
def test_every_training_takes_what_the_advice_on_memory_names(name):
    assert {"options", "processes"} <= set(steps.read_parameters(steps.find_notebook(name)))


def test_the_whole_table_is_a_plan_that_snakemake_takes(tmp_path):
    plan = make_plan(load_profile("tiny", ["all"]), {})
    notebooks = {step.name: step.notebook for step in plan}
    assert {"04_train_detector_cascade", "05_train_landmarks_identity"} < set(notebooks)
    assert [name for name, _ in steps_to_run(plan, workspace=tmp_path / "it's", cores=2)] == list(notebooks)
    sources = {step.name: steps.reads(step.notebook, step.resolved, notebooks) for step in plan}
    assert len(sources["07_predict_landmarks_finetune_flip"]) == 1 + 13
    assert set(sources[REPORT]) == set(notebooks) - {REPORT}
    edges = {(notebooks[source][:2], notebooks[name][:2]) for name in notebooks for source in sources[name]}
    edges -= {(notebook[:2], "10") for notebook in notebooks}
    expected = "01-02 02-03 01-04 01-05 03-05 05-06 01-07 04-07 05-07 06-07 07-08 08-09"
    assert edges == {tuple(pair.split("-")) for pair in expected.split()}


COCO = {f"{split}_{kind}": f"/{split}" for split in ("train", "validation") for kind in ("file", "images")}


@pytest.mark.parametrize(
    ("given", "submitted"),
    [({}, True), ({"test_photos": 0}, False), ({"data_root": "{}"}, False), ({"data_root": "/none"}, True)]
    + [(COCO, False), (COCO | {"test_file": "/t", "test_images": "/t"}, True)],
)
def test_without_a_test_split_there_is_no_submission(tmp_path, given, submitted):
    make_raw_folder(tmp_path)
    prepare = {name: str(value).format(tmp_path) for name, value in given.items()}
    plan = make_plan(load_profile("tiny"), {PREPARE: prepare, SUBMISSION: {"submission": "mine"}})
    assert [step.name for step in plan if step.notebook == SUBMISSION] == [SUBMISSION] * submitted
    assert plan[-1].notebook == REPORT


def test_an_executor_that_is_not_installed_is_one_line(tmp_path, capsys):
    command = ["run", "--profile", "tiny", "--workspace", str(tmp_path), "--executor", "nowhere"]
    assert main(command) == 1
    assert "pip install snakemake-executor-plugin-nowhere" in capsys.readouterr().err
