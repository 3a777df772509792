"""The Jupyter kernel of a step: this very Python, ending with its runner, holding the step's lock.

`python -m kps.flow.kernel LOCK -f CONNECTION` is the kernel's process; `kernel_manager` makes the class by
which papermill starts it. No kernelspec needs to be installed, and none that is installed can interfere.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kps.flow.locks import FileLock, die_with_parent

STOP_SECONDS = 25.0  # after Ctrl-C, for a training's step and its state; less than a whole run waits
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def kernel_manager(lock: Path, sockets: Path, *, threads: int | None, gpus: Sequence[str]) -> type:
    """Return a kernel manager class whose kernels run `main` below, reached through files, not the network.

    Args:
        lock: the step's lock, which the kernel shares with its runner.
        sockets: an empty folder for the connection; Unix sockets want a short path.
        threads: of the numerical libraries; None leaves them their default.
        gpus: the CUDA devices that the kernel may see; empty leaves all.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    environment = {} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads))
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    argv = [sys.executable, "-m", "kps.flow.kernel", str(lock), "-f", "{connection_file}"]
    spec = KernelSpec(argv=argv, env=environment, display_name="Python 3", language="python")

    class StepKernelManager(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.transport = "ipc"
            self.shutdown_wait_time = STOP_SECONDS
            self.connection_file = str(sockets / "kernel.json")

        @property
        def kernel_spec(self) -> Any:
            return spec

    return StepKernelManager


def main(argv: list[str]) -> None:
    """Run an IPython kernel: argv is the lock file, then ipykernel's own arguments."""
    die_with_parent(int(os.environ["JPY_PARENT_PID"]))
    os.register_at_fork(after_in_child=die_with_parent)  # loader processes would outlive a killed kernel
    lock = FileLock(Path(argv[0]))
    if not lock.acquire(shared=True):
        raise SystemExit(f"{lock.path}: another run of this step holds the lock")
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance(argv=[*argv[1:], "--log-level=CRITICAL"])  # errors of cells reach the runner anyway


if __name__ == "__main__":
    main(sys.argv[1:])
