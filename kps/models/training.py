"""The training loop of both models: mmengine's runner, made resumable at any moment and quiet.

A work folder holds `config.json` (the resolved configuration), `history.jsonl` (losses), `state_N.pth` (the
last two states, after N iterations), with a held-out part also `best.pth`, and, written last, `final.pth`:
weights and configuration, the mark of a finished run, at which states and `best.pth` are removed.
"""

import importlib
import math
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import torch
from mmengine.config import Config
from mmengine.dist import barrier, get_world_size, is_distributed, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from kps.files import InputError, write_json
from kps.models.checkpoints import (
    as_config,
    load_into,
    load_pretrained,
    read_checkpoint,
    save_checkpoint,
    stored_config,
)
from kps.models.hooks import BEST, HISTORY, Interrupts, read_rows, saved_states, seed_everything, with_seeded_draws
from kps.models.launch import run_processes
from kps.models.ops import memory_format
from kps.models.run_identity import PARTS, check_same_run, with_identity
from kps.workspace import FINAL

if TYPE_CHECKING:
    import pandas as pd


def train(config: Config, *, processes: int = 1) -> Path:
    """Train to the end, going on from the last whole state in `config.work_dir`; return the final checkpoint.

    A finished run returns at once. InputError: the work folder holds a run with another configuration (the differing
    key is named) or a result of another version of the code, the weights to start from do not fit or have learnt the
    held-out part, the loss is no longer finite (its batch is kept), or a GPU or its memory does not suffice.

    Args:
        config: of `landmark_config` or `detector_config`; its batch size is each process's.
        processes: that share the work on this machine, one a GPU; for more machines see `kps.models.launch`.
    """
    work_dir = Path(config.work_dir)
    resolved = with_identity(config)
    if (number := max(processes, get_world_size())) > 1:
        resolved["processes"] = number  # each has a batch of its own
    final = work_dir / FINAL
    if final.exists() or saved_states(work_dir):
        check_same_run(resolved, work_dir / "config.json", finished=final.exists())
    for stale in work_dir.glob(".*.pth") if is_main_process() else ():  # half-written by a killed process
        stale.unlink()
    for empty in work_dir.glob("*_*/"):  # mmengine's log folders of such processes
        with suppress(OSError):
            empty.rmdir()
    if not final.exists():
        _check_start(resolved)
        if is_main_process():
            write_json(work_dir / "config.json", resolved, indent=True)
        if processes > 1:
            run_processes(["kps.models.launch", "train", str(work_dir / "config.json")], processes)
        else:
            _train_to_the_end(resolved, work_dir)
    barrier()  # until the main process has written the final checkpoint
    for done in (*saved_states(work_dir), work_dir / BEST):
        done.unlink(missing_ok=True)
    return final


def _check_start(config: Mapping[str, Any]) -> None:
    """Raise InputError where the weights to start from have learnt from photos that are now to choose by."""
    share, start = _held_out_share(config), config["load_from"]
    if share and start and (before := _held_out_share(stored_config(start))) < share:
        raise InputError(
            f"{start}: trained with held_out {before}, so it has learnt from photos by which {share} would "
            "choose the epoch; train it with as much, or take less here"
        )


def _held_out_share(config: Mapping[str, Any]) -> float:
    parts = [hook["part"] for hook in config.get("custom_hooks", ()) if hook["type"] == "SelectionHook"]
    return parts[0]["share"] if parts else 0.0


def _train_to_the_end(resolved: dict, work_dir: Path) -> None:
    register_parts(resolved["default_scope"])
    if resolved["optim_wrapper"]["type"] == "AmpOptimWrapper" and not torch.cuda.is_available():
        raise InputError("AmpOptimWrapper: expected a GPU, but there is none; Bfloat16OptimWrapper runs anywhere")
    runner = ResumableRunner.from_cfg(_with_runner_settings(resolved))
    runner.whole_config = as_config(resolved)  # with what testing needs, which the runner would act on
    try:
        runner.train()
        if is_main_process():
            best = work_dir / BEST
            state = read_checkpoint(best) if best.exists() else runner.state()
            meta = {**state["meta"], "config_json": orjson.dumps(resolved).decode()}
            # For the inferencers of mmdet and mmpose, which want Python; ours reads the JSON and runs nothing.
            meta["cfg"] = "\n".join(f"{key} = {value!r}" for key, value in as_config(resolved).to_dict().items())
            meta["dataset_meta"] = dict(runner.train_dataloader.dataset.metainfo)
            save_checkpoint(work_dir / FINAL, {"meta": meta, "state_dict": state["state_dict"]})
    except torch.OutOfMemoryError:
        size = resolved["train_dataloader"]["batch_size"]
        raise InputError(
            f"{work_dir}: the GPU's memory does not suffice for a batch of {size}; by `options` halve "
            "train_dataloader.batch_size and double optim_wrapper.accumulative_counts, which makes the same steps "
            "(batch norm sees the smaller batch), or take Bfloat16OptimWrapper as optim_wrapper.type "
            "(remove the folder first: a run keeps its settings)"
        ) from None
    finally:
        shutil.rmtree(runner._log_dir, ignore_errors=True)  # a folder named by the time of day, and empty


def preview(config: Config, count: int = 8) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return augmented pictures (H, W, 3) RGB of the training, each with its labels in its pixels.

    Labels are the landmarks (K, 2) that are labelled, or for a detector the boxes (K, 4), x1 y1 x2 y2.
    """
    register_parts(config.default_scope)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        dataset = DATASETS.build(config.train_dataloader.dataset)
    found = []
    for number in np.linspace(0, len(dataset) - 1, count).astype(int):
        seed_everything(config.randomness["seed"], int(number))
        item = dataset[int(number)]
        labels = item["data_samples"].gt_instances
        if "keypoints" in labels:
            points = labels.keypoints[0][labels.keypoints_visible[0] > 0]
        else:
            points = torch.as_tensor(getattr(labels.bboxes, "tensor", labels.bboxes)).numpy()
        found.append((item["inputs"].permute(1, 2, 0).flip(-1).numpy(), points))
    return found


def load_history(work_dir: Path | str) -> "pd.DataFrame":
    """Return the losses of a run, a row per interval: epoch, iteration, learning_rate, loss and its parts."""
    import pandas as pd

    path = Path(work_dir) / HISTORY
    if not path.exists():
        raise InputError(f"{path}: no such file; was anything trained in this folder?")
    return pd.DataFrame(read_rows(path))


def register_parts(scope: str) -> None:
    """Make the project's data sets, transforms and heads known to mmdet's or mmpose's registries."""
    importlib.import_module(PARTS[scope])


def _with_runner_settings(resolved: dict) -> Config:
    """Add what is the same for every run and thus not part of its identity."""
    # mmengine's own hooks for information and time copy every loss to the CPU in every iteration; SeedHook sets seeds.
    hooks = dict.fromkeys(("logger", "checkpoint", "runtime_info", "timer", "sampler_seed"))
    ours = {"seed": "SeedHook", "progress": "ProgressHook", "state": "StateHook", "param_scheduler": "StepScheduleHook"}
    hooks |= {name: {"type": kind} for name, kind in ours.items()}
    used = {key: value for key, value in resolved.items() if not key.startswith(("val_", "test_", "vis"))}
    settings = {"default_hooks": hooks, "resume": True, "experiment_name": uuid.uuid4().hex}
    settings["launcher"] = "pytorch" if is_distributed() else "none"
    return as_config({**used, **settings, "visualizer": {"type": "Visualizer", "vis_backends": None}})


class ResumableRunner(Runner):
    """A runner that reads and writes its state by `kps.models.checkpoints` and keeps its logger quiet."""

    def train(self) -> nn.Module:
        """Train to the end; stopped by Ctrl-C or SIGTERM, leave a state (see `StateHook`)."""
        self.interrupts = Interrupts()
        try:
            return super().train()
        except BaseException as error:
            # What stops us may also have killed a loader process, at which torch raises its own error.
            if self.interrupts.sent is None and not isinstance(error, KeyboardInterrupt):
                raise
            self.call_hook("after_interrupt")
            raise KeyboardInterrupt from None
        finally:
            self.interrupts.release()

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: dict | None = None) -> None:
        """Let the learning rate follow the photos of a step: mmengine counts those of an iteration."""
        if auto_scale_lr:
            of_step = auto_scale_lr["base_batch_size"] / optim_wrapper._accumulative_counts
            auto_scale_lr = {**auto_scale_lr, "base_batch_size": of_step}
        super().scale_lr(optim_wrapper, auto_scale_lr)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Return schedules in steps, of which an epoch's last may be of fewer iterations than the others."""
        counts = self.optim_wrapper._accumulative_counts
        length = math.ceil(len(self.train_dataloader) / counts)
        return super().build_param_scheduler([{**part, "epoch_length": length} for part in scheduler])

    @property
    def network(self) -> nn.Module:
        """The model without the wrapper that shares gradients between processes."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    def state(self) -> dict[str, Any]:
        """Return everything that resuming needs; an EMA hook swaps its averaged weights in."""
        state = {
            "meta": {"iter": self.iter},
            "state_dict": {name: value.detach().cpu() for name, value in self.network.state_dict().items()},
            "optimizer": self.optim_wrapper.state_dict(),
            "param_schedulers": [scheduler.state_dict() for scheduler in self.param_schedulers],
        }
        self.call_hook("before_save_checkpoint", checkpoint=state)
        return state

    def load_or_resume(self) -> None:
        """Go on from the newest state that is whole, or start from the given weights, or from nothing."""
        for path in saved_states(Path(self.work_dir)):
            try:
                state = read_checkpoint(path)
            except InputError as error:
                print(f"{error}; trying the state before", flush=True)
                continue
            self.call_hook("after_load_checkpoint", checkpoint=state)
            load_into(self.network, path, state["state_dict"])  # other code may have other weights
            self.optim_wrapper.load_state_dict(state["optimizer"])
            for scheduler, saved in zip(self.param_schedulers, state["param_schedulers"], strict=True):
                scheduler.load_state_dict(saved)
            done = self.train_loop._iter = state["meta"]["iter"]
            self.train_loop._epoch = done // len(self.train_dataloader)
            return
        if self._load_from is not None:
            load_into(self.network, self._load_from)
        elif self.cfg.get("pretrained"):
            load_pretrained(self.network, self.cfg.pretrained)

    @staticmethod
    def build_dataloader(dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> DataLoader[Any]:
        """Return a loader whose order and augmentation can go on from any iteration."""
        if isinstance(dataloader, dict):
            dataloader = with_seeded_draws(dataloader, seed)
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def build_model(self, model: Any) -> nn.Module:
        """Build the network with its weights in the order that is fast here."""
        return super().build_model(model).to(memory_format=memory_format())

    def _init_model_weights(self) -> None:
        """Draw the first weights, which fill memory in its order, in the same order wherever we run."""
        self.network.to(memory_format=torch.channels_last)
        super()._init_model_weights()
        self.network.to(memory_format=memory_format())

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Share the gradients between processes, also where there are no GPUs."""
        if self.distributed and not torch.cuda.is_available():
            return MMDistributedDataParallel(module=model, device_ids=None, broadcast_buffers=False)
        return super().wrap_model(model_wrapper_cfg, model)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Return a logger for errors only and without a file: progress has its own line and file."""
        return MMLogger.get_instance(self._experiment_name, log_level="ERROR")

    def dump_config(self) -> None:
        """Do nothing: `train` has written the configuration."""

    def _log_env(self, env_cfg: dict) -> None:
        """Do nothing: the step's record holds the environment."""
