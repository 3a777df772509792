"""The ten notebooks as steps: what a step is called, how it begins and ends, and how many GPUs it holds.

Which step reads from which stands in scripts/Snakefile.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kps.files import InputError
from kps.flow.locks import die_with_parent
from kps.flow.parameters import read_parameters
from kps.workspace import REPOSITORY, Workspace, write_record

NOTEBOOK_FOLDER = REPOSITORY / "notebooks"
NOTEBOOKS = (
    "01_prepare_data", "02_landmark_homogeneity", "03_aggregation_mapping", "04_train_detector", "05_train_landmarks",
    "06_finetune_category", "07_predict_landmarks", "08_ensemble", "09_submission", "10_report",
)  # fmt: skip
PREPARE, HOMOGENEITY, AGGREGATION, DETECTOR, LANDMARKS, FINETUNE, PREDICT, ENSEMBLE, SUBMISSION, REPORT = NOTEBOOKS
ON_GPU = frozenset({DETECTOR, LANDMARKS, FINETUNE, PREDICT})
# Modules, by the beginnings of their names, of which nothing enters a step's result: they show results (which
# is the report's own), or belong to the other model.
SHOWN = ("kps.figures", "kps.report")
TABLES = ("kps.figures", "kps.report.page", "kps.report.tables")
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
PARENT = "KPS_PARENT"  # in a step's kernel: the process that it ends with


def begin() -> float:
    """Start a notebook in the repository's root, from which relative paths count; return the time."""
    os.chdir(REPOSITORY)
    if parent := os.environ.pop(PARENT, ""):
        die_with_parent(int(parent))
        os.register_at_fork(after_in_child=die_with_parent)  # loader processes would outlive a killed kernel
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
    if "aggregation" in parameters:  # a name, or a file
        parameters = {**parameters, "aggregation": Path(parameters["aggregation"]).stem}
    return notebook + SUFFIXES.get(notebook, "").format(**parameters)


def gpus_wanted(notebook: str, parameters: Mapping[str, Any]) -> int:
    """How many GPUs a step holds, where there are any: one a process (InputError: below 1)."""
    processes = parameters.get("processes", 1)
    if processes < 1:
        step = step_name(notebook, parameters)
        raise InputError(f"{step}: expected processes to be at least 1, but got {processes}")
    return processes if notebook in ON_GPU else 0
