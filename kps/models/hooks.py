"""What happens around the training loop's iterations: seeding, writing resumable states, reporting."""

from __future__ import annotations

import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS, HOOKS
from mmengine.runner import Runner
from torch.utils.tensorboard import SummaryWriter

from kps.errors import InputError
from kps.models.checkpoints import save_checkpoint

STATES_KEPT = 2  # if the last one is damaged, the one before serves
LINES = 30  # progress lines and history rows of a whole run, at most; but at least one an epoch
HISTORY = "history.jsonl"


def saved_states(work_dir: Path) -> list[Path]:
    """Return the resumable states in a work folder, newest first."""
    return sorted(work_dir.glob("epoch_*.pth"), key=lambda path: int(path.stem.split("_")[1]), reverse=True)


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every epoch by its number, so that a resumed run goes on as an unbroken one does."""

    priority = "VERY_HIGH"

    def before_train_epoch(self, runner: Runner) -> None:
        seed_everything(runner.seed + 7919 * (runner.epoch + 1))


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seed a loader's worker from the seed that torch draws anew for it every epoch."""
    seed_everything(torch.initial_seed())


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    seed %= 2**32
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@HOOKS.register_module()
class StateHook(Hook):
    """Write a resumable state after every epoch and keep the last two."""

    priority = "VERY_LOW"

    def after_train_epoch(self, runner: Runner) -> None:
        state = runner.state()
        state["meta"]["epoch"] += 1  # the loop counts the epoch after its hooks
        if is_main_process():
            save_checkpoint(Path(runner.work_dir) / f"epoch_{state['meta']['epoch']}.pth", state)
            for path in saved_states(Path(runner.work_dir))[STATES_KEPT:]:
                path.unlink()


@HOOKS.register_module()
class ProgressHook(Hook):
    """Report mean losses once an interval: a printed line, a history row, and curves for TensorBoard."""

    priority = "BELOW_NORMAL"  # before the learning rate moves on

    def before_train(self, runner: Runner) -> None:
        self.path = Path(runner.work_dir) / HISTORY
        self.interval = max(1, min(len(runner.train_dataloader), -(-runner.max_iters // LINES)))
        rows = [row for row in read_rows(self.path) if row["iteration"] <= runner.iter]
        if is_main_process():
            self.path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
            self.curves = SummaryWriter(runner.work_dir, purge_step=runner.iter + 1)
        self.sums: dict[str, torch.Tensor] = {}
        self.count, self.start, self.start_iter = 0, time.monotonic(), runner.iter

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        for name, value in outputs.items():
            value = value.detach() if isinstance(value, torch.Tensor) else torch.tensor(float(value))
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1
        if (runner.iter + 1) % self.interval == 0 or runner.iter + 1 == runner.max_iters:
            self._report(runner)

    def _report(self, runner: Runner) -> None:
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        done, total = runner.iter + 1, runner.max_iters
        if not math.isfinite(means["loss"]):
            raise InputError(
                f"{runner.work_dir}: the loss is {means['loss']} at iteration {done}; a smaller "
                "learning rate may help (remove the folder first)"
            )
        seconds = (time.monotonic() - self.start) / (done - self.start_iter)
        rate = runner.optim_wrapper.get_lr()["lr"][0]
        row = {
            "epoch": runner.epoch + 1,
            "iteration": done,
            "learning_rate": rate,
            "seconds_per_iteration": seconds,
        }
        if is_main_process():
            with open(self.path, "ab") as file:
                file.write(orjson.dumps({**row, **means}) + b"\n")
            for name, value in {"learning_rate": rate, **means}.items():
                self.curves.add_scalar(name, value, done)
            left = int((total - done) * seconds)
            print(
                f"epoch {runner.epoch + 1}/{runner.max_epochs}  iteration {done}/{total}",
                f"loss {means['loss']:.4g}",
                f"lr {rate:.2g}",
                f"{seconds:.3f} s/it",
                f"left {left // 60}:{left % 60:02d}",
                sep="  ",
                flush=True,
            )

    def after_train(self, runner: Runner) -> None:
        if is_main_process():
            self.curves.close()


def read_rows(path: Path) -> list[dict]:
    """Return the rows of a history file; a last line cut off by a kill is left out."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [orjson.loads(line) for line in lines if line.endswith(b"\n")]
