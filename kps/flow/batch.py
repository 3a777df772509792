"""What a run consists of: the table of experiments, profiles, the plan of steps, and what it would cost."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import kps
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
    needs,
    step_name,
)
from kps.report.tables import PAPER
from kps.schema import CATEGORIES, package_data
from kps.workspace import GROUND_TRUTH, SPLITS

ALL = "all"
DEFAULT_AGGREGATION = "hand81"
Entry = tuple[str, dict[str, Any]]  # a notebook and its parameters


@dataclass(frozen=True)
class Experiments:
    """The table: parameters of the predictions by experiment, and of the finetuning by variant."""

    predictions: Mapping[str, Mapping[str, Any]]
    finetuning: Mapping[str, Mapping[str, Any]]

    @classmethod
    def shipped(cls) -> "Experiments":
        """Read kps/flow/experiments.yaml."""
        value = yaml.safe_load(package_data("flow/experiments.yaml"))
        return cls(value["experiments"], value["finetuning"])

    def steps(self, names: Iterable[str]) -> list[Entry]:
        """Return the steps of the named experiments ("all": of every one), in the notebooks' order.

        Raises:
            InputError: an unknown name; the known ones are listed.
        """
        wanted = list(dict.fromkeys(names))
        for name in wanted:
            if name not in (*self.predictions, ALL):
                raise InputError(
                    f"no experiment {name!r}; there are {', '.join(self.predictions)}, or {ALL} for every one"
                )
        if ALL in wanted:
            wanted = list(self.predictions)
        found: dict[str, Entry] = {}
        for name in wanted:
            for entry in self._of(name):
                found.setdefault(repr(entry), entry)
        last = self._last(wanted)
        return sorted([*found.values(), *last], key=lambda entry: NOTEBOOKS.index(entry[0]))

    def _of(self, name: str) -> list[Entry]:
        """The steps up to an experiment's predictions."""
        given = dict(self.predictions[name])
        if "runs" in given:
            members = [entry for member in given["runs"] for entry in self._of(member)]
            return [*members, (ENSEMBLE, {"run": name, **given})]
        aggregation = given.get("aggregation", DEFAULT_AGGREGATION)
        entries: list[Entry] = [(PREPARE, {}), (HOMOGENEITY, {})]
        entries += [(notebook, {"aggregation": aggregation}) for notebook in (AGGREGATION, LANDMARKS)]
        if given["boxes"] != GROUND_TRUTH:
            entries.append((DETECTOR, {"detector": given["boxes"]}))
        if given["model"].startswith("finetune_"):
            entries += self._finetuning(given["model"].removeprefix("finetune_"), aggregation)
        return [*entries, (PREDICT, {"run": name, **given})]

    def _finetuning(self, variant: str, aggregation: str) -> list[Entry]:
        shared = {"aggregation": aggregation, "variant": variant, **self.finetuning[variant]}
        return [(FINETUNE, {"category_id": item.id, **shared}) for item in CATEGORIES]

    def _last(self, names: list[str]) -> list[Entry]:
        """Submit the last experiment that predicts the test split, if any, and report on all."""
        submitted = [name for name in names if "test" in self.predictions[name].get("splits", ["test"])]
        preferred = "ensemble" if "ensemble" in submitted else submitted[-1] if submitted else None
        return [*([(SUBMISSION, {"run": preferred})] if preferred else []), (REPORT, {})]


PROFILE_FOLDER = Path(kps.__file__).parent / "flow" / "profiles"
DATA = ("built-in", "own")
STEP_KEYS = {"notebook", "for_each", "parameters"}


@dataclass(frozen=True)
class Profile:
    """A profile file's content; each of `steps` is a notebook's name and parameters."""

    name: str
    configs: Mapping[str, str]
    data: str
    parameters: Mapping[str, Mapping[str, Any]]
    steps: tuple[tuple[str, Mapping[str, Any]], ...]


@dataclass(frozen=True)
class Step:
    """One notebook run of a plan: `parameters` to pass, `needs` that come before, how many `gpus` to hold."""

    name: str
    notebook: str
    parameters: Mapping[str, Any]
    needs: list[str] = field(default_factory=list)
    gpus: int = 0


def profile_names() -> list[str]:
    """Names of the shipped profiles."""
    return sorted(path.stem for path in PROFILE_FOLDER.glob("*.yaml"))


def load_profile(name: str, experiments: Iterable[str] = ()) -> Profile:
    """Read a shipped profile by name, or a file of one's own by its path.

    Args:
        name: of the profile, or its file.
        experiments: names of experiments instead of the profile's own.

    Raises:
        InputError: no such profile, broken YAML, or an unknown key, notebook or experiment.
    """
    shipped = PROFILE_FOLDER / f"{name}.yaml"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file():
        shipped_names = ", ".join(profile_names())
        raise InputError(f"no profile {name!r}; there are {shipped_names}, or give a YAML file")
    try:
        value = yaml.safe_load(read_bytes(path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected YAML, but {error}") from None
    work = {"steps", "experiments"}
    allowed = {"configs", "data", "parameters", *work}
    if not isinstance(value, dict) or not set(value) <= allowed or not work & set(value):
        got = sorted(map(str, value)) if isinstance(value, dict) else type(value).__name__
        raise InputError(f"{path}: expected steps or experiments, and perhaps configs, data, parameters, but got {got}")
    data = value.get("data", DATA[0])
    if data not in DATA:
        raise InputError(f"{path}: expected data: {' or '.join(DATA)}, but got {data!r}")
    shared = _mapping(value.get("parameters"), f"{path}: parameters")
    for notebook, parameters in shared.items():
        _known(notebook, path)
        _mapping(parameters, f"{path}: parameters of {notebook}")
    lists = {key: value.get(key, []) for key in work}
    if not all(isinstance(items, list) for items in lists.values()) or not any(lists.values()):
        raise InputError(f"{path}: expected steps and experiments to be lists, and at least one step")
    named = tuple(map(str, experiments or lists["experiments"]))
    steps = Experiments.shipped().steps(named) if named else []
    steps += [step for item in lists["steps"] for step in _steps(item, path)]
    return Profile(path.stem, _mapping(value.get("configs"), f"{path}: configs"), data, shared, tuple(steps))


def _steps(item: Any, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
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
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{what}: expected a mapping, but got {value!r}")
    return value


def _known(notebook: Any, path: Path) -> str:
    if notebook not in NOTEBOOKS:
        raise InputError(f"{path}: unknown notebook {notebook!r}; there are {', '.join(NOTEBOOKS)}")
    return notebook


def parse_overrides(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read `notebook.parameter=value` texts; a notebook may be shortened ("04.epochs=2").

    Raises:
        InputError: a text has another form, or the notebook is unknown or ambiguous.
    """
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
    """Read [SPLIT=]PATH texts as parameters of 01_prepare_data: `name` of a split, `option` without one.

    Raises:
        InputError: two paths for the same.
    """
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
    """Resolve a profile into steps with checked parameters, each knowing what it needs.

    Without a test split there is nothing to submit: 09_submission is left out.

    Args:
        profile: from `load_profile`.
        overrides: parameters by notebook that go before the profile's.
        folder: where the notebooks lie.

    Raises:
        InputError: an unknown or mistyped parameter, two steps of one name, a step that nothing provides for,
            one that would choose by photos that 05 learns from, or a profile that needs one's own photos and
            gets none.
    """
    _check_data(profile, overrides)
    absent = [notebook for notebook in overrides if notebook not in {name for name, _ in profile.steps}]
    if absent:
        raise InputError(f"profile {profile.name} has no step {absent[0]}, so its parameters cannot be set")
    given, full = {}, {}
    for notebook, own in profile.steps:
        path = find_notebook(notebook, folder)
        shared = profile.parameters.get(notebook, {})
        parameters = {**_config(profile, notebook, own), **shared, **own, **overrides.get(notebook, {})}
        checked = check_parameters(path, parameters)
        resolved = {item.name: item.default for item in read_parameters(path).values()} | checked
        name = step_name(notebook, resolved)
        if name in given:
            raise InputError(f"profile {profile.name}: two steps are called {name}")
        given[name], full[name] = (notebook, checked), resolved
    if not has_test(full.get(PREPARE, {})):
        for steps in (given, full):
            steps.pop(SUBMISSION, None)
    plan = [
        Step(name, notebook, parameters, needs(notebook, full[name], full), gpus_wanted(notebook, full[name]))
        for name, (notebook, parameters) in given.items()
    ]
    for step in (step for step in plan if step.notebook == FINETUNE):
        own, universal = (full[name].get("held_out", 0) for name in (step.name, *step.needs))
        if own > universal:
            raise InputError(f"{step.name}: expected held_out to be at most 05's, {universal}, but got {own}")
    return plan


def _config(profile: Profile, notebook: str, own: Mapping[str, Any]) -> dict[str, str]:
    """The configuration that a training takes by the profile, as its parameter."""
    model = {DETECTOR: own.get("detector", "htc"), LANDMARKS: "landmarks", FINETUNE: "landmarks"}.get(notebook)
    return {"config": profile.configs[model]} if model in profile.configs else {}


def _check_data(profile: Profile, overrides: Mapping[str, Mapping[str, Any]]) -> None:
    prepare = overrides.get(PREPARE, {})
    files, _ = coco_sources(prepare)
    if profile.data == "own" and not (files or "data_root" in prepare):
        raise InputError(f"profile {profile.name} needs --data-root, or --coco-file and --image-dir")


TRAIN_PHOTOS, VALIDATION_PHOTOS, TEST_PHOTOS = 191_961, 32_153, 62_629
EPOCHS = {LANDMARKS: 12, FINETUNE: 12, DETECTOR: 20}
VIEWS = 6  # three scales, each mirrored
BOXES_PER_PHOTO = 6  # above score 0.01
GB = {PREPARE: 3.0, DETECTOR: 0.6, LANDMARKS: 0.26, FINETUNE: 0.26, PREDICT: 0.3}


@dataclass(frozen=True)
class Speeds:
    """What a GPU does a second: crops of the landmark model, photos and test views of the detectors."""

    train_crops: float = 300.0
    predict_crops: float = 900.0
    train_photos_htc: float = 5.0
    train_photos_cascade: float = 8.0
    test_views: float = 25.0


ASSUMED = Speeds()


@dataclass(frozen=True)
class Estimate:
    """GPU hours of one step, and the disk it keeps, in GB."""

    gpu_hours: float
    disk_gb: float


def estimate(step: Step, speeds: Speeds = ASSUMED) -> Estimate:
    """Return what a step of the paper's size would cost."""
    return Estimate(_seconds(step, speeds) / 3600, GB.get(step.notebook, 0.01))


def total(steps: Iterable[Step], speeds: Speeds = ASSUMED) -> Estimate:
    """Return the sum over steps."""
    each = [estimate(step, speeds) for step in steps]
    return Estimate(sum(one.gpu_hours for one in each), sum(one.disk_gb for one in each))


def _seconds(step: Step, speeds: Speeds) -> float:
    given = step.parameters
    epochs = given.get("epochs") or EPOCHS.get(step.notebook, 0)
    items = PAPER["table3"]["num_train"]
    if step.notebook == LANDMARKS:
        return sum(items) * epochs / speeds.train_crops
    if step.notebook == FINETUNE:
        return items[given.get("category_id", 1) - 1] * epochs / speeds.train_crops
    if step.notebook == DETECTOR:
        rate = getattr(speeds, f"train_photos_{given.get('detector', 'htc')}")
        return TRAIN_PHOTOS * epochs / rate + (VALIDATION_PHOTOS + TEST_PHOTOS) * VIEWS / speeds.test_views
    if step.notebook == PREDICT:
        views = 2 if given.get("flip_test", True) else 1
        on_truth = given.get("boxes") == GROUND_TRUTH
        photos = VALIDATION_PHOTOS + TEST_PHOTOS
        boxes = sum(PAPER["table3"]["num_val"]) if on_truth else photos * BOXES_PER_PHOTO
        return boxes * views / speeds.predict_crops
    return 0.0
