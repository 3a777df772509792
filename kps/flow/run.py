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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kps.files import InputError, write_json
from kps.flow.batch import Step
from kps.flow.locks import FileLock, check_gpus, die_with_parent, visible_gpus
from kps.flow.notebook import find_notebook, step_state, why_outdated
from kps.flow.steps import NOTEBOOK_FOLDER
from kps.workspace import REPOSITORY, Workspace

SNAKEFILE = REPOSITORY / "scripts" / "Snakefile"
PROGRESS = re.compile(r"^(\d+) of (\d+) steps")
ANNOUNCED = re.compile(r"^ +output: records/(.+)\.json\n(?:.*\n)*? +reason: (.+?)(?:: .*)?$", re.MULTILINE)
LACKING = re.compile(r"KeyError: '(\S+)'")  # of the Snakefile: a step that another reads from
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

    InputError: another run is at work in this folder, the executor is not installed, or a step wants more GPUs than
    there are, or a step that the plan does not have; KeyboardInterrupt: Ctrl-C; all steps have ended by then.

    Args:
        steps: of `make_plan`.
        workspace: the work folder; made if absent.
        cores: to use in all; with an executor, of each job.
        executor: a Snakemake executor that gets the steps as jobs, such as "slurm"; None runs them here.
        jobs: of the executor, at a time.
        folder: where the notebooks lie.

    Returns:
        Whether all steps are done; where not, the step that failed has said why on stderr.
    """
    plugin = f"snakemake_executor_plugin_{executor}".replace("-", "_")
    if executor and importlib.util.find_spec(plugin) is None:
        expected = f"executor {executor}: expected its plugin, but it is not installed"
        raise InputError(f"{expected}; try: pip install snakemake-executor-plugin-{executor}")
    with _command(list(steps), workspace, cores, folder, executor is not None) as (command, _):
        return _watch(command + (["--executor", executor, "--jobs", str(jobs)] if executor else []))


def steps_to_run(
    steps: Iterable[Step], *, workspace: Path, cores: int, executor: str | None = None, folder: Path = NOTEBOOK_FOLDER
) -> list[tuple[str, str]]:
    """The steps that `run_plan` would run now, in the plan's order, each with the reason; InputError as there."""
    steps = list(steps)
    with _command(steps, workspace, cores, folder, executor is not None) as (command, outdated):
        listing = subprocess.run(
            [*command, "--dry-run"], capture_output=True, text=True, env=_environment(), check=False
        )
    if listing.returncode != 0:
        said = listing.stdout + listing.stderr
        _refuse_lacking(said)
        raise InputError(f"Snakemake refused the plan: {said[-1000:]}")
    reasons = {name: outdated.get(name, reason.lower()) for name, reason in ANNOUNCED.findall(listing.stdout)}
    return [(step.name, reasons[step.name]) for step in steps if step.name in reasons]


@contextmanager
def _command(
    steps: list[Step], workspace: Path, cores: int, folder: Path, on_cluster: bool
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Lock the folder, write the plan there, and yield the call of Snakemake on it and what is outdated."""
    work = Workspace(Path(workspace).resolve())
    lock = FileLock(work.root / ".run.lock")
    if not lock.acquire():
        raise InputError(f"{work.root}: another run is at work in this folder; wait for its end or stop it")
    try:
        gpus = [] if on_cluster else visible_gpus()  # the cluster knows how many there are
        outdated = {}  # the steps that were done with other parameters, code or inputs, and in words which
        for step in steps:
            check_gpus(step.name, step.gpus, gpus)
            state = step_state(find_notebook(step.notebook, folder), step.parameters, work)
            if reason := why_outdated(work, step.name, state):
                outdated[step.name] = reason
        plan = {
            step.name: {"parameters": step.resolved, "words": _words(step, folder), "gpus": step.gpus} for step in steps
        }
        write_json(work.root / "plan.json", {"python": sys.executable, "cores": cores, "steps": plan}, indent=True)
        targets = {step.name: str(work.record(step.name).relative_to(work.root)) for step in steps}
        command = [
            sys.executable, "-m", "snakemake", *targets.values(), "--snakefile", str(SNAKEFILE),
            "--configfile", str(work.root / "plan.json"), "--directory", str(work.root), "--cores", str(cores),
            *(["--resources", f"gpu={len(gpus)}"] if gpus else []),
            *(["--forcerun", *(targets[name] for name in outdated)] if outdated else []),
            "--rerun-incomplete", "--rerun-triggers", "mtime", "--nolock", "--scheduler", "greedy", "--quiet", "host",
        ]  # fmt: skip
        yield command, outdated
    finally:
        lock.release()


def _words(step: Step, folder: Path) -> str:
    """The words of `kps notebook` for a step."""
    words = [step.notebook]
    for name, value in sorted(step.parameters.items()):
        words += ["-p", name, value if isinstance(value, str) else json.dumps(value)]
    return shlex.join(words + (["--notebooks", str(folder.resolve())] if folder != NOTEBOOK_FOLDER else []))


def _environment() -> dict[str, str]:
    """The steps run in the work folder, so they have to be told where an uninstalled kps lies."""
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _watch(command: list[str]) -> bool:
    """Run Snakemake in a process group of its own and show what a user needs of its stderr; Ctrl-C ends the group.

    A killed runner takes Snakemake along, Snakemake its steps, and they their kernels (`die_with_parent`). Of what
    fails, the step's own line is shown, or where none has said why, Snakemake's last lines.
    """

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        die_with_parent(runner)

    runner, started, explained = os.getpid(), time.monotonic(), False
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, errors="replace", process_group=0, preexec_fn=prepare,
        env=_environment(),
    )  # fmt: skip
    try:
        for line in process.stderr:
            if progress := PROGRESS.match(line):
                minutes, seconds = divmod(int(time.monotonic() - started), 60)
                done, total = progress.groups()
                print(f"{done} of {total} steps done after {minutes} min {seconds:02d} s", flush=True)
            elif line.startswith("kps: "):
                print(line, end="", file=sys.stderr, flush=True)
                explained = True
            else:
                tail.append(line)
    except KeyboardInterrupt:
        _stop(process)
        raise
    if process.wait() != 0 and not explained:
        _refuse_lacking("".join(tail))
        sys.stderr.writelines(tail)
    return process.returncode == 0


def _refuse_lacking(text: str) -> None:
    if lacking := LACKING.search(text):
        raise InputError(f"the plan lacks {lacking[1]}, from which another of its steps reads")


def _stop(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.communicate(timeout=STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
