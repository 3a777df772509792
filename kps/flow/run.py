"""A whole run: the table of experiments, profiles, the plan of steps, and Snakemake, which runs what is not done."""

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError

from kps.files import InputError, read_bytes, write_json
from kps.flow import steps
from kps.flow.locks import check_gpus, die_with_parent, holding, visible_gpus
from kps.flow.notebook import step_state, why_outdated
from kps.flow.prepare import coco_sources, has_test
from kps.schema import CATEGORIES, package_data
from kps.workspace import GROUND_TRUTH, REPOSITORY, SPLITS, Workspace

ALL, DEFAULT_AGGREGATION = "all", "hand81"
Entry = tuple[str, dict[str, Any]]  # a notebook and its parameters
Notebook = Literal[steps.NOTEBOOKS]


@cache
def shipped() -> dict[str, dict[str, dict[str, Any]]]:
    """Return kps/flow/experiments.yaml: "experiments", "finetuning" and "profiles", each by name."""
    return yaml.safe_load(package_data("flow/experiments.yaml"))


def experiment_steps(names: Iterable[str]) -> list[Entry]:
    """Return the steps of the named experiments ("all": of every one), in the notebooks' order, each once.

    The last of them that predicts the test split is submitted. InputError names what there is instead of an unknown.
    """
    table, wanted = shipped()["experiments"], list(dict.fromkeys(names))
    for name in wanted:
        if name not in (*table, ALL):
            raise InputError(f"no experiment {name!r}; there are {', '.join(table)}, or {ALL} for every one")
    wanted = list(table) if ALL in wanted else wanted
    found = {repr(entry): entry for name in wanted for entry in _steps_of(name)}
    submitted = [name for name in wanted if "test" in table[name].get("splits", ["test"])]
    if submitted:
        preferred = "ensemble" if "ensemble" in submitted else submitted[-1]
        found[steps.SUBMISSION] = (steps.SUBMISSION, {"run": preferred})
    return sorted([*found.values(), (steps.REPORT, {})], key=lambda entry: steps.NOTEBOOKS.index(entry[0]))


def _steps_of(name: str) -> list[Entry]:
    """The steps up to an experiment's predictions."""
    given = shipped()["experiments"][name]
    if "runs" in given:
        return [*(entry for run in given["runs"] for entry in _steps_of(run)), (steps.ENSEMBLE, {"run": name, **given})]
    groups = {"aggregation": given.get("aggregation", DEFAULT_AGGREGATION)}
    entries = [(steps.PREPARE, {}), (steps.HOMOGENEITY, {}), (steps.AGGREGATION, groups), (steps.LANDMARKS, groups)]
    if given["boxes"] != GROUND_TRUTH:
        entries.append((steps.DETECTOR, {"detector": given["boxes"]}))
    if given["model"].startswith("finetune_"):
        variant = given["model"].removeprefix("finetune_")
        shared = {**groups, "variant": variant, **shipped()["finetuning"][variant]}
        entries += [(steps.FINETUNE, {"category_id": item.id, **shared}) for item in CATEGORIES]
    return [*entries, (steps.PREDICT, {"run": name, **given})]


def _named(item: Any) -> Any:
    return {item: {}} if isinstance(item, str) else item


class Profile(BaseModel, extra="forbid"):
    """What a profile's file holds; an item of `steps` is a notebook's name, perhaps with parameters."""

    name: str
    configs: dict[str, str] = {}
    data: Literal["built-in", "own"] = "built-in"
    parameters: dict[Notebook, dict[str, Any]] = {}
    experiments: list[str] = []
    steps: list[Annotated[dict[Notebook, dict[str, Any]], BeforeValidator(_named)]] = []

    def entries(self) -> list[Entry]:
        """Each step's notebook and own parameters; InputError: an unknown experiment."""
        found = experiment_steps(self.experiments) if self.experiments else []
        return [*found, *(entry for item in self.steps for entry in item.items())]


@dataclass(frozen=True)
class Step:
    """One notebook run of a plan: `parameters` to pass, `resolved` with the defaults, how many `gpus` to hold."""

    name: str
    notebook: str
    parameters: Mapping[str, Any]
    resolved: Mapping[str, Any]
    gpus: int


def load_profile(name: str, experiments: Iterable[str] = ()) -> Profile:
    """Read a shipped profile by name, or a YAML file of one's own by its path.

    `experiments` are named instead of the profile's own. InputError: no such profile, broken YAML, or what is no
    profile.
    """
    path, value = Path(name), shipped()["profiles"].get(name)
    if value is None:
        if not path.is_file():
            raise InputError(f"no profile {name!r}; there are {', '.join(shipped()['profiles'])}, or give a YAML file")
        try:
            value = yaml.safe_load(read_bytes(path))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: expected YAML, but {error}") from None
    if not isinstance(value, dict) or not (value.get("experiments") or value.get("steps")):
        raise InputError(f"{path}: expected a profile, with experiments or steps to run")
    try:
        named = {"experiments": list(experiments)} if experiments else {}
        return Profile.model_validate({**value, **named, "name": path.stem})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}, but got {first['input']!r}") from None


def parse_overrides(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read `notebook.parameter=value` texts; a notebook may be shortened ("04.epochs=2"); else InputError."""
    overrides: dict[str, dict[str, str]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        start, dot, parameter = target.partition(".")
        if not (equals and dot and start and parameter):
            raise InputError(f"expected notebook.parameter=value, but got {text!r}")
        matches = [name for name in steps.NOTEBOOKS if name.startswith(start)]
        if len(matches) != 1:
            raise InputError(f"{text!r}: expected one notebook's beginning out of {', '.join(steps.NOTEBOOKS)}")
        overrides.setdefault(matches[0], {})[parameter] = value
    return overrides


def parse_split_paths(option: str, texts: Iterable[str], name: str) -> dict[str, str]:
    """Read [SPLIT=]PATH texts as parameters of 01_prepare_data: `name` of a split, `option` without one."""
    found: dict[str, str] = {}
    for text in texts:
        split, _, path = text.partition("=")
        key, path = (name.format(split), path) if split in SPLITS else (option, text)
        if key in found:
            raise InputError(f"expected one {key}, but got {found[key]} and {path}")
        found[key] = str(Path(path).resolve())
    return found


def make_plan(profile: Profile, overrides: Mapping[str, Mapping[str, Any]]) -> list[Step]:
    """Resolve a profile into steps with checked parameters; without a test split there is no 09_submission.

    `overrides` are parameters by notebook that go before the profile's. InputError: an unknown or mistyped parameter,
    two steps of one name, one that reads from a step that is not there, one that would choose by photos that 05 learns
    from, or a profile that needs one's own photos and gets none.
    """
    entries, prepare = profile.entries(), overrides.get(steps.PREPARE, {})
    if profile.data == "own" and not (coco_sources(prepare)[0] or "data_root" in prepare):
        raise InputError(f"profile {profile.name} needs --data-root, or --coco-file and --image-dir")
    if absent := [notebook for notebook in overrides if notebook not in dict(entries)]:
        raise InputError(f"profile {profile.name} has no step {absent[0]}, so its parameters cannot be set")
    plan: dict[str, Step] = {}
    for notebook, own in entries:
        path, shared = steps.find_notebook(notebook), profile.parameters.get(notebook, {})
        trained = dict.fromkeys((steps.LANDMARKS, steps.FINETUNE), "landmarks")
        trained[steps.DETECTOR] = own.get("detector", "htc")
        model = trained.get(notebook)
        config = {"config": profile.configs[model]} if model in profile.configs else {}
        checked = steps.check_parameters(path, {**config, **shared, **own, **overrides.get(notebook, {})})
        resolved = {key: item.default for key, item in steps.read_parameters(path).items()} | checked
        name = steps.step_name(notebook, resolved)
        if name in plan:
            raise InputError(f"profile {profile.name}: two steps are called {name}")
        plan[name] = Step(name, notebook, checked, resolved, steps.gpus_wanted(notebook, resolved))
    if not has_test(plan[steps.PREPARE].resolved if steps.PREPARE in plan else {}):
        plan.pop(steps.SUBMISSION, None)
    for step in plan.values():
        for source in steps.reads(step.notebook, step.resolved, plan):
            if source not in plan:
                raise InputError(f"the plan lacks {source}, from which {step.name} reads")
            own, allowed = step.resolved.get("held_out", 0), plan[source].resolved.get("held_out", 0)
            if step.notebook == steps.FINETUNE and own > allowed:
                raise InputError(f"{step.name}: expected held_out to be at most 05's, {allowed}, but got {own}")
    return list(plan.values())


SNAKEFILE = REPOSITORY / "scripts" / "Snakefile"
PROGRESS = re.compile(r"^(\d+) of (\d+) steps")
ANNOUNCED = re.compile(r"^ +output: records/(.+)\.json\n(?:.*\n)*? +reason: (.+?)(?:: .*)?$", re.MULTILINE)
STOP_SECONDS = 30.0  # for the steps to end after Ctrl-C
TAIL_LINES = 30  # of Snakemake's own words, shown where a run fails for a reason that no step has named


def run_plan(plan: Sequence[Step], *, workspace: Path, cores: int, executor: str | None = None, jobs: int = 16) -> bool:
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
    with _command(plan, workspace, cores, executor is not None) as (command, _):
        return _watch(command + (["--executor", executor, "--jobs", str(jobs)] if executor else []))


def steps_to_run(
    plan: Sequence[Step], *, workspace: Path, cores: int, executor: str | None = None
) -> list[tuple[str, str]]:
    """The steps that `run_plan` would run now, in the plan's order, each with the reason; InputError as there."""
    with _command(plan, workspace, cores, executor is not None) as (command, outdated):
        dry_run = [*command, "--dry-run"]
        listing = subprocess.run(dry_run, capture_output=True, text=True, env=_environment(), check=False)
    if listing.returncode != 0:
        raise InputError(f"Snakemake refused the plan: {(listing.stdout + listing.stderr)[-1000:]}")
    reasons = {name: outdated.get(name, reason.lower()) for name, reason in ANNOUNCED.findall(listing.stdout)}
    return [(step.name, reasons[step.name]) for step in plan if step.name in reasons]


@contextmanager
def _command(
    plan: Sequence[Step], workspace: Path, cores: int, on_cluster: bool
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Lock the folder, write the plan there, and yield the call of Snakemake on it and what is outdated."""
    work = Workspace(Path(workspace).resolve())
    at_work = f"{work.root}: another run is at work in this folder; wait for its end or stop it"
    with holding(work.root / ".run.lock", at_work):
        gpus = [] if on_cluster else visible_gpus()  # the cluster knows how many there are
        outdated = {}  # the steps that were done with other parameters, code or inputs, and in words which
        described, names = {}, [step.name for step in plan]
        for step in plan:
            check_gpus(step.name, step.gpus, gpus)
            if reason := why_outdated(work, step.name, step_state(step.notebook, step.parameters, work)):
                outdated[step.name] = reason
            words = [step.notebook]
            for name, value in sorted(step.parameters.items()):
                words += ["-p", name, value if isinstance(value, str) else json.dumps(value)]
            sources, text = steps.reads(step.notebook, step.resolved, names), shlex.join(words)
            described[step.name] = {"parameters": step.resolved, "reads": sources, "words": text, "gpus": step.gpus}
        write_json(work.root / "plan.json", {"python": sys.executable, "cores": cores, "steps": described}, indent=True)
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
