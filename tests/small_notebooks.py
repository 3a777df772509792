"""Small notebooks that stand for the ten: same names and parameters, but each only writes its record."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from kps.flow import steps

HEAD = "from typing import Optional\nworkspace: str = 'runs/demo'\nconfig: str = 'demo'  # with a = in it\n"
SEED = "seed: int = 0\n"
AGGREGATION = "aggregation: str = 'hand81'\n"
RUN = "run: str = 'ensemble'\n"
SPLITS = "splits: list = ['validation', 'test']\n"
MODEL = "model: str = 'universal'\nboxes: str = 'htc'\n"
PARAMETERS = {
    steps.PREPARE: SEED + "train_photos: int = 5\ndata_root: Optional[str] = None\n"
    "coco_file: Optional[str] = None\nimage_dir: Optional[str] = None\n",
    steps.AGGREGATION: AGGREGATION,
    steps.LANDMARKS: AGGREGATION + SEED + "epochs: Optional[int] = None\n",
    steps.DETECTOR: SEED + "detector: str = 'htc'\nfail: str = ''\npause: int = 0\nprocesses: int = 1\n",
    steps.FINETUNE: AGGREGATION + SEED + "category_id: int = 1\nvariant: str = 'plain'\nlearning_rate: float = 1e-3\n",
    steps.PREDICT: RUN + SPLITS + MODEL + AGGREGATION + "flip_test: bool = True\n",
    steps.ENSEMBLE: RUN + SPLITS + "runs: list = ['universal', 'finetune']\n",
    steps.SUBMISSION: RUN + "submission: str = 'small'\n",
}
FAILURES = """
from kps.files import InputError
if fail == "input":
    raise InputError("photos/7.json: expected 8 landmarks,\\n but got 7")
if fail == "defect":
    raise ZeroDivisionError("one by none")
if fail == "death":
    os.kill(os.getpid(), 9)
for second in range(pause):
    print("second", second, flush=True)
    time.sleep(1)
"""
RECORD = """
from kps.flow.steps import begin
begin()
import os, sys, time
from pathlib import Path
from kps.files import write_json
from kps.workspace import Workspace
%s
record = {"python": sys.executable, "folder": os.getcwd(), "threads": os.environ.get("OMP_NUM_THREADS")}
record |= {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}
record |= {"config": config, "process": os.getpid(), "time": time.time()}
if %r != "no":
    write_json(Workspace(Path(workspace)).record(%s), record)
"""


def write_notebook(path: Path, parameters: str, *cells: str) -> Path:
    """Write a notebook: a cell tagged `parameters`, then the given code cells."""
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    title = nbformat.v4.new_markdown_cell("# A small notebook")
    notebook = nbformat.v4.new_notebook(cells=[title, first, *map(nbformat.v4.new_code_cell, cells)])
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def write_notebooks(folder: Path, *, record: str = "yes") -> Path:
    """Write the ten; `record="no"` leaves the records out."""
    for name in steps.NOTEBOOKS:
        step = f'"{name}" + f"{steps.SUFFIXES.get(name, "")}"'
        code = RECORD % (FAILURES if name == steps.DETECTOR else "", record, step)
        write_notebook(folder / f"{name}.ipynb", HEAD + PARAMETERS.get(name, ""), code)
    return folder


def use_small_notebooks(folder: Path) -> Iterator[Path]:
    """For a fixture: write the ten, and have every process take them for the project's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KPS_NOTEBOOKS", str(write_notebooks(folder)))
        yield folder
