"""A whole plan through Snakemake: what is done stays done, what was interrupted goes on."""

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kps.files import InputError, write_json
from kps.flow.batch import Step
from kps.flow.locks import FileLock, check_gpus, die_with_parent, visible_gpus
from kps.flow.notebook import NOTEBOOK_FOLDER, find_notebook, step_state, why_outdated
from kps.workspace import REPOSITORY, Workspace

SNAKEFILE = REPOSITORY / "scripts" / "Snakefile"
PROGRESS = re.compile(r"^(\d+) of (\d+) steps")
ANNOUNCED = re.compile(r"^ +output: records/(.+)\.json$")
REASON = re.compile(r"^ +reason: (.+?)(?:: .*)?$")
STOP_SECONDS = 30.0  # for the steps to end after Ctrl-C
TAIL_LINES = 30  # of Snakemake's own words, shown where a run fails for a reason that no step has named


def run_plan(
    steps: Iterable[Step],
    *,
    workspace: Path,
    cores: int,
    executor: str | None = None,
    jobs: int = 16,
    folder: Path = NOTEBOOK_FOLDER,
) -> bool:
    """Run the steps that are not done, as many at a time as the cores and GPUs allow; print their output.

    Args:
        steps: of `make_plan`.
        workspace: the work folder; made if absent.
        cores: to use in all; with an executor, of each job.
        executor: a Snakemake executor that gets the steps as jobs, such as "slurm"; None runs them here.
        jobs: of the executor, at a time.
        folder: where the notebooks lie.

    Returns:
        Whether all steps are done; where not, the step that failed has said why on stderr.

    Raises:
        InputError: another run is at work in this folder, the executor is not installed, or a step wants more
            GPUs than there are.
        KeyboardInterrupt: Ctrl-C; all steps have ended by then.
    """
    work, lock = _locked(workspace)
    try:
        steps = list(steps)
        outdated = _outdated(steps, work, folder)
        command = _command(steps, work, cores, folder, outdated, executor is not None)
        return _watch(command + _executor(executor, jobs), Messages())
    finally:
        lock.release()


def steps_to_run(
    steps: Iterable[Step], *, workspace: Path, cores: int, executor: str | None = None, folder: Path = NOTEBOOK_FOLDER
) -> list[tuple[str, str]]:
    """The steps that `run_plan` would run now, in the plan's order, each with Snakemake's reason.

    Raises:
        InputError: as `run_plan`.
    """
    steps = list(steps)
    work, lock = _locked(workspace)
    try:
        outdated = _outdated(steps, work, folder)
        command = [*_command(steps, work, cores, folder, outdated, executor is not None), "--dry-run"]
        listing = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
    finally:
        lock.release()
    if listing.returncode != 0:
        raise InputError(f"Snakemake refused the plan: {listing.stderr[-1000:]}")
    reasons: dict[str, str] = {}
    for line in listing.stdout.splitlines():
        if announced := ANNOUNCED.match(line):
            announced_step = announced[1]
        elif reason := REASON.match(line):
            reasons[announced_step] = outdated.get(announced_step, reason[1].lower())
    return [(step.name, reasons[step.name]) for step in steps if step.name in reasons]


def _locked(workspace: Path) -> tuple[Workspace, FileLock]:
    work = Workspace(Path(workspace).resolve())
    lock = FileLock(work.root / ".run.lock")
    if not lock.acquire():
        raise InputError(f"{work.root}: another run is at work in this folder; wait for its end or stop it")
    return work, lock


def _executor(name: str | None, jobs: int) -> list[str]:
    """The options that hand the steps to a Snakemake executor."""
    if name is None:
        return []
    if importlib.util.find_spec(f"snakemake_executor_plugin_{name.replace('-', '_')}") is None:
        raise InputError(
            f"executor {name}: expected its plugin, but it is not installed; "
            f"try: pip install snakemake-executor-plugin-{name}"
        )
    return ["--executor", name, "--jobs", str(jobs)]


def _command(
    steps: list[Step], work: Workspace, cores: int, folder: Path, outdated: dict[str, str], on_cluster: bool
) -> list[str]:
    """Write the resolved plan beside the artifacts and return the call of Snakemake on it."""
    gpus = [] if on_cluster else visible_gpus()  # the cluster knows how many there are
    for step in steps:
        check_gpus(step.name, step.gpus, gpus)
    configs = {step.name: _as_config(step, folder) for step in steps}
    plan = {"python": sys.executable, "cores": cores, "steps": configs}
    path = work.root / "plan.json"
    write_json(path, plan, indent=True)
    targets = {step.name: str(work.record(step.name).relative_to(work.root)) for step in steps}
    return [
        sys.executable, "-m", "snakemake", *targets.values(), "--snakefile", str(SNAKEFILE),
        "--configfile", str(path), "--directory", str(work.root), "--cores", str(cores),
        *(["--resources", f"gpu={len(gpus)}"] if gpus else []),
        *(["--forcerun", *(targets[name] for name in outdated)] if outdated else []),
        "--rerun-incomplete", "--rerun-triggers", "mtime", "--nolock", "--scheduler", "greedy",
        "--quiet", "host",
    ]  # fmt: skip


def _as_config(step: Step, folder: Path) -> dict[str, Any]:
    arguments = shlex.join(
        word
        for name, value in sorted(step.parameters.items())
        for word in ("-p", name, value if isinstance(value, str) else json.dumps(value))
    )
    if folder != NOTEBOOK_FOLDER:
        arguments += f" --notebooks {shlex.quote(str(folder.resolve()))}"
    return {"needs": step.needs, "arguments": arguments, "gpus": step.gpus}


def _outdated(steps: list[Step], work: Workspace, folder: Path) -> dict[str, str]:
    """The steps that were done with other parameters, code or inputs, and in words which."""
    found = {}
    for step in steps:
        state = step_state(find_notebook(step.notebook, folder), step.parameters, work)
        if reason := why_outdated(work, step.name, state):
            found[step.name] = reason
    return found


def _environment() -> dict[str, str]:
    """The steps run in the work folder, so they have to be told where an uninstalled kps lies."""
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _watch(command: list[str], messages: "Messages") -> bool:
    """Run Snakemake in a process group of its own and show its messages; Ctrl-C ends the group.

    A killed runner takes Snakemake along, Snakemake its steps, and they their kernels (`die_with_parent`).
    """

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        die_with_parent(runner)

    runner = os.getpid()
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, errors="replace", process_group=0, preexec_fn=prepare,
        env=_environment(),
    )  # fmt: skip
    assert process.stderr is not None
    try:
        for line in process.stderr:
            messages.show(line)
    except KeyboardInterrupt:
        _stop(process)
        raise
    if process.wait() != 0:
        messages.explain_failure()
    return process.returncode == 0


def _stop(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.communicate(timeout=STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


class Messages:
    """What a user needs of Snakemake's stderr: the progress, and what a failed step says.

    The rest is kept, and its end shown only where the run has failed and no step has said why.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._explained = False

    def show(self, line: str) -> None:
        """Print a line if it tells the user something."""
        if progress := PROGRESS.match(line):
            minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
            done, total = progress.groups()
            print(f"{done} of {total} steps done after {minutes} min {seconds:02d} s", flush=True)
        elif line.startswith("kps: "):
            print(line, end="", file=sys.stderr, flush=True)
            self._explained = True
        else:
            self._tail.append(line)

    def explain_failure(self) -> None:
        """Print Snakemake's last words unless a step has said what is wrong."""
        if not self._explained:
            sys.stderr.writelines(self._tail)
