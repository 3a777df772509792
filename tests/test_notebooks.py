"""The ten notebooks as prose: what they ask, read, write and learn, and how they lead to each other."""

import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from kps.flow.steps import AGGREGATION, NOTEBOOKS, read_parameters

FOLDER = Path(__file__).parents[1] / "notebooks"
MAX_CELL_LINES = 20


@pytest.fixture(params=NOTEBOOKS)
def name(request) -> str:
    return request.param


@pytest.fixture
def cells(name) -> list:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells


def test_cells_are_short_and_define_nothing(cells):
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    lines = [[line for line in s.splitlines() if not line.startswith(("import ", "from "))] for s in sources]
    assert max(map(len, lines)) <= MAX_CELL_LINES
    assert not re.search(r"^\s*def ", "\n".join(sources), re.MULTILINE)


def test_parameters_say_why_and_are_used(name, cells):
    parameters = read_parameters(FOLDER / f"{name}.ipynb")
    (cell,) = (cell for cell in cells if "parameters" in cell.metadata.get("tags", []))
    assert all(re.match(r"\w+: [\w\[\]]+ = [^=#]+  # \S+", line) for line in cell.source.splitlines())
    used = "\n".join(other.source for other in cells if other.cell_type == "code" and other is not cell)
    assert all(re.search(rf"\b{parameter}\b", used) for parameter in parameters)


def test_the_opening_says_what_is_asked_read_and_written(name, cells):
    opening = cells[0].source
    assert opening.startswith("# ") and "?**" in opening
    assert all(f"| {word} |" in opening for word in ("Reads", "Writes", "Run time"))
    number = NOTEBOOKS.index(name)
    neighbours = [*NOTEBOOKS[max(number - 1, 0) : number], *NOTEBOOKS[number + 1 : number + 2]]
    assert re.findall(r"\]\((\w+)\.ipynb\)", opening) == neighbours


def test_links_lead_somewhere_and_figures_are_read(cells):
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert all((FOLDER / link).exists() for link in re.findall(r"\]\(([^)]+)\)", text))
    for cell, following in pairwise(cells):
        if cell.cell_type == "code" and cell.source.lstrip().startswith("plots."):  # then a reading, or more of it
            assert following.cell_type == "markdown" and not following.source.startswith("#")


def test_a_notebook_ends_with_its_record_and_what_was_learned(name, cells):
    record, closing = cells[-2:]
    assert re.search(rf'record\(\s*"{name}",\s*globals\(\)', record.source)
    assert all(f"**{words}:**" in " ".join(closing.source.split()) for words in ("What we learned", "What comes next"))


def test_each_map_is_written_by_the_step_of_its_name():
    """So that two steps of one plan, which run side by side, never write one file."""
    cells = nbformat.read(FOLDER / f"{AGGREGATION}.ipynb", as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert re.findall(r"\.save\((.*)\)", code) == ["work.aggregation(name)"]
    assert 'outputs={"aggregation": work.aggregation(name)},' in code
