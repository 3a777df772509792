"""The ten notebooks as steps of the flow: what a step is called, which steps it reads from, what it takes."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kps.files import InputError
from kps.flow.parameters import read_parameters
from kps.workspace import GROUND_TRUTH, REPOSITORY, Workspace, write_record

NOTEBOOK_FOLDER = REPOSITORY / "notebooks"

PREPARE = "01_prepare_data"
HOMOGENEITY = "02_landmark_homogeneity"
AGGREGATION = "03_aggregation_mapping"
DETECTOR = "04_train_detector"
LANDMARKS = "05_train_landmarks"
FINETUNE = "06_finetune_category"
PREDICT = "07_predict_landmarks"
ENSEMBLE = "08_ensemble"
SUBMISSION = "09_submission"
REPORT = "10_report"

NOTEBOOKS = (
    PREPARE, HOMOGENEITY, AGGREGATION, DETECTOR, LANDMARKS, FINETUNE, PREDICT, ENSEMBLE, SUBMISSION, REPORT,
)  # fmt: skip
ON_GPU = frozenset({DETECTOR, LANDMARKS, FINETUNE, PREDICT})
# Modules, by the beginnings of their names, of which nothing enters a step's result: they show results (which
# is the report's own), or belong to the other model.
SHOWN = ("kps.figures", "kps.report")
TABLES = ("kps.figures", "kps.report.tables", "kps.report.page", "kps.report.tables")  # all but report.scores
NOT_RUN = dict.fromkeys(NOTEBOOKS[:-1], SHOWN) | {
    AGGREGATION: (*SHOWN, "kps.models"),
    DETECTOR: (*SHOWN, "kps.models.landmark"),
    **dict.fromkeys((LANDMARKS, FINETUNE), (*SHOWN, "kps.models.detector")),
    PREDICT: (*TABLES, "kps.models.detector"),
    ENSEMBLE: TABLES,
}
OUTPUTS = ("workspace", "folder")  # parameters that say where to write; other paths are inputs
SUFFIXES = {
    AGGREGATION: "_{aggregation}",
    DETECTOR: "_{detector}",
    LANDMARKS: "_{aggregation}",
    FINETUNE: "_{aggregation}_{variant}_{category_id:02d}",
    PREDICT: "_{run}",
    ENSEMBLE: "_{run}",
}


def begin() -> float:
    """Start a notebook in the repository's root, from which relative paths count; return the time."""
    os.chdir(REPOSITORY)
    return time.monotonic()


def record(
    notebook: str,
    names: Mapping[str, Any],
    *,
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path],
    metrics: Mapping[str, Any],
) -> None:
    """Write the record of a notebook's run, its last act; the parameters are those that its parameters cell names.

    Args:
        notebook: its name.
        names: the notebook's variables (`globals()`), `started` among them.
        inputs, outputs, metrics: see `kps.workspace.write_record`.
    """
    parameters = {name: names[name] for name in read_parameters(NOTEBOOK_FOLDER / f"{notebook}.ipynb")}
    step, work = step_name(notebook, parameters), Workspace(Path(parameters["workspace"]))
    paths = {"inputs": inputs, "outputs": outputs, "metrics": metrics}
    write_record(
        work.record(step), step=step, parameters=parameters, **paths, seconds=time.monotonic() - names["started"]
    )


def step_name(notebook: str, parameters: Mapping[str, Any]) -> str:
    """The id of a step, which names its record and its notebook: "06_finetune_category_hand81_plain_03"."""
    return notebook + SUFFIXES.get(notebook, "").format(**_short(parameters))


def gpus_wanted(notebook: str, parameters: Mapping[str, Any]) -> int:
    """How many GPUs a step holds, where there are any: one a process (InputError: below 1)."""
    processes = parameters.get("processes", 1)
    if processes < 1:
        step = step_name(notebook, parameters)
        raise InputError(f"{step}: expected processes to be at least 1, but got {processes}")
    return processes if notebook in ON_GPU else 0


def _short(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters with an aggregation's name where they have its file."""
    if "aggregation" not in parameters:
        return parameters
    return {**parameters, "aggregation": Path(parameters["aggregation"]).stem}


def needs(notebook: str, parameters: Mapping[str, Any], steps: Iterable[str]) -> list[str]:
    """The steps, out of those of the plan, whose results a step reads.

    Args:
        notebook: one of NOTEBOOKS.
        parameters: all parameters of the step, defaults included.
        steps: the ids of all steps of the plan.

    Raises:
        InputError: the plan lacks a step that this one needs.
    """
    plan = list(steps)
    wanted = [name for name in _wanted(notebook, parameters, plan) if name != step_name(notebook, parameters)]
    for name in wanted:
        if name not in plan:
            step = step_name(notebook, parameters)
            raise InputError(f"step {step} needs {name}, which the profile does not have")
    return wanted


def _wanted(notebook: str, parameters: Mapping[str, Any], plan: list[str]) -> list[str]:
    if notebook == ENSEMBLE:
        return [_producer(run, plan) for run in parameters["runs"]]
    if notebook == SUBMISSION:
        return [_producer(parameters["run"], plan)]
    if notebook == REPORT:
        return plan
    if notebook == PREDICT:
        on_truth = parameters["boxes"] == GROUND_TRUTH
        boxes = PREPARE if on_truth else step_name(DETECTOR, {"detector": parameters["boxes"]})
        return [boxes, *_models(parameters, plan)]
    if notebook == LANDMARKS:
        return [PREPARE, step_name(AGGREGATION, parameters)]
    if notebook == FINETUNE:
        return [step_name(LANDMARKS, parameters)]
    return {HOMOGENEITY: [PREPARE], AGGREGATION: [HOMOGENEITY], DETECTOR: [PREPARE]}.get(notebook, [])


def _models(parameters: Mapping[str, Any], plan: list[str]) -> list[str]:
    """The training steps of a landmark model: the universal one, or all of the plan's finetunings of it."""
    model = parameters["model"]
    if model == "universal":
        return [step_name(LANDMARKS, parameters)]
    variant = model.removeprefix("finetune_")
    beginning = f"{FINETUNE}_{_short(parameters)['aggregation']}_{variant}_"
    return [name for name in plan if name.startswith(beginning)] or [f"{beginning}*"]


def _producer(run: str, plan: list[str]) -> str:
    """The step that writes the predictions of a run."""
    ensemble = step_name(ENSEMBLE, {"run": run})
    return ensemble if ensemble in plan else step_name(PREDICT, {"run": run})
