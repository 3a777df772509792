"""The order in which a run sees its samples: fixed by the seed, so that it can go on from any iteration.

Each draw has a seed of its own, made from the run's seed, the epoch and the draw's place in it. Thus neither
the number of loader workers nor a break changes what is learnt.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler

from kps.models.interrupts import leave_to_the_trainer


class Draw(NamedTuple):
    """What the sampler hands to the data set."""

    index: int
    seed: int


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

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Any:
        seed_everything(draw.seed)
        return self.dataset[draw.index]


class SeededSampler(Sampler):
    """Turn an order of indices into draws, and start where an interrupted epoch stopped.

    Args:
        order: any sampler that is deterministic given the epoch, such as mmengine's DefaultSampler.
        seed: the run's.
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

    def __iter__(self) -> Iterator[Draw]:
        for place, index in enumerate(self.order):
            if place >= self.start:
                place = place * self.world_size + self.rank
                state = np.random.SeedSequence([self.seed, self.epoch, place]).generate_state(1)
                yield Draw(index, int(state[0]))


def with_seeded_draws(loader: dict, seed: int) -> dict:
    """Return a loader's configuration with its data set and sampler built and wrapped."""
    dataset = DATASETS.build(loader["dataset"])
    if hasattr(dataset, "full_init"):
        dataset.full_init()
    order = DATA_SAMPLERS.build(loader["sampler"], default_args={"dataset": dataset, "seed": seed})
    seeded = {"dataset": SeededDataset(dataset), "sampler": SeededSampler(order, seed)}
    return {**loader, **seeded, "worker_init_fn": {"type": leave_to_the_trainer}}
