#!/usr/bin/env python3
"""Time and memory of the data paths at the released size, beside the plain ways to do the same.

    python scripts/benchmark_data.py --out docs/benchmarks.md

Makes a raw tree of the released size in a temporary folder (a minute and 2 GB; `--full` also the training
split, 4 minutes and 4 GB), measures each thing in a process of its own, and prints a Markdown page.
"""

from __future__ import annotations

import argparse
import select
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import orjson
import psutil
from benchmark_measures import MEASURES, Inputs
from benchmark_page import GB, Outcome, disagreements, make_page
from benchmark_tree import PHOTOS, make_results, write_tree

from kps.coco import load_coco
from kps.convert import convert_split
from kps.errors import InputError
from kps.files import atomic_path
from kps.predictions import top_rows
from kps.submission import NAME_IN_ZIP, write_submission

NUM_RESULTS = 500_000
SAMPLE_SECONDS = 0.02


def main(argv: list[str] | None = None) -> int:
    """Prepare, measure, print; 1 where the input is at fault or ours and the plain way disagree."""
    arguments = _parser().parse_args(argv)
    if arguments.measure:
        return run_measure(arguments.measure[0], Path(arguments.measure[1]))
    try:
        if arguments.folder:
            arguments.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="benchmark.", dir=arguments.folder) as folder:
            inputs = Inputs(Path(folder))
            prepare(inputs, full=arguments.full, share=arguments.share)
            outcomes = measure_all(inputs, arguments)
    except InputError as error:
        print(f"benchmark_data: {error}", file=sys.stderr)
        return 1
    page = make_page(outcomes, _command(arguments))
    print(page)
    if arguments.out:
        with atomic_path(arguments.out) as temporary:
            temporary.write_text(page, encoding="utf-8")
    differing = disagreements(outcomes)
    for line in differing:
        print(f"benchmark_data: {line}", file=sys.stderr)
    return 1 if differing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, help="where to make the tree (the system's temporary folder)")
    parser.add_argument("--full", action="store_true", help="the training split too")
    parser.add_argument("--share", type=float, default=1.0, help="of every count, for a quick look (1)")
    parser.add_argument("--repeats", type=int, default=1, help="times that each is measured (1)")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="these measures")
    parser.add_argument("--out", type=Path, help="write the page there too")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)  # a process of its own, NAME and folder
    return parser


def _command(arguments: argparse.Namespace) -> str:
    """The command without what does not change the figures."""
    words = ["python scripts/benchmark_data.py", "--full"][: 1 + arguments.full]
    for name, default in (("share", 1.0), ("repeats", 1)):
        if getattr(arguments, name) != default:
            words.append(f"--{name} {getattr(arguments, name):g}")
    return " ".join([*words, "--out docs/benchmarks.md"])


def prepare(inputs: Inputs, *, full: bool, share: float) -> None:
    """Make everything that the measures read."""
    splits = ("train", "validation", "test") if full else ("validation", "test")
    write_tree(inputs.root, splits, share=share)
    for split in splits[:-1]:
        convert_split(inputs.tree, split, inputs.coco(split))
    items = load_coco(inputs.coco("validation")).instances
    count = max(10, round(share * NUM_RESULTS))
    results = make_results(items, round(1.1 * count))
    results = results.take(top_rows(results)[:count])
    for name, part in (("all", results), ("tenth", results.take(np.arange(0, count, 10)))):
        write_submission(part, inputs.submission)
        with zipfile.ZipFile(inputs.submission) as archive:
            Path(archive.extract(NAME_IN_ZIP, inputs.root)).rename(inputs.results(name))
    predictions = make_results(items, count, images=max(1, round(share * PHOTOS["test"])), seed=1)
    predictions.save(inputs.predictions)
    write_submission(predictions, inputs.submission)


def measure_all(inputs: Inputs, arguments: argparse.Namespace) -> dict[str, Outcome]:
    """Run the wanted measures, the repeats in turn; each in a process of its own."""
    outcomes = {name: Outcome() for name in arguments.only if arguments.full or not MEASURES[name].only_full}
    for _ in range(arguments.repeats):
        for name, outcome in outcomes.items():
            print(f"measuring {name}", file=sys.stderr, flush=True)
            free = psutil.virtual_memory().available / GB
            if free < arguments.share * MEASURES[name].needs_gb:
                outcome.not_run = f"needs {MEASURES[name].needs_gb:g} GB, {free:.1f} were free"
                continue
            measure_once(name, inputs, outcome)
    return outcomes


def measure_once(name: str, inputs: Inputs, outcome: Outcome) -> None:
    """Add the time and peak memory of one run to an outcome."""
    command = [sys.executable, __file__, "--measure", name, str(inputs.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        watched = psutil.Process(process.pid)
        if (
            process.stdout.readline()
        ):  # what is not measured is done; nothing comes from a process that failed
            start = peak = _resident(watched)
            process.stdin.write("go\n")
            process.stdin.flush()
            while not select.select([process.stdout], [], [], SAMPLE_SECONDS)[0]:
                peak = max(peak, _resident(watched))
            line = process.stdout.readline()
    inputs.out.unlink(missing_ok=True)
    if process.returncode:
        outcome.not_run = f"ended with exit code {process.returncode}"
        return
    seconds, outcome.facts = orjson.loads(line)
    outcome.seconds.append(seconds)
    outcome.peak_bytes.append(peak - start)


def run_measure(name: str, root: Path) -> int:
    """What the measured process does: load, wait for the word, run, report in one line."""
    report, sys.stdout = sys.stdout, sys.stderr  # progress lines are no report
    measure, inputs = MEASURES[name], Inputs(root)
    loaded = measure.load(inputs)
    print("ready", file=report, flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    facts = measure.run(inputs, loaded)
    print(orjson.dumps([time.perf_counter() - started, facts]).decode(), file=report, flush=True)
    return 0


def _resident(process: psutil.Process) -> int:
    """Resident bytes of a process and its workers; pages that they share count in each."""
    total = 0
    for member in (process, *process.children(recursive=True)):
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:  # a worker that has just ended
            continue
    return total


if __name__ == "__main__":
    sys.exit(main())
