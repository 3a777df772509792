"""README and docs: links lead somewhere, commands are those of the program, quoted messages are those of the code."""

import argparse
import json
import re
import shlex
from pathlib import Path

import pytest

from kps.__main__ import build_parser
from kps.workspace import REPOSITORY

RENDERED = sorted(REPOSITORY.glob("docs/notebooks/*.md"))
PAGES = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), REPOSITORY / "kps/weights/README.md"]
NOTEBOOKS = sorted(REPOSITORY.glob("notebooks/*.ipynb"))
ELSEWHERE = ("http://", "https://", "mailto:")


def text_of(page: Path) -> str:
    if page.suffix == ".md":
        return page.read_text()
    cells = json.loads(page.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS, *RENDERED], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if not link.startswith(ELSEWHERE):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_notebook_can_be_seen_without_running():
    assert [page.stem for page in RENDERED] == [notebook.stem for notebook in NOTEBOOKS]
    assert sum(path.stat().st_size for path in RENDERED[0].parent.iterdir()) <= 15e6
    assert all("![png]" in page.read_text() for page in RENDERED)


def commands(page: Path) -> list[str]:
    blocks = re.findall(
        r"```(?:bash)?\n(.*?)```|((?:^    .*\n)+)|`(kps [^`]+)`", page.read_text(), re.DOTALL | re.MULTILINE
    )
    lines = "\n".join("".join(block) for block in blocks).replace("\\\n", " ").splitlines()
    found = [line.strip().split("&& ")[-1] for line in lines]
    return [line.split("  #")[0] for line in found if line.startswith("kps ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_those_of_the_program(page, monkeypatch):
    def refuse(self: argparse.ArgumentParser, message: str) -> None:
        raise AssertionError(f"{self.prog}: {message}")

    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)
    for command in commands(page):
        words = [word for word in shlex.split(command)[1:] if word not in ("...", "…")]
        if "--help" in words:
            continue
        try:
            build_parser().parse_args(words)
        except AssertionError as error:
            if "are required" not in str(error):  # a command may be named in passing
                raise AssertionError(f"{command}: {error}") from None


def test_the_messages_of_the_troubleshooting_page_are_the_codes():
    files = [*REPOSITORY.glob("kps/**/*.py"), *REPOSITORY.glob("scripts/*.sh")]
    code = "".join(path.read_text() for path in files)
    said = re.findall(r"^\| `([^`]+)`", (REPOSITORY / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    assert len(said) > 8
    for message in said:
        if message != "kps: command not found":  # the shell's
            assert message in code, message
