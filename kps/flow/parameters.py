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
WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell; `annotation` as written, such as "Optional[int]"."""

    name: str
    annotation: str
    default: Any


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    """The code cells of a notebook file, their sources joined to one string.

    Raises:
        InputError: the file is absent or is no notebook.
    """
    value = read_json(notebook)
    if not isinstance(value, dict) or not isinstance(value.get("cells"), list):
        raise InputError(f"{notebook}: expected a notebook with cells")
    cells = (cell for cell in value["cells"] if cell["cell_type"] == "code")
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """The parameters that a notebook takes, by name, in order.

    Raises:
        InputError: no cell is tagged `parameters`, or a line of it is not `name: type = literal`.
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

    Raises:
        InputError: the notebook does not know a parameter, or a value has another type.
    """
    known = read_parameters(notebook)
    unknown = [name for name in given if name not in known]
    if unknown:
        listing = ", ".join(f"{item.name}: {item.annotation}" for item in known.values())
        raise InputError(f"{notebook.stem} has no parameter {unknown[0]!r}; it has {listing}")
    checked = {}
    for name, value in given.items():
        try:
            checked[name] = convert(value, known[name].annotation)
        except ValueError:
            expected = known[name].annotation
            raise InputError(f"{notebook.stem}: expected {name}: {expected}, but got {value!r}") from None
    return checked


def check_data(parameters: Mapping[str, Any], workspace: Path) -> None:
    """Raise InputError where data of one's own are absent, or the first notebook would write over them.

    Data are its parameters called "..._root", "..._file", "..._dir" and "..._images". Paths are UTF-8, since
    records are.
    """
    work, places = Workspace(workspace), ("_root", "_file", "_dir", "_images")
    data = [REPOSITORY / value for name, value in parameters.items() if name.endswith(places) and value]
    for path in (work.root, *data):
        if readable(str(path)) != str(path):
            raise InputError(f"{path}: expected a path in UTF-8")
        if path in data and not path.exists():
            raise InputError(f"{path}: no such file or folder")
    copies = [place(split) for split in SPLITS for place in (work.coco, work.coco_visible_only)]
    check_outputs([work.root, *copies], data)


def convert(value: Any, annotation: str) -> Any:
    """Read a value, or its text from a command line, as an annotated type.

    Raises:
        ValueError: it is not of that type.
    """
    outer, _, rest = annotation.partition("[")
    inner = rest.removesuffix("]")
    if outer.rpartition(".")[2] == "Optional":
        nothing = value is None or (isinstance(value, str) and value.lower() in ("none", "null"))
        return None if nothing else convert(value, inner)
    if outer in ("list", "List"):
        return _convert_list(value, inner)
    if outer == "dict":
        return _convert_dict(value)
    if annotation == "str" and isinstance(value, str | Path):
        return str(value)
    if annotation == "bool" and isinstance(value, bool):
        return value
    if annotation == "bool" and isinstance(value, str) and value.lower() in WORDS:
        return WORDS[value.lower()]
    if annotation == "int" and isinstance(value, int | str) and not isinstance(value, bool):
        return int(value)
    if annotation == "float" and isinstance(value, int | float | str) and not isinstance(value, bool):
        return float(value)
    raise ValueError(value)


def _convert_dict(value: Any) -> dict[str, Any]:
    """Read a mapping, or its text in YAML or JSON."""
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(value) from None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(value)
    return value


def _convert_list(value: Any, inner: str) -> list[Any]:
    """Read a list, or the text `a, b` or `[a, b]`; `inner` is the items' annotation, or empty for any."""
    if isinstance(value, str):
        text = value.strip()
        try:
            value = yaml.safe_load(text if text.startswith("[") else f"[{text}]")
        except yaml.YAMLError:
            raise ValueError(value) from None
    if not isinstance(value, list | tuple):
        raise ValueError(value)
    return [convert(item, inner) for item in value] if inner else list(value)
