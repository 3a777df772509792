"""What a result depends on beside its parameters: the code that makes it, and files from outside."""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kps.files import sha256

PACKAGE = Path(__file__).parent
# They say how files are read and written and where they lie, not what is in them.
HANDLING = ("kps.errors", "kps.files", "kps.identity", "kps.workspace")


def code_sha256(names: Iterable[str], *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Digests, by name, of the package's modules that are named or imported by these, within functions too.

    Tables of kps/data that a module names count as well; comments, docstrings and layout do not.

    Args:
        names: of modules; those of other packages are passed over.
        without: beginnings of names of modules that do not count, nor what only they import.
    """
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path and name not in found and not name.startswith(without):
            found[name], imports = _read(path, path.stat().st_mtime_ns)
            waiting += imports
    return found


def imported_names(tree: ast.AST) -> set[str]:
    """The modules and tables of this package that code names; of `from a import b` a.b if it is a module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {part for part in parts if _file(part)} or {str(node.module)}
        elif isinstance(node, ast.Constant) and str(node.value).endswith((".json", ".yaml")):
            names.add(str(node.value))
    return {name for name in names if _file(name)}


def changed_names(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In words: the first names whose values are others than before."""
    names = [name for name in sorted(now) if before.get(name) != now[name]]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def content_sha256(path: Path, without: Path) -> str:
    """Digest of a file, or of a folder: its names, JSON files, and the other files' sizes and times.

    The photos of a large set would take minutes to read. The folder `without` does not count.
    """
    if path.is_file():
        return sha256(path)
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(path, followlinks=True):
        folders[:] = sorted(name for name in folders if Path(folder, name) != without)
        for file in (os.path.join(folder, name) for name in sorted(files)):
            try:
                status = os.stat(file)
                state = f"{status.st_size} {status.st_mtime_ns}".encode()
                content = Path(file).read_bytes() if file.endswith(".json") else state
            except OSError:  # the step that reads it has more to say
                content = b"unreadable"
            digest.update(os.fsencode(f"{file[len(str(path)) :]}\0{len(content)}\0") + content)
    return digest.hexdigest()


@cache
def _file(name: str) -> Path | None:
    """The file of a module of this package, or of a table of kps/data."""
    if re.fullmatch(r"\w+\.(json|yaml)", name):
        choices = [PACKAGE / "data" / name]
    elif re.fullmatch(r"kps(\.\w+)*", name):
        module = PACKAGE.parent.joinpath(*name.split("."))
        choices = [module.with_suffix(".py"), module / "__init__.py"]
    else:
        return None
    return next((path for path in choices if path.is_file()), None)


@cache
def _read(path: Path, changed: int) -> tuple[str, set[str]]:
    """Digest of a module or table, and what it names; `changed` is the file's time of change."""
    if path.suffix != ".py":
        return sha256(path), set()
    tree = ast.parse(path.read_bytes())
    names = imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(getattr(node, "body", None), list):
            node.body = [line for line in node.body if not _is_text(line)]
    # Versions of Python differ in whether they write empty lists and contexts.
    text = re.sub(r"(, )?\b(\w+=\[\]|ctx=\w+\(\))", "", ast.dump(tree))
    return hashlib.sha256(text.encode()).hexdigest()[:16], names


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)
