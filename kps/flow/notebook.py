"""One notebook as one step: typed parameters, an executed copy to read, a done marker written last."""

import ast
import hashlib
import logging
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from kps.files import InputError, read_json, sha256, write_json
from kps.flow import steps
from kps.flow.locks import free_gpus, holding
from kps.workspace import REPOSITORY, Workspace, changed_names, code_sha256, content_sha256, imported_names

LOCK_SECONDS = 15.0  # how long a killed run may take to end
START_SECONDS = 180.0  # a kernel's start on a busy machine
STOP_SECONDS = 25.0  # after Ctrl-C, for a training's step and its state; less than a whole run waits
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MESSAGE_LENGTH = 400  # characters of an exception's text that fit one line


def run_notebook(name: str, parameters: Mapping[str, Any], *, workspace: Path, threads: int | None = None) -> Path:
    """Run one notebook with parameters, unless it is done with these already; return the executed copy.

    The notebook runs in the repository root with this Python; what it prints appears with the step's name before each
    line. Its last act has to be its record. A step that was killed runs again. `parameters` are values, or their texts;
    `threads` those of the numerical libraries. InputError: an unknown notebook or parameter, a step that runs
    elsewhere, more processes than GPUs, or a notebook that failed.
    """
    work = Workspace(Path(workspace).resolve())
    given = steps.check_parameters(steps.find_notebook(name), {**parameters, "workspace": str(work.root)})
    state = step_state(name, given, work)
    step = steps.step_name(name, state["parameters"])
    executed, record, marker = work.executed(step), work.record(step), step_file(work, step, ".json")
    elsewhere = f"{step} is being run by another process in {work.root}"
    with holding(step_file(work, step, ".lock"), elsewhere, seconds=LOCK_SECONDS):
        outdated = why_outdated(work, step, state)
        if outdated is None and record.exists() and executed.exists():
            print(f"[{step}] done before, nothing to do", flush=True)
            return executed
        steps.check_data(given if name == steps.PREPARE else {}, work.root)
        with free_gpus(step, steps.gpus_wanted(name, state["parameters"])) as gpus:
            marker.unlink(missing_ok=True)
            record.unlink(missing_ok=True)
            started = time.monotonic()
            print(f"[{step}] started" + (f": {outdated}" if outdated else ""), flush=True)
            _execute(steps.find_notebook(name), executed, given, step=step, threads=threads, gpus=gpus)
        if not record.exists():
            raise InputError(f"{step} ended without its record {record}; open {executed}")
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(marker, {"step": step, **state, "finished": finished}, indent=True)
        print(f"[{step}] done in {time.monotonic() - started:.0f} s", flush=True)
    return executed


def step_file(work: Workspace, step: str, suffix: str) -> Path:
    """A file of the engine's own about a step: its done marker (.json) or its lock (.lock)."""
    return work.root / ".steps" / f"{step}{suffix}"


def step_state(name: str, given: Mapping[str, Any], work: Workspace) -> dict[str, dict[str, Any]]:
    """What a step's result depends on: "parameters", "code_sha256" and "inputs_sha256", each by name.

    The code is the notebook's (text, outputs and metadata may change without a new run), what it runs of this package,
    and a shipped configuration with its bases; inputs are the files and folders that a parameter names. `given` are
    checked parameters. The workspace is none of them: a moved one is still done.
    """
    notebook = steps.find_notebook(name)
    source = "\n".join(cell["source"] for cell in steps.code_cells(notebook))
    known = steps.read_parameters(notebook)
    parameters = {key: given.get(key, item.default) for key, item in known.items() if key != "workspace"}
    names = imported_names(ast.parse(source)) | {f"{parameters.get('config')}.py"}
    code = code_sha256(names, without=steps.NOT_RUN.get(name, ()))
    paths = {
        text: REPOSITORY / Path(text).expanduser()
        for key, value in parameters.items() if key not in steps.OUTPUTS
        for text in (value if isinstance(value, list) else [value]) if isinstance(text, str) and text
        # A bare word is a name ("demo", "validation"), unless the parameter may be None, as those of paths.
        if known[key].annotation.endswith("Optional[str]") or {"/", "."} & set(text)
    }  # fmt: skip
    return {
        "parameters": parameters,
        "code_sha256": {"the notebook": hashlib.sha256(source.encode()).hexdigest()[:16], **code},
        "inputs_sha256": {text: content_sha256(p, work.root) for text, p in paths.items() if p.exists()},
    }


def why_outdated(work: Workspace, step: str, state: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Say what has changed since a step was done; None where nothing has, or where it has to run anyway.

    Whatever the step's record names as read counts as well. An input that is absent now has not changed.
    """
    marker, record = step_file(work, step, ".json"), work.record(step)
    if not marker.exists():
        return "it had not ended" if record.exists() else None
    noted, recorded = read_json(marker), read_json(record) if record.exists() else {}
    before = {row["path"]: row["sha256"] for row in recorded.get("inputs", {}).values()}
    # What was not touched since the step began is not read again: there may be gigabytes of checkpoints.
    began = record.stat().st_mtime - recorded.get("seconds", 0) if before else 0
    there = {path: Path(path).stat() for path in before if Path(path).is_file()}
    touched = [path for path, status in there.items() if max(status.st_mtime, status.st_ctime) >= began]
    changed = [changed_names(noted.get(key, {}), state[key]) for key in state]
    changed.append(changed_names(before, {path: sha256(Path(path)) for path in touched}))
    return next((f"changed: {names}" for names in changed if names), None)


def _execute(
    notebook: Path, executed: Path, parameters: dict[str, Any], *, step: str, threads: int | None, gpus: list[str]
) -> None:
    """Execute by papermill; every failure becomes one line (InputError), the copy stays for inspection.

    The kernel is this very Python, whatever kernelspecs are installed, and ends with this process.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient.exceptions import DeadKernelError
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError
    from traitlets import Float

    environment = {steps.PARENT: str(os.getpid())} | dict.fromkeys(THREAD_VARIABLES if threads else (), str(threads))
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=CRITICAL"]

    class StepKernelManager(AsyncKernelManager):
        kernel_spec = KernelSpec(argv=argv, env=environment, display_name="Python 3", language="python")
        shutdown_wait_time = Float(STOP_SECONDS)

    executed.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # its failures come as the exceptions below
    # In a path papermill would take {braces} for parameters.
    paths = (str(path).replace("{", "{{").replace("}", "}}") for path in (notebook, executed))
    try:
        execute_notebook(
            *paths, parameters, cwd=REPOSITORY, kernel_name="python3", language="python",
            kernel_manager_class=StepKernelManager, start_timeout=START_SECONDS, progress_bar=False,
            stdout_file=PrefixedOutput(step, sys.stdout),
        )  # fmt: skip
    except PapermillExecutionError as error:
        text = " ".join(str(error.evalue).split())[:MESSAGE_LENGTH]
        if error.ename == InputError.__name__:
            raise InputError(f"{step}: {text}") from None
        raise InputError(f"{step} failed with {error.ename}: {text}; open {executed}") from None
    except DeadKernelError:
        raise InputError(f"{step}: its process died (out of memory?); open {executed}") from None


class PrefixedOutput:
    """A text stream that puts a step's name before each line; of a redrawn line the last state counts."""

    def __init__(self, step: str, target: TextIO) -> None:
        self._prefix, self._target, self._rest = f"[{step}] ", target, ""
        self.flush = target.flush

    def write(self, text: str) -> int:
        """Pass on the lines that are complete and keep the rest."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            shown = line.rstrip("\r").rpartition("\r")[2]
            if shown.strip():
                self._target.write(f"{self._prefix}{shown}\n")
        return len(text)
