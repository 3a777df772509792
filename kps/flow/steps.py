"""The notebooks as steps: their parameters, what a step is called and reads, how it begins and ends, its GPUs.

A notebook's parameters stand in the cell tagged `parameters`, one `name: type = literal` a line.
"""

import ast
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from kps.files import InputError, read_json, readable
from kps.flow.locks import die_with_parent
from kps.workspace import GROUND_TRUTH, REPOSITORY, SPLITS, Workspace, check_outputs, write_record

NOTEBOOKS = (
    "01_prepare_data", "02_landmark_homogeneity", "03_aggregation_mapping", "04_train_detector", "05_train_landmarks",
    "06_finetune_category", "07_predict_landmarks", "08_ensemble", "09_submission", "10_report",
    "11_beyond",
)  # fmt: skip
PREPARE, HOMOGENEITY, AGGREGATION, DETECTOR, LANDMARKS, FINETUNE, PREDICT, ENSEMBLE, SUBMISSION, REPORT, BEYOND = (
    NOTEBOOKS
)
ON_GPU = frozenset({DETECTOR, LANDMARKS, FINETUNE, PREDICT})
# Modules, by the beginnings of their names, of which nothing enters a step's result: they show results (which
# is the report's own), or belong to the other model.
SHOWN = ("kps.figures", "kps.report")
TABLES = ("kps.figures", "kps.report.page", "kps.report.tables")
NOT_RUN = dict.fromkeys(NOTEBOOKS[:-2], SHOWN) | {
    AGGREGATION: (*SHOWN, "kps.models"),
    DETECTOR: (*SHOWN, "kps.models.landmark"),
    **dict.fromkeys((LANDMARKS, FINETUNE), (*SHOWN, "kps.models.detector")),
    PREDICT: (*TABLES, "kps.models.detector"),
    ENSEMBLE: TABLES,
    BEYOND: ("kps.models.detector",),
}
OUTPUTS = ("workspace", "folder")  # parameters that say where to write; other paths are inputs
PLACES = ("_root", "_file", "_dir", "_images")  # ends of the parameters that name data of one's own
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


def record(notebook: str, names: Mapping[str, Any], **results: Mapping[str, Any]) -> None:
    """Write the record of a notebook's run, its last act.

    `names` are the notebook's variables (`globals()`), `started` and its parameters among them; `results` its inputs
    (None and addresses are none), outputs and metrics (see `kps.workspace.write_record`).
    """
    results["inputs"] = {key: file for key, file in results["inputs"].items() if file and "://" not in str(file)}
    parameters = {name: names[name] for name in read_parameters(find_notebook(notebook))}
    step, seconds = step_name(notebook, parameters), time.monotonic() - names["started"]
    path = Workspace(parameters["workspace"]).record(step)
    write_record(path, step=step, parameters=parameters, seconds=seconds, **results)


def find_notebook(name: str) -> Path:
    """The file of a notebook, of the project's or of the folder that KPS_NOTEBOOKS names; InputError: none there."""
    folder = Path(os.environ.get("KPS_NOTEBOOKS") or REPOSITORY / "notebooks")
    path, names = folder / f"{name}.ipynb", sorted(file.stem for file in folder.glob("*.ipynb"))
    if not names:
        raise InputError(f"{folder}: no notebooks there; install kps from a clone with `pip install -e .`")
    if not path.is_file():
        raise InputError(f"no notebook {name!r}; there are {', '.join(names)}")
    return path


def step_name(notebook: str, parameters: Mapping[str, Any]) -> str:
    """The id of a step, which names its record and its notebook: "06_finetune_category_hand81_plain_03"."""
    if "aggregation" in parameters:  # a name, or a file
        parameters = {**parameters, "aggregation": Path(parameters["aggregation"]).stem}
    return notebook + SUFFIXES.get(notebook, "").format(**parameters)


def reads(notebook: str, given: Mapping[str, Any], plan: Collection[str]) -> list[str]:
    """The steps whose records a step reads; `given` are all its parameters, `plan` the names of the plan's steps."""
    groups = Path(given.get("aggregation", "")).stem
    universal = f"{LANDMARKS}_{groups}"
    if notebook == PREDICT:
        boxes = PREPARE if given["boxes"] == GROUND_TRUTH else f"{DETECTOR}_{given['boxes']}"
        start = f"{FINETUNE}_{groups}_{given['model'].removeprefix('finetune_')}_"
        finetuned = [step for step in plan if step.startswith(start)] or [f"{start}NN"]
        return [boxes, *([universal] if given["model"] == "universal" else finetuned)]
    if notebook in (ENSEMBLE, SUBMISSION):
        runs = given["runs"] if notebook == ENSEMBLE else [given["run"]]
        ensembles = {run: f"{ENSEMBLE}_{run}" for run in runs}
        return [name if name in plan else f"{PREDICT}_{run}" for run, name in ensembles.items()]
    if notebook in (REPORT, BEYOND):
        return [step for step in plan if step not in (REPORT, BEYOND)]
    return {
        PREPARE: [],
        HOMOGENEITY: [PREPARE],
        AGGREGATION: [HOMOGENEITY],
        DETECTOR: [PREPARE],
        LANDMARKS: [PREPARE, f"{AGGREGATION}_{groups}"],
        FINETUNE: [universal],
    }[notebook]


def gpus_wanted(notebook: str, parameters: Mapping[str, Any]) -> int:
    """How many GPUs a step holds, where there are any: one a process (InputError: below 1)."""
    processes = parameters.get("processes", 1)
    if processes < 1:
        step = step_name(notebook, parameters)
        raise InputError(f"{step}: expected processes to be at least 1, but got {processes}")
    return processes if notebook in ON_GPU else 0


class Parameter(NamedTuple):
    """A line of the parameters cell; `annotation` as written, such as "Optional[int]"."""

    annotation: str
    default: Any


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    """The code cells of a notebook file, sources joined to one string; InputError where it is none."""
    value = read_json(notebook)
    if not isinstance(value, dict) or not isinstance(value.get("cells"), list):
        raise InputError(f"{notebook}: expected a notebook with cells")
    cells = (cell for cell in value["cells"] if cell["cell_type"] == "code")
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """The parameters that a notebook takes, by name, in order.

    InputError where no cell is tagged `parameters`, or a line of it is not `name: type = literal`.
    """
    tagged = [cell for cell in code_cells(notebook) if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if not tagged:
        raise InputError(f"{notebook}: expected a code cell tagged 'parameters', but there is none")
    found = {}
    for line in ast.parse(tagged[0]["source"]).body:
        if isinstance(line, ast.Import | ast.ImportFrom):
            continue
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.value is None:
            raise InputError(f"{notebook}: expected `name: type = literal`, but got `{ast.unparse(line)}`")
        found[line.target.id] = Parameter(ast.unparse(line.annotation), ast.literal_eval(line.value))
    return found


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given parameters as the types that the notebook states; strings are read as those types.

    InputError where the notebook does not know a parameter, or a value has another type.
    """
    known, checked = read_parameters(notebook), {}
    for name, value in given.items():
        if name not in known:
            listing = ", ".join(f"{name}: {item.annotation}" for name, item in known.items())
            raise InputError(f"{notebook.stem} has no parameter {name!r}; it has {listing}")
        expected = known[name].annotation
        try:
            checked[name] = convert(value, expected)
        except (ValueError, yaml.YAMLError):
            raise InputError(f"{notebook.stem}: expected {name}: {expected}, but got {value!r}") from None
    return checked


def check_data(parameters: Mapping[str, Any], workspace: Path) -> None:
    """Raise InputError where data of one's own are absent, or the first notebook would write over them.

    Data are its parameters whose names end as PLACES. Paths are UTF-8, since records are.
    """
    work = Workspace(workspace)
    data = [REPOSITORY / value for name, value in parameters.items() if name.endswith(PLACES) and value]
    for path in (work.root, *data):
        if readable(str(path)) != str(path):
            raise InputError(f"{path}: expected a path in UTF-8")
        if path in data and not path.exists():
            raise InputError(f"{path}: no such file or folder")
    copies = [place(split) for split in SPLITS for place in (work.coco, work.coco_visible_only)]
    check_outputs([work.root, *copies], data)


def convert(value: Any, annotation: str) -> Any:
    """Read a value, or its text from a command line (YAML), as an annotated type; else ValueError or YAMLError."""
    outer, _, rest = annotation.partition("[")
    inner, is_text = rest.removesuffix("]"), isinstance(value, str)
    if outer.rpartition(".")[2] == "Optional":
        return None if value is None or (is_text and value.lower() in ("none", "null")) else convert(value, inner)
    if annotation == "str" and isinstance(value, str | Path):
        return str(value)
    number = {"int": int, "float": float}.get(annotation)
    if number and isinstance(value, number | int | str) and not isinstance(value, bool):
        return number(value)
    if outer in ("list", "List"):
        value = yaml.safe_load(value if value.strip().startswith("[") else f"[{value}]") if is_text else value
        if isinstance(value, list | tuple):
            return [convert(item, inner) for item in value] if inner else list(value)
    if outer in ("dict", "bool"):
        value = yaml.safe_load(value) if is_text and value.lower() not in ("yes", "no", "on", "off") else value
        is_right = isinstance(value, bool if outer == "bool" else dict)
        if is_right and (outer == "bool" or all(isinstance(key, str) for key in value)):
            return value
    raise ValueError(value)
