"""What a run consists of: the table of experiments, profiles, and the plan of steps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError

from kps.files import InputError, read_bytes
from kps.flow import steps
from kps.flow.prepare import coco_sources, has_test
from kps.schema import CATEGORIES, package_data
from kps.workspace import GROUND_TRUTH, SPLITS

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
