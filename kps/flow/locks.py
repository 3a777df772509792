"""Processes that end with their parent, locks that end with their holder, and the GPUs shared out by them."""

import ctypes
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from kps.files import InputError

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>: the signal that this process gets when its parent ends
POLL_SECONDS = 0.2


def die_with_parent(parent: int | None = None) -> None:
    """Have Linux kill this process when the one that started it ends, and at once where `parent` (a pid) is gone."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def holding(path: Path, refusal: str, *, seconds: float = 0.0) -> Iterator[None]:
    """Hold a file's lock, which ends with this process too; InputError (`refusal`) if another has it after the wait."""
    try:
        with FileLock(path, timeout=seconds):
            yield
    except Timeout:
        raise InputError(refusal) from None


def visible_gpus() -> list[str]:
    """Ids of the GPUs that this process may use: CUDA_VISIBLE_DEVICES, else what nvidia-smi lists."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = _listed_gpus() if chosen is None else map(str.strip, chosen.split(","))
    return [gpu for gpu in dict.fromkeys(names) if gpu not in ("", "-1")]


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
    locks, wanted = _gpu_locks(gpus), min(count, len(gpus))
    for attempt in itertools.count():
        with ExitStack() as stack:
            held: list[str] = []
            for gpu, lock in locks.items():
                if len(held) < wanted:
                    with suppress(Timeout):
                        stack.enter_context(lock)
                        held.append(gpu)
            if len(held) == wanted:
                yield held
                return
        if attempt == 0:
            print(f"[{step}] waiting for {wanted} free GPUs out of {', '.join(gpus)}", flush=True)
        time.sleep(POLL_SECONDS * random.uniform(0.5, 1.5))  # two steps must not try in step


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
        locks[gpu] = FileLock(Path(tempfile.gettempdir()) / f"kps-{os.getuid()}-gpu-{job}-{uuid}.lock", timeout=0)
    return locks
