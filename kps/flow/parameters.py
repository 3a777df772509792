"""A notebook's parameters: the cell tagged `parameters`, one `name: type = literal` a line."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kps.files import InputError, read_json, readable
from kps.workspace import REPOSITORY, SPLITS, Workspace, check_outputs

TAG = "parameters"
PLACES = ("_root", "_file", "_dir", "_images")  # ends of the parameters that name data of one's own


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell; `annotation` as written, such as "Optional[int]"."""

    name: str
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
    tagged = [cell for cell in code_cells(notebook) if TAG in cell.get("metadata", {}).get("tags", [])]
    if not tagged:
        raise InputError(f"{notebook}: expected a code cell tagged {TAG!r}, but there is none")
    found = {}
    for line in ast.parse(tagged[0]["source"]).body:
        if isinstance(line, ast.Import | ast.ImportFrom):
            continue
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.value is None:
            raise InputError(f"{notebook}: expected `name: type = literal`, but got `{ast.unparse(line)}`")
        name = line.target.id
        found[name] = Parameter(name, ast.unparse(line.annotation), ast.literal_eval(line.value))
    return found


def check_parameters(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given parameters as the types that the notebook states; strings are read as those types.

    InputError where the notebook does not know a parameter, or a value has another type.
    """
    known, checked = read_parameters(notebook), {}
    for name, value in given.items():
        if name not in known:
            listing = ", ".join(f"{item.name}: {item.annotation}" for item in known.values())
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
