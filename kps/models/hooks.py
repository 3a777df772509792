"""What happens around the training loop: interrupts, the order of samples, seeds, states, selection, progress."""

import math
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, all_reduce_dict, barrier, get_dist_info, get_rank, is_main_process
from mmengine.hooks import EMAHook, Hook, ParamSchedulerHook
from mmengine.registry import DATA_SAMPLERS, DATASETS, HOOKS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset, Sampler
from torch.utils.tensorboard import SummaryWriter

from kps.data.coco import held_out_images, load_coco
from kps.files import InputError
from kps.models.checkpoints import read_checkpoint, save_checkpoint


class Interrupts:
    """From `catch` to `release`, the first Ctrl-C or SIGTERM is only noted in `sent`; the same again acts as before."""

    def __init__(self) -> None:
        self.sent: int | None = None
        self._before: dict[int, Any] = {}

    def catch(self) -> None:
        """Take over from the handlers that there are; what is ignored stays so."""
        if threading.current_thread() is threading.main_thread():  # elsewhere Python sets no handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)

    def release(self) -> None:
        """Give the signals back, and pass on a SIGTERM: by default it ends this process."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.sent == signal.SIGTERM:
            signal.raise_signal(signal.SIGTERM)

    def _note(self, number: int, frame: Any) -> None:
        self.sent = number
        signal.signal(number, self._before[number])
        os.write(2, b"stopping after this step; the same again stops at once\n")  # print may be under way


def leave_to_the_trainer(worker_id: int) -> None:
    """Make a loader's process go on: its batches may be needed for the step; then the trainer ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def seed_everything(*parts: int) -> None:
    """Seed Python, NumPy and torch by a few whole numbers."""
    state = int(np.random.SeedSequence([part % 2**32 for part in parts]).generate_state(1)[0])
    random.seed(state)
    np.random.seed(state)
    torch.manual_seed(state)


class SeededDataset(Dataset):
    """Seed everything before a sample is made: its augmentation depends on its draw alone."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.metainfo = getattr(dataset, "metainfo", {})
        while hasattr(dataset, "dataset"):
            dataset = dataset.dataset
        transforms = getattr(getattr(dataset, "pipeline", None), "transforms", ())
        # albumentations' transforms, which mmdet and mmpose keep as `aug`, have generators of their own.
        self.with_own_generators = [part.aug for part in transforms if hasattr(part, "aug")]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: tuple[int, int]) -> Any:
        index, seed = draw
        seed_everything(seed)
        for part in self.with_own_generators:
            part.set_random_state(np.random.default_rng(seed), random.Random(seed))
        return self.dataset[index]


class SeededSampler(Sampler):
    """Turn an order of indices into draws (index, seed), and start where an interrupted epoch stopped.

    `order` is any sampler that is deterministic given the epoch, such as mmengine's DefaultSampler; `seed` the run's.
    """

    def __init__(self, order: Sampler, seed: int) -> None:
        self.order, self.seed = order, seed
        self.epoch, self.start = 0, 0
        self.rank, self.world_size = get_dist_info()

    def __len__(self) -> int:
        return len(self.order)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is drawn next."""
        self.epoch = epoch
        self.order.set_epoch(epoch)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for place, index in enumerate(self.order):
            if place >= self.start:
                place = place * self.world_size + self.rank
                state = np.random.SeedSequence([self.seed, self.epoch, place]).generate_state(1)
                yield index, int(state[0])


def with_seeded_draws(loader: dict, seed: int) -> dict:
    """Return a loader's configuration with its data set and sampler built and wrapped."""
    dataset = DATASETS.build(loader["dataset"])
    if hasattr(dataset, "full_init"):
        dataset.full_init()
    order = DATA_SAMPLERS.build(loader["sampler"], default_args={"dataset": dataset, "seed": seed})
    seeded = {"dataset": SeededDataset(dataset), "sampler": SeededSampler(order, seed)}
    return {**loader, **seeded, "worker_init_fn": {"type": leave_to_the_trainer}}


STATES_KEPT = 2  # if the last one is damaged, the one before serves
STATE_SECONDS = 300.0  # at most so much work is lost to a kill
LINES = 30  # progress lines and history rows of a whole run, at most; but at least one an epoch
HISTORY, BEST, BAD_BATCH = "history.jsonl", "best.pth", "bad_batch.pth"


def saved_states(work_dir: Path) -> list[Path]:
    """Return the resumable states in a work folder, newest first."""
    return sorted(work_dir.glob("state_*.pth"), key=lambda path: int(path.stem.split("_")[1]), reverse=True)


@HOOKS.register_module()
class SeedHook(Hook):
    """Seed every iteration by its number: what a model draws by lot is the same after a break."""

    priority = "VERY_HIGH"

    def before_train_epoch(self, runner: Runner) -> None:
        sampler, length = runner.train_dataloader.sampler, len(runner.train_dataloader)
        sampler.set_epoch(runner.epoch)
        done = runner.iter - runner.epoch * length
        sampler.start = done * runner.train_dataloader.batch_size
        # The iterations left over at an epoch's end make a step of their own: none is under way there.
        runner.optim_wrapper.initialize_count_status(runner.model, done, length)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        seed_everything(runner.seed, runner.iter, get_rank())


class _AfterSteps(Hook):
    """Make a hook that counts iterations count steps."""

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if runner.optim_wrapper.should_update():
            super().after_train_iter(runner, *args, **kwargs)


@HOOKS.register_module()
class StepScheduleHook(_AfterSteps, ParamSchedulerHook):
    """Move the learning rate on after every step, and where it goes by epochs, after every epoch."""


@HOOKS.register_module()
class StepEMAHook(_AfterSteps, EMAHook):
    """Average the weights over the steps."""


@HOOKS.register_module()
class StateHook(Hook):
    """Write a state after every epoch, every few minutes and at Ctrl-C or SIGTERM, and keep the last two.

    A state holds no gradients, so a signal takes effect when a step is whole (at an epoch's end, all of it).
    """

    priority = "VERY_LOW"
    whole = False  # whether a state can be written

    def before_train(self, runner: Runner) -> None:
        self.last, self.done, self.written = time.monotonic(), runner.iter, runner.iter
        runner.interrupts.catch()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self.whole = False

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.done = runner.iter + 1  # the loop counts the iteration after its hooks
        # Schedules by epoch and the held-out score follow the last iteration.
        if runner.optim_wrapper.should_update() and self.done % len(runner.train_dataloader):
            self._step_is_whole(runner, write=time.monotonic() - self.last >= STATE_SECONDS)

    def after_train_epoch(self, runner: Runner) -> None:
        self._step_is_whole(runner, write=True)

    def after_interrupt(self, runner: Runner) -> None:
        """Write the state of a training that is stopped; none while a step is under way."""
        if self.whole and self.done > self.written:
            self._write(runner)
            if is_main_process():
                print(f"stopped after iteration {self.done}; the same call goes on from there", flush=True)

    def _step_is_whole(self, runner: Runner, *, write: bool) -> None:
        self.whole = True
        if write:
            self._write(runner)
        stop = torch.tensor(float(runner.interrupts.sent is not None))
        all_reduce(stop, "max")  # all processes stop after the same iteration
        if stop:
            self.after_interrupt(runner)
            barrier()  # torchrun ends all processes, also one that still writes, when the first has ended
            raise KeyboardInterrupt

    def _write(self, runner: Runner) -> None:
        self.last, self.written = time.monotonic(), self.done
        state = runner.state()
        state["meta"]["iter"] = self.done
        if is_main_process():
            work_dir = Path(runner.work_dir)
            save_checkpoint(work_dir / f"state_{self.done}.pth", state)
            for path in saved_states(work_dir)[STATES_KEPT:]:
                path.unlink()


def held_out_score(config: Config, weights: dict[str, torch.Tensor], part: dict) -> float:
    """Return the average precision of a run's weights on the held-out part; -1 where nothing in it counts.

    `part` holds "coco_file", "image_dir", "share", and "category_id" (or None).
    """
    from kps.evaluation.scores import evaluate
    from kps.models.detector import detect, new_detector
    from kps.models.landmarks import LandmarkModel, predict_landmarks
    from kps.results.detections import ground_truth_detections

    whole, photos = load_coco(Path(part["coco_file"])), Path(part["image_dir"])
    truth = whole.subset(image_ids=held_out_images(whole, part["share"]), category_id=part["category_id"])
    if config.default_scope == "mmpose":
        model = LandmarkModel(config)
        model.model.load_state_dict(weights)
        found = predict_landmarks(model, ground_truth_detections(truth), truth, photos, flip_test=False)
        value = evaluate(truth, found).AP
    else:
        value = evaluate(truth, detect(new_detector(config, weights), truth, photos)).AP
    return value if value == value else -1.0


@HOOKS.register_module()
class SelectionHook(Hook):
    """Score the model on the held-out `part` of train after every epoch, and keep the best weights."""

    priority = "LOW"  # after the moving average, before the state is written

    def __init__(self, part: dict) -> None:
        self.part = part

    def before_train(self, runner: Runner) -> None:
        self.path = Path(runner.work_dir) / BEST
        self.best = read_checkpoint(self.path)["meta"]["score"] if self.path.exists() else -math.inf

    def after_train_epoch(self, runner: Runner) -> None:
        state = runner.state()
        score = held_out_score(runner.whole_config, state["state_dict"], self.part)
        if is_main_process():
            print(f"epoch {runner.epoch + 1}/{runner.max_epochs}  held-out score {score:.4f}", flush=True)
            if score > self.best:
                self.best = score
                meta = {"score": score, "epoch": runner.epoch + 1}
                save_checkpoint(self.path, {"meta": meta, "state_dict": state["state_dict"]})


@HOOKS.register_module()
class ProgressHook(Hook):
    """Report mean losses once an interval: a printed line, a history row, and curves for TensorBoard.

    A loss that is no number stops the training, and its batch is kept for a look.
    """

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

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if not math.isfinite(loss := outputs["loss"].item()):
            if is_main_process():
                bad = {"iteration": runner.iter + 1, "batch": _plain(data_batch)}
                save_checkpoint(Path(runner.work_dir) / BAD_BATCH, bad)
            raise InputError(
                f"{runner.work_dir}: the loss is {loss} at iteration {runner.iter + 1}, its batch is in "
                f"{BAD_BATCH}; a smaller learning rate may help (remove the folder first)"
            )
        for name, value in outputs.items():
            self.sums[name] = self.sums.get(name, 0) + torch.as_tensor(value, dtype=torch.float).detach()
        self.count += 1
        if (runner.iter + 1) % self.interval == 0 or runner.iter + 1 == runner.max_iters:
            self._report(runner)

    def _report(self, runner: Runner) -> None:
        all_reduce_dict(self.sums, "mean")  # over the processes that share the batch
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        done, total, rate = runner.iter + 1, runner.max_iters, runner.optim_wrapper.get_lr()["lr"][0]
        seconds = (time.monotonic() - self.start) / (done - self.start_iter)
        if is_main_process():
            row = {"epoch": runner.epoch + 1, "iteration": done, "learning_rate": rate}
            with open(self.path, "ab") as file:
                file.write(orjson.dumps({**row, "seconds_per_iteration": seconds, **means}) + b"\n")
            for name, value in {"learning_rate": rate, **means}.items():
                self.curves.add_scalar(name, value, done)
            left = int((total - done) * seconds)
            words = [f"epoch {runner.epoch + 1}/{runner.max_epochs}", f"iteration {done}/{total}"]
            words += [f"loss {means['loss']:.4g}", f"lr {rate:.2g}", f"{seconds:.3f} s/it"]
            print("  ".join([*words, f"left {left // 60}:{left % 60:02d}"]), flush=True)

    def after_train(self, runner: Runner) -> None:
        if is_main_process():
            self.curves.close()


def _plain(value: Any) -> Any:
    """Return a batch as tensors, numbers, texts and containers, which `weights_only` can read back."""
    if isinstance(value, dict):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    if isinstance(value, BaseDataElement):
        return {**_plain(value.metainfo), **{key: _plain(child) for key, child in value.items()}}
    value = getattr(value, "tensor", value)  # boxes of mmdet
    return value if isinstance(value, torch.Tensor | int | float | str | None) else repr(value)


def read_rows(path: Path) -> list[dict]:
    """Return the rows of a history file; a last line cut off by a kill is left out."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [orjson.loads(line) for line in lines if line.endswith(b"\n")]
