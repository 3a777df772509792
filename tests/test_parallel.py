"""kps.parallel: order, exceptions and Ctrl-C are those of a plain loop, whatever the workers do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kps.errors import InputError
from kps.parallel import available_cores, ordered_map
from kps.workspace import REPOSITORY

INTERRUPTED = """
import sys, time
from kps.parallel import ordered_map
def slowly(number):
    time.sleep(0.2)
    return number
if __name__ == "__main__":
    for number in ordered_map(slowly, range(1000), workers=2, chunk=1):
        print(number, flush=True)
"""


def negative_but_not_seven(number: int) -> int:
    if number == 7:
        raise InputError("seven")
    time.sleep(0.01 * (number % 3))  # later items may be ready sooner
    return -number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_items_order_up_to_an_exception(workers: int) -> None:
    results = ordered_map(negative_but_not_seven, range(20), workers=workers, chunk=2)
    assert [next(results) for _ in range(6)] == [0, -1, -2, -3, -4, -5]
    with pytest.raises(InputError, match="seven"):
        list(results)


def test_one_process_does_for_little_and_nothing_for_nothing() -> None:
    assert list(ordered_map(lambda number: (number, os.getpid()), [1, 2], workers=4, chunk=2)) == [
        (1, os.getpid()),
        (2, os.getpid()),
    ]  # a lambda could not travel to another process
    assert list(ordered_map(abs, [])) == []
    assert available_cores() >= 1


def touch(path: Path) -> Path:
    path.touch()
    return path


def test_only_a_few_chunks_are_under_way(tmp_path: Path) -> None:
    results = ordered_map(touch, [tmp_path / f"{number}" for number in range(40)], workers=2, chunk=2)
    next(results)
    time.sleep(0.3)
    assert len(os.listdir(tmp_path)) <= 2 * (2 * 2 + 1)
    results.close()


def test_an_interrupt_ends_every_process_without_their_tracebacks(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=environment,
    )  # fmt: skip
    assert process.stdout.readline() == "0\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=10)
    assert err.count("Traceback") == 1 and err.splitlines()[-1] == "KeyboardInterrupt"
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.05)
