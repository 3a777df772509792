#!/usr/bin/env python
"""Train universal landmark models with different aggregation maps, all else equal, and predict validation.

Reads a workspace in which 01_prepare_data has run and, for the maps "derived" and "random",
03_aggregation_mapping with aggregation=derived. Writes WORKSPACE/study/MAP_SHARE_SEED/validation.npz,
which 03_aggregation_mapping compares. What is done is not done again; Ctrl-C and the same command go on.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from kps.files import InputError, progress
from kps.flow.study import StudyRun, aggregation_of, grid, train_and_predict
from kps.workspace import Workspace


def main() -> int:
    """Read the options and run what is missing; 1 where the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--workspace", type=Path, default=Path("runs/demo"), help="(runs/demo)")
    maps = ["identity", "hand81", "derived", "random"]
    parser.add_argument("--maps", nargs="+", default=maps, metavar="NAME_OR_FILE", help=f"({' '.join(maps)})")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.05, 0.2], help="of the photos")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--config", default="hrnet_demo", help="of the landmark models (hrnet_demo)")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--draws", type=int, default=1600, help="crops an epoch")
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side, one thread each (2)")
    arguments = parser.parse_args()
    try:
        work = Workspace(arguments.workspace)
        runs = grid(arguments.maps, arguments.shares, arguments.seeds)
        for run in runs:
            aggregation_of(work, run)  # a map that is at fault is said before anything is trained
        one = partial(_one, work, arguments.config, arguments.epochs, arguments.draws)
        with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
            for name in progress(pool.map(one, runs), desc="comparing maps", total=len(runs), unit="run"):
                print(f"done: {name}", flush=True)
    except InputError as error:
        print(f"compare_aggregations: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _one(work: Workspace, config: str, epochs: int, draws: int, run: StudyRun) -> str:
    """Run one training in a process of its own, on one thread."""
    import torch

    torch.set_num_threads(1)
    train_and_predict(work, run, config=config, epochs=epochs, draws=draws)
    return run.name


if __name__ == "__main__":
    sys.exit(main())
