"""A function over many small items in several processes, results in the order of the items."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from threading import Lock
from types import ModuleType
from typing import Any, TypeVar

T, R = TypeVar("T"), TypeVar("R")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[T], R], items: Sequence[T], *, workers: int | None = None, chunk: int = 256
) -> Iterator[R]:
    """Yield function(item) for each item, in the items' order.

    Only two chunks a worker are under way at a time, so memory does not grow with the number of items. An
    exception is raised when its item's turn comes, whatever later items did.

    Args:
        function: of an imported module, or a `partial` of such: it travels to other processes. They do not
            import the caller's script, so a function of it stays in this process.
        items: what it is called with, one by one.
        workers: processes; None takes all cores. One worker, or one chunk, stays in this process.
        chunk: items handed over at a time.
    """
    chunks = (items[start : start + chunk] for start in range(0, len(items), chunk))
    workers = min(workers or available_cores(), -(-len(items) // chunk))
    if workers <= 1 or getattr(function, "func", function).__module__ == "__main__":
        yield from map(function, items)
        return
    with ProcessPoolExecutor(workers, mp_context=_Context(), initializer=_prepare_worker) as pool:
        pending = [pool.submit(_map_chunk, function, part) for part in islice(chunks, 2 * workers)]
        try:
            while pending:
                results = pending.pop(0).result()
                pending += [pool.submit(_map_chunk, function, part) for part in islice(chunks, 1)]
                yield from results
        finally:
            pool.shutdown(cancel_futures=True)


class _Process(ForkServerProcess):
    """A process that does not run the caller's script again, which may have no guard or be standard input."""

    _starting = Lock()

    @staticmethod
    def _Popen(process: BaseProcess) -> Any:  # noqa: N802  (its name in multiprocessing)
        with _Process._starting:
            main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
            try:
                return ForkServerProcess._Popen(process)
            finally:
                sys.modules["__main__"] = main


class _Context(ForkServerContext):
    """Processes by a fork server: "spawn" would import anew, and "fork" may copy a thread's lock."""

    Process = _Process


def _prepare_worker() -> None:
    # Ctrl-C reaches every process of a terminal: only the parent's exception is to be seen.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"  # there are as many processes as cores


def _map_chunk(function: Callable[[T], R], part: Sequence[T]) -> list[R]:
    return [function(item) for item in part]
