"""A function over many small items in several processes, results in the order of the items."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

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
        function: a function of a module, or a `partial` of one: it travels to other processes.
        items: what it is called with, one by one.
        workers: processes; None takes all cores. One worker, or one chunk, stays in this process.
        chunk: items handed over at a time.
    """
    chunks = (items[start : start + chunk] for start in range(0, len(items), chunk))
    workers = min(workers or available_cores(), -(-len(items) // chunk))
    if workers <= 1:
        yield from map(function, items)
        return
    # "spawn" would import anew and "fork" may copy a thread's lock: a fork server does neither.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("forkserver"), initializer=_leave_interrupts_to_the_parent
    ) as pool:
        pending = [pool.submit(_map_chunk, function, part) for part in islice(chunks, 2 * workers)]
        try:
            while pending:
                results = pending.pop(0).result()
                pending += [pool.submit(_map_chunk, function, part) for part in islice(chunks, 1)]
                yield from results
        finally:
            pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches every process of a terminal: only the parent's exception is to be seen."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _map_chunk(function: Callable[[T], R], part: Sequence[T]) -> list[R]:
    return [function(item) for item in part]
