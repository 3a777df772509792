"""kps.files: order, exceptions and Ctrl-C are those of a plain loop, whatever the workers do."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from builders import wait_until

from kps.data.convert import convert_split
from kps.files import InputError, ordered_map
from kps.synthetic import write_dataset
from kps.workspace import REPOSITORY

INTERRUPTED = """
import time
from kps.files import ordered_map
for _ in ordered_map(time.sleep, [0.2] * 10_000, workers=2, chunk=1):
    print("slept", flush=True)
"""
# No guard: a process that imported it would print again. 12 photos are several chunks, as thousands are.
UNGUARDED = """
print("once", flush=True)
import sys
from pathlib import Path
from kps import synthetic
from kps.data import convert, doctor
from kps.aggregation import Aggregation
from kps.models.landmarks import landmark_config
from kps.models.training import train
from kps.files import ordered_map
folder = Path(sys.argv[1])
convert.CHUNK_FILES = doctor.CHUNK_FILES = synthetic.dataset._CHUNK = 4
synthetic.write_dataset(folder / "raw", train=12, validation=8, test=8, workers=2)
convert.convert_split(folder / "raw", "train", folder / "coco.json", workers=2)
assert doctor.diagnose(folder / "raw", workers=2).splits["train"].num_images == 12
data = {"coco_file": folder / "coco.json", "image_dir": folder / "raw" / "train" / "image"}
settings = {"epochs": 1, "options": {"train_dataloader.num_workers": 2}, "aggregation": Aggregation.named("hand81")}
train(landmark_config("hrnet_tiny", work_dir=folder / "work", **data, **settings))
def doubled(number):
    return 2 * number
print(list(ordered_map(doubled, range(3), workers=2, chunk=1)))
"""


def negative_but_not_seven(number: int) -> int:
    if number == 7:
        raise InputError("seven")
    return -number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_items_order_up_to_an_exception(workers: int) -> None:
    results = ordered_map(negative_but_not_seven, range(20), workers=workers, chunk=2)
    assert [next(results) for _ in range(6)] == [0, -1, -2, -3, -4, -5]
    with pytest.raises(InputError, match="seven"):
        list(results)


def test_one_process_does_for_little_and_nothing_for_nothing() -> None:
    results = ordered_map(lambda number: os.getpid(), [1, 2], workers=4, chunk=2)  # a lambda could not travel
    assert list(results) == [os.getpid()] * 2
    assert list(ordered_map(abs, [])) == []


class Noting(list):
    """Items that know how far they were handed over."""

    furthest = 0

    def __getitem__(self, part: slice) -> list:
        self.furthest = max(self.furthest, part.stop)
        return super().__getitem__(part)


def test_only_a_few_chunks_are_under_way() -> None:
    items = Noting(range(40))
    results = ordered_map(abs, items, workers=2, chunk=2)
    next(results)
    assert items.furthest == 2 * (2 * 2 + 1)
    results.close()


@pytest.mark.parametrize("way", ["file", "standard input"])
def test_a_script_without_a_guard_is_run_once(way: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    command = [sys.executable, script if way == "file" else "-", tmp_path]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with open(script) as text:
        done = subprocess.run(command, stdin=text, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert done.stdout.count("once") == 1 and done.stdout.endswith("[0, 2, 4]\n")
    assert (tmp_path / "work" / "final.pth").exists()
    write_dataset(tmp_path / "alone", train=12, validation=8, test=8, workers=1)
    convert_split(tmp_path / "alone", "train", tmp_path / "alone.json", workers=1)
    assert (tmp_path / "alone.json").read_bytes() == (tmp_path / "coco.json").read_bytes()


def group_lives(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def start(script: Path) -> subprocess.Popen:
    """Run INTERRUPTED in a process group of its own until the first line."""
    script.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert process.stdout.readline() == "slept\n"
    return process


def test_an_interrupt_ends_every_process_without_their_tracebacks(tmp_path: Path) -> None:
    process = start(tmp_path / "script.py")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate()
    assert err.count("Traceback") == 1 and err.splitlines()[-1] == "KeyboardInterrupt"
    wait_until(lambda: not group_lives(process.pid))


def test_nothing_outlives_a_process_that_was_killed(tmp_path: Path) -> None:
    process = start(tmp_path / "script.py")
    process.kill()
    process.communicate()
    wait_until(lambda: not group_lives(process.pid))
