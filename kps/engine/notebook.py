"""One notebook as one step: typed parameters, an executed copy to read, a done marker written last."""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, TextIO

from kps.engine.kernel import kernel_manager
from kps.engine.parameters import check_data, check_parameters, code_cells, read_parameters
from kps.engine.processes import FileLock, free_gpu
from kps.engine.steps import ON_GPU, PREPARE, step_name
from kps.errors import InputError
from kps.files import read_json, write_json
from kps.workspace import REPOSITORY, Workspace

NOTEBOOK_FOLDER = REPOSITORY / "notebooks"
ORPHAN_SECONDS = 15.0  # how long a killed run's kernel and its loader processes may take to end
START_SECONDS = 180.0  # a kernel's start on a busy machine
SOCKET_PATH_LENGTH = 60  # of the temporary folder, so that Unix sockets in it stay below their limit of 108
MESSAGE_LENGTH = 400  # characters of an exception's text that fit one line


def run_notebook(
    name: str,
    parameters: Mapping[str, Any],
    *,
    workspace: Path,
    threads: int | None = None,
    folder: Path = NOTEBOOK_FOLDER,
) -> Path:
    """Run one notebook with parameters, unless it is done with these already.

    The notebook runs in the repository root with this Python; what it prints appears with the step's name
    before each line. Its last act has to be its record. A step that was killed runs again.

    Args:
        name: the notebook's name without suffix, such as "06_finetune_category".
        parameters: values, or their texts, by name; the rest keep the notebook's defaults.
        workspace: the work folder, passed on as the parameter of that name.
        threads: of the numerical libraries; None leaves them their default.
        folder: where the notebooks lie.

    Returns:
        The executed copy.

    Raises:
        InputError: an unknown notebook or parameter, a step that runs elsewhere, or a notebook that failed.
    """
    notebook = find_notebook(name, folder)
    work = Workspace(Path(workspace).resolve())
    given = check_parameters(notebook, {**parameters, "workspace": str(work.root)})
    state = {"parameters": _resolved(notebook, given), "notebook_sha256": source_hash(notebook)}
    step = step_name(name, state["parameters"])
    executed, record = work.executed(step), work.record(step)
    marker = step_file(work, step, ".json")
    lock = FileLock(step_file(work, step, ".lock"))
    if not lock.acquire(wait_seconds=ORPHAN_SECONDS):
        raise InputError(f"{step} is being run by another process in {work.root}")
    try:
        if is_done(marker, state) and record.exists() and executed.exists():
            print(f"[{step}] done before, nothing to do", flush=True)
            return executed
        check_data(given if name == PREPARE else {}, work.root)
        marker.unlink(missing_ok=True)
        record.unlink(missing_ok=True)
        started = time.monotonic()
        print(f"[{step}] started", flush=True)
        _execute(notebook, executed, given, step=step, lock=lock, threads=threads)
        if not record.exists():
            raise InputError(f"{step} ended without its record {record}; open {executed}")
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(marker, {"step": step, **state, "finished": finished}, indent=True)
        print(f"[{step}] done in {time.monotonic() - started:.0f} s", flush=True)
    finally:
        lock.release()
    return executed


def find_notebook(name: str, folder: Path = NOTEBOOK_FOLDER) -> Path:
    """The file of a notebook.

    Raises:
        InputError: there is none of that name, or no notebooks at all.
    """
    path = Path(folder) / f"{name}.ipynb"
    if path.is_file():
        return path
    names = sorted(file.stem for file in Path(folder).glob("*.ipynb"))
    if not names:
        raise InputError(f"{folder}: no notebooks there; install kps from a clone with `pip install -e .`")
    raise InputError(f"no notebook {name!r}; there are {', '.join(names)}")


def step_file(work: Workspace, step: str, suffix: str) -> Path:
    """A file of the engine's own about a step: its done marker (.json) or its lock (.lock)."""
    return work.root / ".steps" / f"{step}{suffix}"


def source_hash(notebook: Path) -> str:
    """SHA-256 of a notebook's code: text, outputs and metadata may change without a new run."""
    text = "\n\0".join(cell["source"] for cell in code_cells(notebook))
    return hashlib.sha256(text.encode()).hexdigest()


def is_done(marker: Path, state: Mapping[str, Any]) -> bool:
    """Whether a marker says that the step was done with this very state (parameters and source)."""
    if not marker.exists():
        return False
    noted = read_json(marker)
    return {key: noted.get(key) for key in state} == dict(state)


def _resolved(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters by name, defaults included, without the workspace: a moved one is still done."""
    defaults = {item.name: item.default for item in read_parameters(notebook).values()}
    return {name: value for name, value in {**defaults, **given}.items() if name != "workspace"}


def _execute(
    notebook: Path,
    executed: Path,
    parameters: dict[str, Any],
    *,
    step: str,
    lock: FileLock,
    threads: int | None,
) -> None:
    """Execute by papermill; every failure becomes one line (InputError), the copy stays for inspection."""
    from nbclient.exceptions import DeadKernelError
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError

    executed.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # its failures come as the exceptions below
    with ExitStack() as stack:
        gpu = stack.enter_context(free_gpu()) if notebook.stem in ON_GPU else None
        if not lock.acquire(shared=True):
            raise InputError(f"{step} was taken over by another process")
        sockets = Path(stack.enter_context(TemporaryDirectory(prefix="kps-", dir=_socket_folder())))
        manager = kernel_manager(lock.path, sockets, threads=threads, gpu=gpu)
        try:
            execute_notebook(
                _literal(notebook), _literal(executed), parameters, cwd=REPOSITORY,
                kernel_name="python3", language="python", kernel_manager_class=manager,
                start_timeout=START_SECONDS, progress_bar=False, stdout_file=PrefixedOutput(step, sys.stdout),
            )  # fmt: skip
        except PapermillExecutionError as error:
            text = " ".join(str(error.evalue).split())[:MESSAGE_LENGTH]
            if error.ename == InputError.__name__:
                raise InputError(f"{step}: {text}") from None
            raise InputError(f"{step} failed with {error.ename}: {text}; open {executed}") from None
        except DeadKernelError:
            raise InputError(f"{step}: its process died (out of memory?); open {executed}") from None


def _socket_folder() -> str:
    """The temporary folder, or /tmp where its path is too long for Unix sockets."""
    folder = gettempdir()
    return folder if len(folder) <= SOCKET_PATH_LENGTH else "/tmp"


def _literal(path: Path) -> str:
    """A path for papermill, which would take {braces} for parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


class PrefixedOutput:
    """A text stream that puts a step's name before each line; of a redrawn line the last state counts."""

    def __init__(self, step: str, target: TextIO) -> None:
        self._prefix = f"[{step}] "
        self._target = target
        self._rest = ""

    def write(self, text: str) -> int:
        """Pass on the lines that are complete and keep the rest."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            shown = line.rstrip("\r").rpartition("\r")[2]
            if shown.strip():
                self._target.write(f"{self._prefix}{shown}\n")
        return len(text)

    def flush(self) -> None:
        """Flush the target."""
        self._target.flush()
