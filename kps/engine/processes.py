"""Processes that end with their parent, and locks that end with their holder; both survive kill -9."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>: the signal that this process gets when its parent ends
POLL_SECONDS = 0.2


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel of the operating system kill this process when the one that started it ends.

    Args:
        parent: the process id of the parent, where known: if it is gone already, this process ends at once.

    Only Linux has this; elsewhere the locks still keep a second run out while an orphan lives.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


class FileLock:
    """An advisory lock on a file, held until `release` or the end of every process that holds it."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._handle: int | None = None

    def acquire(self, *, shared: bool = False, wait_seconds: float = 0.0) -> bool:
        """Take the lock (or change one that is held to shared or exclusive); False if another has it.

        Shared locks exclude exclusive ones only: a runner and its kernel hold one lock between them.
        """
        if self._handle is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(self._handle, kind | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    self.release()
                    return False
                time.sleep(POLL_SECONDS)

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def visible_gpus() -> list[str]:
    """Ids of the GPUs that this process may use: CUDA_VISIBLE_DEVICES, else what nvidia-smi lists."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [part.strip() for part in chosen.split(",") if part.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    listing = subprocess.run(query, capture_output=True, text=True, check=False)
    return listing.stdout.split() if listing.returncode == 0 else []


@contextmanager
def free_gpu() -> Iterator[str | None]:
    """Hold one GPU and yield its id, waiting until one is free; None where the machine has none.

    The lock files lie in the temporary folder, one a GPU and user, so that all runs of a user share them.
    """
    gpus = visible_gpus()
    if not gpus:
        yield None
        return
    locks = {gpu: FileLock(Path(tempfile.gettempdir()) / f"kps-{os.getuid()}-gpu-{gpu}.lock") for gpu in gpus}
    waiting = False
    while (held := next((gpu for gpu, lock in locks.items() if lock.acquire()), None)) is None:
        if not waiting:
            print(f"waiting for a free GPU out of {', '.join(gpus)}", flush=True)
        waiting = True
        time.sleep(POLL_SECONDS)
    try:
        yield held
    finally:
        locks[held].release()
