"""Where every artifact of a run lies, the record that a step leaves, and what tells that code or content changed."""

import ast
import hashlib
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from kps.files import InputError, available_cores, identity, read_json, sha256, write_json

SPLITS = ("train", "validation", "test")
REPOSITORY = Path(__file__).resolve().parents[1]  # notebooks count relative paths from here
BUILT_IN = "built-in"  # the source of the procedural data, as the records have it
FINAL = "final.pth"  # a training's last checkpoint
GROUND_TRUTH = "ground_truth"  # the name under which ground-truth boxes stand beside the detectors


def check_split(split: str) -> str:
    """Return `split`, or raise InputError where it is none of the three."""
    if split not in SPLITS:
        raise InputError(f"expected a split out of {', '.join(SPLITS)}, but got {split!r}")
    return split


class Workspace:
    """The work folder of one run of the flow, `root`."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.built_in_data = self.root / "data"  # the built-in data set, in the raw DeepFashion2 layout
        self.data = self.root / "data.json"  # which image folder each split has, and where the data come from
        self.homogeneity = self.root / "homogeneity.json"  # distances between the 294 landmarks
        self.study = self.root / "study"  # trainings that compare aggregation maps, a folder each
        self.report = self.root / "report.html"  # the report as one HTML file

    def coco(self, split: str) -> Path:
        """COCO-294 annotations of a split, visible and occluded landmarks."""
        return self.root / "coco" / f"{check_split(split)}.json"

    def coco_visible_only(self, split: str) -> Path:
        """COCO-294 annotations of a split, occluded landmarks unlabelled."""
        return self.root / "coco" / f"{check_split(split)}_visible_only.json"

    def write_data(self, image_dirs: dict[str, Path], *, source: str) -> None:
        """Remember each split's image folder; `source` says in words where the data come from."""
        folders = {check_split(split): str(path) for split, path in image_dirs.items()}
        write_json(self.data, {"source": source, "image_dirs": folders}, indent=True)

    def image_dir(self, split: str) -> Path:
        """The image folder of a split, as 01_prepare_data noted it."""
        self.available([split])
        return Path(read_json(self.data)["image_dirs"][split])

    def available(self, splits: Sequence[str]) -> list[str]:
        """Those of the splits that the data have: the test split may be absent.

        InputError: the data have none of them.
        """
        folders = read_json(self.data)["image_dirs"]
        found = [split for split in splits if check_split(split) in folders]
        if not found:
            wanted = " or ".join(splits)
            raise InputError(f"{self.data}: no images of the {wanted} split, only of {', '.join(folders)}")
        return found

    def data_source(self) -> str:
        """In words where the data come from ("built-in" for the procedural set)."""
        return read_json(self.data)["source"]

    def aggregation(self, name: str) -> Path:
        """The aggregation map of that name."""
        return self.root / "aggregation" / f"{name}.json"

    def detector_dir(self, detector: str) -> Path:
        """Training folder of a detector."""
        return self.root / "detectors" / detector

    def detections(self, detector: str, split: str) -> Path:
        """Boxes of a split from a detector, or GROUND_TRUTH's, in the public box format."""
        return self.root / "detections" / detector / f"{check_split(split)}.json"

    def universal_dir(self, aggregation: str) -> Path:
        """Training folder of the universal landmark model."""
        return self.root / "landmarks" / aggregation / "universal"

    def finetune_dir(self, aggregation: str, variant: str, category_id: int) -> Path:
        """Training folder of a landmark model finetuned for one category; `variant` says how."""
        if not re.fullmatch(r"[\w.-]+", variant):
            raise InputError(f"expected a variant's name of letters and digits, but got {variant!r}")
        return self.root / "landmarks" / aggregation / f"finetune_{variant}" / f"category_{category_id:02d}"

    def predictions(self, run: str, split: str) -> Path:
        """Landmarks of a split as predicted by a named run."""
        return self.root / "predictions" / run / f"{check_split(split)}.npz"

    def record(self, step: str) -> Path:
        """What a step did: parameters, hashes, versions, metrics."""
        return self.root / "records" / f"{step}.json"

    def executed(self, step: str) -> Path:
        """The executed copy of a step's notebook."""
        return self.root / "executed" / f"{step}.ipynb"

    def figure(self, name: str) -> Path:
        """A picture of the report, for the README."""
        return self.root / "figures" / f"{name}.png"


def submission_zip(name: str, folder: Path = Path("submissions")) -> Path:
    """The zip of a submission."""
    return folder / name / "submission.zip"


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse outputs that would destroy an input, each other or raw data, before anything is done.

    InputError: an output is an input or another output, under whatever name, or lies in raw data.
    """
    used = {identity(path): path for path in inputs}
    roots = [Path(os.path.realpath(path)) for path in used.values()]
    for output in outputs:
        if other := used.get(identity(output)):
            raise InputError(f"{output}: expected a place of its own to write to, but it is {other} too")
        used[identity(output)] = output
        path = Path(os.path.realpath(output))
        for folder in (path, *path.parents):
            # A raw set's own folder may be the home of much else: it counts below an input, or right above.
            near = folder in (path, path.parent) or not set(roots).isdisjoint((folder, *folder.parents))
            splits = (folder, *(folder / name for name in SPLITS)) if near else (folder,)
            has_photos = any(split.name.lower() in SPLITS and (split / "image").is_dir() for split in splits)
            if has_photos or (folder.name.startswith("json_for_") and folder.is_dir()):
                raise InputError(f"{output}: expected an output outside of raw data, but it lies in {folder}")


PACKAGE = Path(__file__).parent
# They say how files are read and written and where they lie, not what is in them.
HANDLING = ("kps.files", "kps.workspace", "kps.flow.steps")


def code_sha256(names: Iterable[str], *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Digests, by name, of the package's modules that are named or imported by these, within functions too.

    Tables of kps/data and configurations that a module names count as well; comments, docstrings and layout do not.
    `names` of other packages are passed over; modules whose names begin as one of `without` do not count, nor what only
    they import.
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
    """The modules, tables and configurations of this package that code names; of `from a import b` a.b if a module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {part for part in parts if _file(part)} or {str(node.module)}
        elif isinstance(node, ast.Constant) and str(node.value).endswith((".json", ".yaml", ".py")):
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
    """The file of a module of this package, of a table that it carries, or of a shipped configuration."""
    if re.fullmatch(r"\w+/[\w/]+\.(json|yaml)", name):
        choices = [PACKAGE / name]
    elif re.fullmatch(r"[./]*(?!__)\w+\.py", name):  # "lite.py", or "./lite.py" as another's base
        choices = list(PACKAGE.glob(f"configs/**/{Path(name).name}"))
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
            texts = [line for line in node.body if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)]
            node.body = [line for line in node.body if line not in texts]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16], names


PACKAGES = ("torch", "onedl-mmcv", "onedl-mmdetection", "mmpose", "numpy", "pycocotools")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{package: metadata.version(package) for package in PACKAGES}}


@cache
def hardware() -> str:
    """The machine in words: processor, cores in use, memory, GPUs."""

    def values(file: Path, name: str) -> list[str]:  # of a table of /proc; [] where there is none
        lines = file.read_text().splitlines() if file.is_file() else []
        return [line.partition(":")[2].strip() for line in lines if line.startswith(name)]

    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = next(iter(values(Path("/proc/cpuinfo"), "model name")), platform.machine())
    folders = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    gpus = " + ".join(name for file in folders for name in values(file, "Model"))
    return f"{processor}, {available_cores()} cores, {memory_gib:.0f} GiB, {gpus or 'no GPU'}"


@dataclass(frozen=True)
class Record:
    """One step's record; `inputs` maps a name to a path and its SHA-256, `outputs` a name to a path."""

    step: str
    parameters: dict[str, Any]
    inputs: dict[str, dict[str, str]]
    outputs: dict[str, str]
    metrics: dict[str, Any]
    seconds: float
    finished: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=versions)
    hardware: str = field(default_factory=hardware)


def write_record(
    path: Path,
    *,
    step: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path],
    metrics: Mapping[str, Any],
    seconds: float,
) -> Record:
    """Write a step's record, atomically, as the step's last act.

    InputError: an input or an output is absent, so the step is not done.
    """
    for name, file in {**inputs, **outputs}.items():
        if not Path(file).exists():
            raise InputError(f"{path}: step {step} names {name} = {file}, which does not exist")
    hashed = {name: {"path": str(file), "sha256": sha256(file)} for name, file in inputs.items()}
    written = {name: str(file) for name, file in outputs.items()}
    record = Record(step, dict(parameters), hashed, written, dict(metrics), round(float(seconds), 1))
    write_json(path, asdict(record), indent=True)
    return record


def load_record(path: Path) -> Record:
    """Read a step's record; InputError: the file is absent or is no record."""
    value = read_json(path)
    names = {field.name for field in fields(Record)}
    if not isinstance(value, dict) or set(value) != names:
        got = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise InputError(f"{path}: expected a record with {sorted(names)}, but got {got}")
    return Record(**value)


def load_records(folder: Path) -> dict[str, Record]:
    """Read all records of a folder, by step."""
    records = [load_record(path) for path in sorted(Path(folder).glob("*.json"))]
    return {record.step: record for record in records}
