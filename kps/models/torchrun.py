"""Several processes of one job, one a GPU: starting them by torchrun, and joining them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed

from kps.files import InputError
from kps.workspace import REPOSITORY


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that torchrun started: over NCCL with a GPU each (else InputError), or over Gloo."""
    if torch.cuda.is_available():
        rank, gpus = torch.distributed.get_node_local_rank(), torch.cuda.device_count()
        if rank >= gpus:
            raise InputError(f"expected a GPU for each process, but got process {rank + 1} and {gpus} GPUs")
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def run_processes(arguments: list[str], processes: int) -> None:
    """Run `python -m ARGUMENTS` as so many processes and wait; their output goes where ours goes.

    Raises:
        InputError: one of them failed; it has said why.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    child = subprocess.Popen(
        [*command, str(processes), "-m", *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        for line in child.stdout:  # through our own output, which a notebook shows
            print(line, end="", flush=True)
    except BaseException:
        child.terminate()
        raise
    finally:
        child.wait()
    if child.returncode != 0:
        raise InputError(f"one of {processes} processes of {arguments[0]} failed; see the lines above")
