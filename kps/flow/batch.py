"""What a run consists of: the table of experiments, profiles, and the plan of steps."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kps.files import InputError, read_bytes
from kps.flow.notebook import find_notebook
from kps.flow.parameters import check_parameters, read_parameters
from kps.flow.prepare import coco_sources, has_test
from kps.flow.steps import (
    AGGREGATION,
    DETECTOR,
    ENSEMBLE,
    FINETUNE,
    HOMOGENEITY,
    LANDMARKS,
    NOTEBOOK_FOLDER,
    NOTEBOOKS,
    PREDICT,
    PREPARE,
    REPORT,
    SUBMISSION,
    gpus_wanted,
    step_name,
)  # fmt: skip
from kps.schema import CATEGORIES, package_data
from kps.workspace import GROUND_TRUTH, SPLITS

ALL, DEFAULT_AGGREGATION = "all", "hand81"
Entry = tuple[str, dict[str, Any]]  # a notebook and its parameters
DATA = ("built-in", "own")
STEP_KEYS = {"notebook", "for_each", "parameters"}


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
        found[SUBMISSION] = (SUBMISSION, {"run": preferred})
    return sorted([*found.values(), (REPORT, {})], key=lambda entry: NOTEBOOKS.index(entry[0]))


def _steps_of(name: str) -> list[Entry]:
    """The steps up to an experiment's predictions."""
    given = shipped()["experiments"][name]
    if "runs" in given:
        return [*(entry for run in given["runs"] for entry in _steps_of(run)), (ENSEMBLE, {"run": name, **given})]
    groups = {"aggregation": given.get("aggregation", DEFAULT_AGGREGATION)}
    entries = [(PREPARE, {}), (HOMOGENEITY, {}), (AGGREGATION, groups), (LANDMARKS, groups)]
    if given["boxes"] != GROUND_TRUTH:
        entries.append((DETECTOR, {"detector": given["boxes"]}))
    if given["model"].startswith("finetune_"):
        variant = given["model"].removeprefix("finetune_")
        shared = {**groups, "variant": variant, **shipped()["finetuning"][variant]}
        entries += [(FINETUNE, {"category_id": item.id, **shared}) for item in CATEGORIES]
    return [*entries, (PREDICT, {"run": name, **given})]


@dataclass(frozen=True)
class Profile:
    """A profile's content; each of `steps` is a notebook's name and parameters."""

    name: str
    configs: Mapping[str, str]
    data: str
    parameters: Mapping[str, Mapping[str, Any]]
    steps: tuple[Entry, ...]


@dataclass(frozen=True)
class Step:
    """One notebook run of a plan: `parameters` to pass, `resolved` with the defaults, how many `gpus` to hold."""

    name: str
    notebook: str
    parameters: Mapping[str, Any]
    resolved: Mapping[str, Any]
    gpus: int = 0


def load_profile(name: str, experiments: Iterable[str] = ()) -> Profile:
    """Read a shipped profile by name, or a YAML file of one's own by its path.

    `experiments` are named instead of the profile's own. InputError: no such profile, broken YAML, or an unknown key,
    notebook or experiment.
    """
    path, value = Path(name), shipped()["profiles"].get(name)
    if value is None:
        if not path.is_file():
            raise InputError(f"no profile {name!r}; there are {', '.join(shipped()['profiles'])}, or give a YAML file")
        try:
            value = yaml.safe_load(read_bytes(path))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: expected YAML, but {error}") from None
    work = {"steps", "experiments"}
    if not isinstance(value, dict) or not set(value) <= {"configs", "data", "parameters", *work} or not work & {*value}:
        got = sorted(map(str, value)) if isinstance(value, dict) else type(value).__name__
        raise InputError(f"{path}: expected steps or experiments, and perhaps configs, data, parameters, but got {got}")
    data = value.get("data", DATA[0])
    if data not in DATA:
        raise InputError(f"{path}: expected data: {' or '.join(DATA)}, but got {data!r}")
    shared = _mapping(value.get("parameters"), f"{path}: parameters")
    for notebook, parameters in shared.items():
        _mapping(parameters, f"{path}: parameters of {_known(notebook, path)}")
    lists = {key: value.get(key, []) for key in work}
    if not all(isinstance(items, list) for items in lists.values()) or not any(lists.values()):
        raise InputError(f"{path}: expected steps and experiments to be lists, and at least one step")
    named = tuple(map(str, experiments or lists["experiments"]))
    steps = experiment_steps(named) if named else []
    steps += [step for item in lists["steps"] for step in _steps(item, path)]
    return Profile(path.stem, _mapping(value.get("configs"), f"{path}: configs"), data, shared, tuple(steps))


def _steps(item: Any, path: Path) -> Iterator[Entry]:
    """One entry of `steps`: a notebook's name, or a mapping that may stand for several steps."""
    entry = {"notebook": item} if isinstance(item, str) else _mapping(item, f"{path}: a step")
    if "notebook" not in entry or not set(entry) <= STEP_KEYS:
        keys = ", ".join(sorted(STEP_KEYS))
        raise InputError(f"{path}: expected a step with {keys}, but got {', '.join(map(str, entry))}")
    notebook = _known(entry["notebook"], path)
    axes = _mapping(entry.get("for_each"), f"{path}: for_each of {notebook}")
    if not all(isinstance(values, list) for values in axes.values()):
        raise InputError(f"{path}: expected for_each of {notebook} to give a list for each parameter")
    parameters = _mapping(entry.get("parameters"), f"{path}: parameters of {notebook}")
    for values in itertools.product(*axes.values()):
        yield notebook, {**parameters, **dict(zip(axes, values, strict=True))}


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict | None):
        raise InputError(f"{what}: expected a mapping, but got {value!r}")
    return value or {}


def _known(notebook: Any, path: Path) -> str:
    if notebook not in NOTEBOOKS:
        raise InputError(f"{path}: unknown notebook {notebook!r}; there are {', '.join(NOTEBOOKS)}")
    return notebook


def parse_overrides(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read `notebook.parameter=value` texts; a notebook may be shortened ("04.epochs=2"); else InputError."""
    overrides: dict[str, dict[str, str]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        start, dot, parameter = target.partition(".")
        if not (equals and dot and start and parameter):
            raise InputError(f"expected notebook.parameter=value, but got {text!r}")
        matches = [name for name in NOTEBOOKS if name.startswith(start)]
        if len(matches) != 1:
            raise InputError(f"{text!r}: expected one notebook's beginning out of {', '.join(NOTEBOOKS)}")
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


def make_plan(
    profile: Profile, overrides: Mapping[str, Mapping[str, Any]], *, folder: Path = NOTEBOOK_FOLDER
) -> list[Step]:
    """Resolve a profile into steps with checked parameters; without a test split there is no 09_submission.

    InputError: an unknown or mistyped parameter, two steps of one name, one that would choose by photos that 05 learns
    from, or a profile that needs one's own photos and gets none.

    Args:
        profile: from `load_profile`.
        overrides: parameters by notebook that go before the profile's.
        folder: where the notebooks lie.
    """
    prepare, notebooks = overrides.get(PREPARE, {}), {notebook for notebook, _ in profile.steps}
    if profile.data == "own" and not (coco_sources(prepare)[0] or "data_root" in prepare):
        raise InputError(f"profile {profile.name} needs --data-root, or --coco-file and --image-dir")
    if absent := [notebook for notebook in overrides if notebook not in notebooks]:
        raise InputError(f"profile {profile.name} has no step {absent[0]}, so its parameters cannot be set")
    plan: dict[str, Step] = {}
    for notebook, own in profile.steps:
        path, shared = find_notebook(notebook, folder), profile.parameters.get(notebook, {})
        parameters = {**_config(profile, notebook, own), **shared, **own, **overrides.get(notebook, {})}
        checked = check_parameters(path, parameters)
        resolved = {item.name: item.default for item in read_parameters(path).values()} | checked
        name = step_name(notebook, resolved)
        if name in plan:
            raise InputError(f"profile {profile.name}: two steps are called {name}")
        plan[name] = Step(name, notebook, checked, resolved, gpus_wanted(notebook, resolved))
    if not has_test(plan[PREPARE].resolved if PREPARE in plan else {}):
        plan.pop(SUBMISSION, None)
    for step in (step for step in plan.values() if step.notebook == FINETUNE):
        universal = plan.get(step_name(LANDMARKS, step.resolved))
        own, allowed = step.resolved.get("held_out", 0), universal.resolved.get("held_out", 0) if universal else 0
        if own > allowed:
            raise InputError(f"{step.name}: expected held_out to be at most 05's, {allowed}, but got {own}")
    return list(plan.values())


def _config(profile: Profile, notebook: str, own: Mapping[str, Any]) -> dict[str, str]:
    """The configuration that a training takes by the profile, as its parameter."""
    model = {DETECTOR: own.get("detector", "htc"), LANDMARKS: "landmarks", FINETUNE: "landmarks"}.get(notebook)
    return {"config": profile.configs[model]} if model in profile.configs else {}
