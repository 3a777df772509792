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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kps.files import InputError, write_json
from kps.flow.batch import Step
from kps.flow.locks import check_gpus, die_with_parent, holding, visible_gpus
from kps.flow.notebook import step_state, why_outdated
from kps.flow.steps import reads
from kps.workspace import REPOSITORY, Workspace

SNAKEFILE = REPOSITORY / "scripts" / "Snakefile"
PROGRESS = re.compile(r"^(\d+) of (\d+) steps")
ANNOUNCED = re.compile(r"^ +output: records/(.+)\.json\n(?:.*\n)*? +reason: (.+?)(?:: .*)?$", re.MULTILINE)
STOP_SECONDS = 30.0  # for the steps to end after Ctrl-C
TAIL_LINES = 30  # of Snakemake's own words, shown where a run fails for a reason that no step has named


def run_plan(
    steps: Sequence[Step], *, workspace: Path, cores: int, executor: str | None = None, jobs: int = 16
) -> bool:
    """Run the steps that are not done, as many at a time as the cores and GPUs allow; print their output.

    The steps run on the cores given, or by a Snakemake executor such as "slurm", so many jobs of so many cores at a
    time. Returns whether all steps are done; where not, the step that failed has said why on stderr. InputError:
    another run is at work in this folder, the executor is not installed, or a step wants more GPUs than there are;
    KeyboardInterrupt: Ctrl-C; all steps have ended by then.
    """
    plugin = f"snakemake_executor_plugin_{executor}".replace("-", "_")
    if executor and importlib.util.find_spec(plugin) is None:
        expected = f"executor {executor}: expected its plugin, but it is not installed"
        raise InputError(f"{expected}; try: pip install snakemake-executor-plugin-{executor}")
    with _command(steps, workspace, cores, executor is not None) as (command, _):
        return _watch(command + (["--executor", executor, "--jobs", str(jobs)] if executor else []))


def steps_to_run(
    steps: Sequence[Step], *, workspace: Path, cores: int, executor: str | None = None
) -> list[tuple[str, str]]:
    """The steps that `run_plan` would run now, in the plan's order, each with the reason; InputError as there."""
    with _command(steps, workspace, cores, executor is not None) as (command, outdated):
        dry_run = [*command, "--dry-run"]
        listing = subprocess.run(dry_run, capture_output=True, text=True, env=_environment(), check=False)
    if listing.returncode != 0:
        raise InputError(f"Snakemake refused the plan: {(listing.stdout + listing.stderr)[-1000:]}")
    reasons = {name: outdated.get(name, reason.lower()) for name, reason in ANNOUNCED.findall(listing.stdout)}
    return [(step.name, reasons[step.name]) for step in steps if step.name in reasons]


@contextmanager
def _command(
    steps: Sequence[Step], workspace: Path, cores: int, on_cluster: bool
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Lock the folder, write the plan there, and yield the call of Snakemake on it and what is outdated."""
    work = Workspace(Path(workspace).resolve())
    at_work = f"{work.root}: another run is at work in this folder; wait for its end or stop it"
    with holding(work.root / ".run.lock", at_work):
        gpus = [] if on_cluster else visible_gpus()  # the cluster knows how many there are
        outdated = {}  # the steps that were done with other parameters, code or inputs, and in words which
        plan, names = {}, [step.name for step in steps]
        for step in steps:
            check_gpus(step.name, step.gpus, gpus)
            if reason := why_outdated(work, step.name, step_state(step.notebook, step.parameters, work)):
                outdated[step.name] = reason
            words = [step.notebook]
            for name, value in sorted(step.parameters.items()):
                words += ["-p", name, value if isinstance(value, str) else json.dumps(value)]
            sources, text = reads(step.notebook, step.resolved, names), shlex.join(words)
            plan[step.name] = {"parameters": step.resolved, "reads": sources, "words": text, "gpus": step.gpus}
        write_json(work.root / "plan.json", {"python": sys.executable, "cores": cores, "steps": plan}, indent=True)
        targets = {name: str(work.record(name).relative_to(work.root)) for name in names}
        command = [
            sys.executable, "-m", "snakemake", *targets.values(), "--snakefile", str(SNAKEFILE),
            "--configfile", str(work.root / "plan.json"), "--directory", str(work.root), "--cores", str(cores),
            *(["--resources", f"gpu={len(gpus)}"] if gpus else []),
            *(["--forcerun", *(targets[name] for name in outdated)] if outdated else []),
            "--rerun-incomplete", "--rerun-triggers", "mtime", "--nolock", "--scheduler", "greedy", "--quiet", "host",
        ]  # fmt: skip
        yield command, outdated


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
        try:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=STOP_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        raise
    if process.wait() != 0 and not explained:
        sys.stderr.writelines(tail)
    return process.returncode == 0
