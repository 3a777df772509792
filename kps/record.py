"""What a step did, written as its last act: parameters, input hashes, versions, hardware, metrics."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from kps.errors import InputError
from kps.files import read_json, sha256, write_json

PACKAGES = ("torch", "onedl-mmcv", "onedl-mmdetection", "mmpose", "numpy", "pycocotools")


@dataclass(frozen=True)
class Record:
    """One step's record; `inputs` maps a name to a path and its SHA-256, `outputs` a name to a path."""

    step: str
    parameters: dict[str, Any]
    inputs: dict[str, dict[str, str]]
    outputs: dict[str, str]
    metrics: dict[str, Any]
    seconds: float
    finished: str
    versions: dict[str, str]
    hardware: str


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

    Raises:
        InputError: an input or an output is absent, so the step is not done.
    """
    for name, file in {**inputs, **outputs}.items():
        if not Path(file).exists():
            raise InputError(f"{path}: step {step} names {name} = {file}, which does not exist")
    record = Record(
        step=step,
        parameters=dict(parameters),
        inputs={name: {"path": str(file), "sha256": sha256(file)} for name, file in inputs.items()},
        outputs={name: str(file) for name, file in outputs.items()},
        metrics=dict(metrics),
        seconds=round(float(seconds), 1),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        hardware=hardware(),
    )
    write_json(path, asdict(record), indent=True)
    return record


def load_record(path: Path) -> Record:
    """Read a step's record.

    Raises:
        InputError: the file is absent or is no record.
    """
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


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


@lru_cache(maxsize=1)
def hardware() -> str:
    """The machine in words: processor, cores in use, memory, GPUs."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    text = f"{_processor_name()}, {len(os.sched_getaffinity(0))} cores, {memory_gib:.0f} GiB"
    gpus = _gpu_names()
    return f"{text}, {' + '.join(gpus)}" if gpus else f"{text}, no GPU"


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _gpu_names() -> list[str]:
    folder = Path("/proc/driver/nvidia/gpus")
    names = []
    for file in sorted(folder.glob("*/information")):
        names += [
            line.split(":", 1)[1].strip()
            for line in file.read_text().splitlines()
            if line.startswith("Model")
        ]
    return names
