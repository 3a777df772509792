#!/usr/bin/env python
"""What does a map buy? Train universal landmark models that differ in their map alone, and compare them in pairs.

Reads a workspace in which 01_prepare_data has run and, for the maps "derived" and "random" (of the derived map's group
sizes), 03_aggregation_mapping with aggregation=derived. "hand81+100" is the map as a prior: a landmark's channel is its
group's and a residual of its own, which decays 100 times as fast as other weights. Runs have the same photos, draws and
seed as their rivals; scores are on ground-truth boxes of validation, without flip test. What is trained is not trained
again; Ctrl-C and the same command go on.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kps.aggregation import NAMED, Aggregation
from kps.data.coco import category_counts, load_coco, save_selection
from kps.evaluation.intervals import paired_bootstrap
from kps.evaluation.scores import evaluate
from kps.files import InputError, progress
from kps.likeness import random_map
from kps.results.detections import ground_truth_detections
from kps.results.predictions import Predictions
from kps.workspace import Workspace

BASELINE, DERIVED, RANDOM = "hand81", "derived", "random"
RARE = 5  # categories with the fewest garments in train
Run = tuple[int, float, str]  # seed of photos and weights, share of the photos, map


def map_of(work: Workspace, run: Run) -> Aggregation:
    """The map of a run; InputError where there is none of that name, or 03_aggregation_mapping has not run."""
    name = run[2].partition("+")[0]
    if name not in (DERIVED, RANDOM):
        return Aggregation.resolve(name)
    derived = Aggregation.load(work.aggregation(DERIVED))
    return derived if name == DERIVED else random_map(derived, run[0])


def train_and_predict(work: Workspace, config: str, epochs: int, draws: int, run: Run) -> Predictions:
    """Train one run on its share of the photos, on one thread, and predict validation."""
    import torch

    from kps.models.landmarks import landmark_config, predict_landmarks
    from kps.models.training import train

    torch.set_num_threads(1)
    seed, share, name = run
    train_file, folder = work.coco("train"), work.root / "study" / f"{Path(name).stem}_{share:g}_{seed}"
    photos = np.random.default_rng(seed).permutation(load_coco(train_file).image_ids)  # the same for all maps
    part = work.root / "study" / "data" / f"{share:g}_{seed}.json"
    save_selection(train_file, part, photos[: max(1, round(share * len(photos)))].tolist())
    options: dict[str, Any] = {"train_dataloader.sampler.samples_per_epoch": draws}
    if decay := name.partition("+")[2]:
        options |= {"model.head.residual": True}
        options |= {"optim_wrapper.paramwise_cfg.custom_keys": {"residual": {"decay_mult": float(decay)}}}
    settings = landmark_config(
        config, aggregation=map_of(work, run), coco_file=part, image_dir=work.image_dir("train"), work_dir=folder,
        epochs=epochs, options=options, seed=seed,
    )  # fmt: skip
    checkpoint, truth = train(settings), load_coco(work.coco("validation"))
    boxes = ground_truth_detections(truth)
    return predict_landmarks(checkpoint, boxes, truth, work.image_dir("validation"), flip_test=False)


def compare(work: Workspace, found: dict[Run, Predictions]) -> pd.DataFrame:
    """A row a share and map: AP of each seed, their mean, that of the RARE categories, the gain over BASELINE."""
    truth, rows = load_coco(work.coco("validation")), {}
    rarest = np.argsort(category_counts(load_coco(work.coco("train")).instances.category_id), kind="stable")[:RARE] + 1
    for share, name in dict.fromkeys((share, name) for _, share, name in found):
        seeds = {seed: results for (seed, *rest), results in found.items() if rest == [share, name]}
        scores = {seed: evaluate(truth, results) for seed, results in seeds.items()}
        row = {f"seed {seed}": score.AP for seed, score in scores.items()}
        row["mean"] = np.mean(list(row.values()))
        row[f"{RARE} rarest"] = np.mean([score.per_category[kind] for score in scores.values() for kind in rarest])
        rivals = [found.get((seed, share, BASELINE)) for seed in seeds]
        if name != BASELINE and None not in rivals:
            gain = paired_bootstrap(truth, rivals, list(seeds.values())).AP
            row |= {f"over {BASELINE}": gain.estimate, "low": gain.low, "high": gain.high}
        rows[f"{share:g} {Path(name).stem}"] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def main(words: list[str] | None = None) -> int:
    """Read the options, run what is missing and print the table; 1 where the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--workspace", type=Path, default=Path("runs/demo"), help="(runs/demo)")
    maps = [*reversed(NAMED), DERIVED, RANDOM]
    parser.add_argument("--maps", nargs="+", default=maps, metavar="NAME_OR_FILE", help=f"({' '.join(maps)})")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.05, 0.2], help="of the photos")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--config", default="hrnet_demo", help="of the landmark models (hrnet_demo)")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--draws", type=int, default=1600, help="crops an epoch")
    parser.add_argument("--jobs", type=int, default=2, help="trainings side by side, one thread each (2)")
    arguments = parser.parse_args(words)
    work, runs = Workspace(arguments.workspace), list(product(arguments.seeds, arguments.shares, arguments.maps))
    try:
        for run in runs:
            map_of(work, run)  # a map that is at fault is said before anything is trained
        one = partial(train_and_predict, work, arguments.config, arguments.epochs, arguments.draws)
        with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
            each = progress(pool.map(one, runs), desc="comparing maps", total=len(runs), unit="run")
            found = dict(zip(runs, each, strict=True))
        print(compare(work, found).round(3).to_string())
    except InputError as error:
        print(f"compare_aggregations: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
