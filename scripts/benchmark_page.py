"""The page of `benchmark_data.py`: one table, what was run, and on what machine."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import psutil
from benchmark_measures import MEASURES, Facts, Measure

LIBRARIES = ("numpy", "orjson", "pillow", "pycocotools")
GB = 1e9


@dataclass
class Outcome:
    """What the repeats of a measure gave."""

    seconds: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    facts: Facts = field(default_factory=dict)
    not_run: str = ""


def make_page(outcomes: dict[str, Outcome], command: str) -> str:
    """Return the page in Markdown."""
    head = ["what", "how", "seconds", "memory, GB", "result", "target", "met"]
    rows = [_row(MEASURES[name], outcome) for name, outcome in outcomes.items()]
    lines = [head, ["---", "---", "---:", "---:", "---", "---", "---"], *rows]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    ways = "\n".join(f"- {line}" for line in dict.fromkeys(_way(MEASURES[name]) for name in outcomes))
    return f"""# Data benchmarks

Time and memory of the data paths at the size of the released data set, beside the plain way to do the same.
Photos and annotations are those of the built-in set, repeated and moved by some pixels; counts are the data
set's, items of each category those of Table 3 of the paper. Written by

```
{command}
```

{table}

Seconds are the median, with the range where there are repeats. Memory is the peak above the start of what is
timed, as resident memory of the process and its workers; pages that they share count in each. Ours and the
plain way must give the same result, or the script fails.

{ways}

{_machine()}

Elsewhere: `scripts/benchmark_homogeneity.py` times the analysis of landmark homogeneity on 312,186
annotations ([results](results.md)). Training and prediction on a GPU were not measured, since none was at
hand: `scripts/bench_gpu.py` does it in one call.
"""


def disagreements(outcomes: dict[str, Outcome]) -> list[str]:
    """Say where ours and the plain way of a subject found different things."""
    first: dict[str, Facts] = {}
    lines = []
    for name, outcome in outcomes.items():
        if outcome.seconds:
            expected = first.setdefault(MEASURES[name].subject, outcome.facts)
            if outcome.facts != expected:
                lines.append(f"{MEASURES[name].subject}: expected {expected}, but got {outcome.facts}")
    return lines


def _row(measure: Measure, outcome: Outcome) -> list[str]:
    if not outcome.seconds:
        return [measure.subject, measure.way, "not run", "", outcome.not_run, _target(measure), ""]
    seconds, peaks = outcome.seconds, [value / GB for value in outcome.peak_bytes]
    result = ", ".join(
        f"{value:,} {key}" if isinstance(value, int) else f"{key} {value}"
        for key, value in outcome.facts.items()
    )
    figures = [_median(seconds, ".1f"), _median(peaks, ".2f"), result]
    return [
        measure.subject, measure.way, *figures, _target(measure), _met(measure, max(seconds), max(peaks))
    ]  # fmt: skip


def _median(values: list[float], digits: str) -> str:
    text = format(statistics.median(values), digits)
    if len(values) == 1:
        return text
    return f"{text} ({format(min(values), digits)} to {format(max(values), digits)})"


def _target(measure: Measure) -> str:
    limits = [(measure.target.seconds, "s"), (measure.target.peak_gb, "GB")]
    return ", ".join(f"at most {limit:g} {unit}" for limit, unit in limits if limit is not None)


def _met(measure: Measure, seconds: float, peak_gb: float) -> str:
    limits = [(measure.target.seconds, seconds), (measure.target.peak_gb, peak_gb)]
    within = [value <= limit for limit, value in limits if limit is not None]
    return "" if not within else "yes" if all(within) else "no"


def _way(measure: Measure) -> str:
    run = measure.run.func if isinstance(measure.run, partial) else measure.run
    return f"{measure.subject.split(',')[0]}, {measure.way}: {run.__doc__.splitlines()[0]}"


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"Machine: {_cpu()}, {len(os.sched_getaffinity(0))} cores, "
        f"{psutil.virtual_memory().total / GB:.0f} GB of memory; {platform.system()}, "
        f"Python {platform.python_version()}, {libraries}."
    )


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "CPU of an unknown model"
