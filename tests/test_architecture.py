"""The package's shape: imports go downwards, heavy libraries stay in kps/models, notebooks are tidy."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kps.flow.steps import NOTEBOOKS, code_cells, read_parameters
from kps.workspace import REPOSITORY

PACKAGE = REPOSITORY / "kps"
FLOORS = (
    ("files",),
    ("schema", "workspace"),
    ("aggregation", "data"),
    ("synthetic", "likeness", "results"),
    ("evaluation",),
    ("configs", "report", "exported"),
    ("models", "figures"),
    ("predict", "flow"),
    ("__main__",),
)
MAX_LINES, MAX_FILES = 14_910, 96  # what there is; on the way to 10,000 and 80
HEAVY = {"torch", "torchvision", "mmcv", "mmdet", "mmpose"}
MAX_CODE_CELLS, MAX_CODE_LINES = 20, 100


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path, *, at_import_only: bool = False) -> set[str]:
    """Names of the modules that a file imports; `from a import b` counts as a.b where that is a module."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_import_only else ast.walk(tree)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (parts & set(MODULES)) or {node.module}
    return names


def floor(module: str) -> int:
    """The floor of a module's room, which is the first name below kps."""
    room = module.split(".")[1]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def test_the_package_is_small():
    found = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files = [path for path in found if path.suffix != ".pth"]
    assert len(files) <= MAX_FILES
    assert sum(len(path.read_bytes().splitlines()) for path in files) <= MAX_LINES


def test_rooms_and_modules_are_known_by_one_name():
    rooms = [room for rooms in FLOORS for room in rooms]
    assert sorted(rooms) == sorted({name.split(".")[1] for name in MODULES if "." in name})
    names = [name.rsplit(".")[-1] for name in MODULES if "kps.configs." not in name and name.count(".") > 1]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("module", [name for name in MODULES if "." in name])
def test_imports_go_downwards(module):
    room = module.split(".")[1]
    for name in imported(MODULES[module]) & set(MODULES):
        if "." in name and name.split(".")[1] != room:
            assert floor(name) < floor(module), f"{module} imports {name}"


def test_no_module_imports_itself_by_a_detour():
    graph = {name: imported(path, at_import_only=True) & set(MODULES) for name, path in MODULES.items()}
    while ends := [name for name, below in graph.items() if not below & set(graph)]:
        for name in ends:
            del graph[name]
    assert not graph, f"these import each other: {sorted(graph)}"


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("kps.models")])
def test_only_models_import_torch(module):
    assert not {name.split(".")[0] for name in imported(MODULES[module])} & HEAVY


def test_the_command_line_starts_without_numerical_libraries():
    code = "import sys, kps.__main__; kps.__main__.build_parser(); print('numpy' in sys.modules, 'yaml' in sys.modules)"
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert shown.stdout.split() == ["False", "False"]


def test_no_shell_calls_and_no_eval():
    words = re.compile(r"\bos\.system\(|\beval\(|\bexec\(|shell=True")
    guilty = [name for name, path in MODULES.items() if words.search(path.read_text().replace(".eval()", ""))]
    assert not guilty


def test_there_are_ten_notebooks():
    assert sorted(path.stem for path in (REPOSITORY / "notebooks").glob("*.ipynb")) == sorted(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_tidy(name):
    path = REPOSITORY / "notebooks" / f"{name}.ipynb"
    cells = code_cells(path)
    sources = [cell["source"] for cell in cells]
    assert len(cells) <= MAX_CODE_CELLS
    assert sum(bool(line.strip()) for source in sources for line in source.splitlines()) <= MAX_CODE_LINES
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells), "strip the outputs"
    assert not re.search(r"^\s*class ", "\n".join(sources), re.MULTILINE)
    assert json.loads(path.read_text())["cells"][0]["cell_type"] == "markdown"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_parameters_come_first(name):
    path = REPOSITORY / "notebooks" / f"{name}.ipynb"
    tags = [cell["metadata"].get("tags", []) for cell in code_cells(path)]
    tagged = [index for index, of_cell in enumerate(tags) if "parameters" in of_cell]
    assert tagged in ([0], [1]), "the parameters are the first code, but for imports"
    assert list(read_parameters(path))[:1] == ["workspace"]
