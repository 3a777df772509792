"""What does a map buy? Universal landmark models with different maps, trained alike, compared with pairs.

Every run of the study has the same number of draws, the same photos and the same seed as its rivals; only the
channels differ. Scores are on ground-truth boxes, without flip test, by the challenge's protocol.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from kps.aggregation import Aggregation
from kps.data.coco import Coco, load_coco, save_selection
from kps.evaluation.intervals import PairedDifference, paired_bootstrap
from kps.evaluation.scores import evaluate_landmarks
from kps.files import InputError, read_json, write_json
from kps.likeness import random_map
from kps.results.detections import ground_truth_detections
from kps.results.predictions import Predictions
from kps.workspace import Workspace, code_sha256

BASELINE, DERIVED, RANDOM = "hand81", "derived", "random"


@dataclass(frozen=True)
class StudyRun:
    """One training: a map by name, a share of the training photos, and the seed of photos and weights."""

    aggregation: str
    share: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return f"{Path(self.aggregation).stem}_{self.share:g}_{self.seed}"


def grid(aggregations: Iterable[str], shares: Iterable[float], seeds: Iterable[int]) -> list[StudyRun]:
    """All runs, seed by seed, so that a study that was stopped early is still balanced."""
    return [StudyRun(name, share, seed) for seed, share, name in product(seeds, shares, aggregations)]


def aggregation_of(work: Workspace, run: StudyRun) -> Aggregation:
    """The map of a run: "derived" is the workspace's, "random" has groups of its sizes, drawn by the seed.

    Raises:
        InputError: no such map, or 03_aggregation_mapping with aggregation=derived has not run.
    """
    if run.aggregation not in (DERIVED, RANDOM):
        return Aggregation.resolve(run.aggregation)
    derived = Aggregation.load(work.aggregation(DERIVED))
    return derived if run.aggregation == DERIVED else random_map(derived, run.seed)


def train_and_predict(work: Workspace, run: StudyRun, *, config: str, epochs: int, draws: int) -> Path:
    """Train one run on its share of the photos and predict on validation.

    What is done is not done again, unless settings, data or code have changed: a note beside it tells.

    Args:
        work: has the COCO files and photos; the run's folder is made in its `study`.
        config: of the landmark model, as of notebook 05.
        epochs: of training.
        draws: crops an epoch, the same for every share.

    Returns:
        The file of the predictions.
    """
    from kps.models.landmarks import landmark_config, predict_landmarks
    from kps.models.run_identity import input_hashes, with_identity
    from kps.models.training import train

    folder, photos = work.study / run.name, work.image_dir("validation")
    out, note = folder / "validation.npz", folder / "validation.json"
    settings = landmark_config(
        config,
        aggregation=aggregation_of(work, run),
        coco_file=_share_of_photos(work, run),
        image_dir=work.image_dir("train"),
        work_dir=folder,
        epochs=epochs,
        options={"train_dataloader.sampler.samples_per_epoch": draws},
        seed=run.seed,
    )
    split = {"ann_file": str(work.coco("validation")), "data_prefix": {"img": str(photos)}}
    wanted = {"training": with_identity(settings), "validation": input_hashes(split)}
    wanted["code_sha256"] = code_sha256(["kps.models.landmarks"])
    if out.exists() and note.exists() and read_json(note) == wanted:
        return out
    checkpoint = train(settings)
    truth = load_coco(work.coco("validation"))
    boxes = ground_truth_detections(truth)
    predict_landmarks(checkpoint, boxes, truth, photos, flip_test=False).save(out)
    write_json(note, wanted)
    return out


def _share_of_photos(work: Workspace, run: StudyRun) -> Path:
    """Write the COCO file of a random share of the training photos, the same for all maps."""
    path = work.study / "data" / f"{run.share:g}_{run.seed}.json"
    if not 0 < run.share <= 1:
        raise InputError(f"expected a share of the photos in 0..1, but got {run.share}")
    photos = np.random.default_rng(run.seed).permutation(load_coco(work.coco("train")).image_ids)
    save_selection(work.coco("train"), path, photos[: max(1, round(run.share * len(photos)))].tolist())
    return path


def compare_runs(
    truth: Coco, runs: Mapping[StudyRun, Predictions], *, samples: int = 1000
) -> dict[tuple[float, str], PairedDifference]:
    """How much better each map is than BASELINE, by share and map, over the seeds that both have.

    AP of a map is the mean over its seeds; the interval is over photos, drawn alike for both.
    """
    found = {}
    for share in sorted({run.share for run in runs}):
        for name in dict.fromkeys(run.aggregation for run in runs if run.aggregation != BASELINE):
            pairs = [
                (runs[rival], results)
                for run, results in runs.items()
                if (run.aggregation, run.share) == (name, share)
                and (rival := StudyRun(BASELINE, share, run.seed)) in runs
            ]
            if pairs:
                first, second = zip(*pairs, strict=True)
                found[share, name] = paired_bootstrap(truth, first, second, samples=samples)
    return found


def study_table(truth: Coco, runs: Mapping[StudyRun, Predictions]) -> pd.DataFrame:
    """A row for each share and map: AP of each seed, their mean and standard deviation."""
    rows: dict[tuple[float, str], dict[str, float]] = {}
    for run, results in sorted(runs.items(), key=lambda item: (item[0].share, item[0].seed)):
        row = rows.setdefault((run.share, run.aggregation), {})
        row[f"seed {run.seed}"] = evaluate_landmarks(truth, results).AP
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["share", "map"])
    return table.assign(mean=table.mean(axis=1), deviation=table.std(axis=1)).sort_index()


def load_study(work: Workspace) -> dict[StudyRun, Predictions]:
    """Predictions of all finished runs of the study; empty where there was none."""
    found = {}
    for path in sorted(work.study.glob("*/validation.npz")):
        name, share, seed = path.parent.name.rsplit("_", 2)
        found[StudyRun(name, float(share), int(seed))] = Predictions.load(path)
    return found
