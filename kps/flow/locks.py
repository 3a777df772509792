"""Processes that end with their parent, locks that end with their holder, and the GPUs shared out by them."""

import ctypes
import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from kps.files import InputError

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>: the signal that this process gets when its parent ends
POLL_SECONDS = 0.2


def die_with_parent(parent: int | None = None) -> None:
    """Have Linux kill this process when the one that started it ends, and at once where `parent` (a pid) is gone."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


class FileLock:
    """An advisory lock on a file, held until `release` or the end of the process, also by kill -9."""

    def __init__(self, path: Path) -> None:
        self.path, self._handle = Path(path), -1

    def acquire(self, *, wait_seconds: float = 0.0) -> bool:
        """Take the lock; False if another still has it after the wait."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    self.release()
                    return False
                time.sleep(POLL_SECONDS)

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def visible_gpus() -> list[str]:
    """Ids of the GPUs that this process may use: CUDA_VISIBLE_DEVICES, else what nvidia-smi lists."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return list(_listed_gpus())
    return [gpu for gpu in dict.fromkeys(part.strip() for part in chosen.split(",")) if gpu not in ("", "-1")]


def check_gpus(step: str, count: int, gpus: Collection[str]) -> None:
    """Raise InputError where a step wants more GPUs than there are, unless there are none at all."""
    if 0 < len(gpus) < count:
        here = f"{len(gpus)}, one for each GPU here ({', '.join(gpus)})"
        raise InputError(f"{step}: expected processes to be at most {here}, but got {count}")


@contextmanager
def free_gpus(step: str, count: int) -> Iterator[list[str]]:
    """Hold so many GPUs and yield their ids, waiting until that many are free; [] where the machine has none.

    A step that waits holds nothing, so two steps never wait for each other. The lock files lie in the temporary folder,
    so that all runs of a user share them. InputError where the step wants more GPUs than there are.
    """
    gpus = visible_gpus() if count else []
    check_gpus(step, count, gpus)
    locks, wanted, waiting = _gpu_locks(gpus), min(count, len(gpus)), False
    try:
        while len(held := list(islice((gpu for gpu in gpus if locks[gpu].acquire()), wanted))) < wanted:
            for gpu in held:
                locks[gpu].release()
            if not waiting:
                print(f"[{step}] waiting for {wanted} free GPUs out of {', '.join(gpus)}", flush=True)
            waiting = True
            time.sleep(POLL_SECONDS * random.uniform(0.5, 1.5))  # two steps must not try in step
        yield held
    finally:
        for lock in locks.values():
            lock.release()


def _listed_gpus() -> dict[str, str]:
    """UUIDs by index, as nvidia-smi lists them."""
    if shutil.which("nvidia-smi") is None:
        return {}
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    listing = subprocess.run(query, capture_output=True, text=True, check=False)
    rows = [line.partition(",") for line in listing.stdout.splitlines()] if listing.returncode == 0 else []
    return {index.strip(): uuid.strip() for index, _, uuid in rows if index.strip().isdigit()}


def _gpu_locks(gpus: list[str]) -> dict[str, FileLock]:
    """The lock of each GPU, named by its UUID and by the batch job that it was given to.

    A scheduler may show another GPU as device 0 to each of its jobs, or give one to two jobs on purpose.
    """
    job = os.environ.get("SLURM_JOB_ID", "") if "CUDA_VISIBLE_DEVICES" in os.environ else ""
    listed, locks = _listed_gpus() if gpus else {}, {}
    for gpu in gpus:
        uuid = listed.get(gpu) or next((one for one in listed.values() if one.startswith(gpu)), gpu)
        locks[gpu] = FileLock(Path(tempfile.gettempdir()) / f"kps-{os.getuid()}-gpu-{job}-{uuid}.lock")
    return locks
