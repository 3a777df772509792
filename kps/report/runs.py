"""What each step of the paper moved: paired differences between neighbouring rows of Table 2."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kps.data.coco import Coco
from kps.evaluation.intervals import PairedDifference, paired_bootstrap
from kps.report.tables import NOT_RUN
from kps.results.predictions import Predictions
from kps.workspace import Workspace


@dataclass(frozen=True)
class PaperStep:
    """A step of the paper, the runs without and with it, and the points of AP that the paper gives it."""

    name: str
    without: str
    with_: str
    paper: float


STEPS = (
    PaperStep("aggregation, 294 to 81", "cascade_identity", "cascade_hand81", 0.559 - 0.556),
    PaperStep("HTC instead of Cascade R-CNN", "cascade_hand81", "universal_no_flip_test", 0.579 - 0.559),
    PaperStep("flip test", "universal_no_flip_test", "universal", 0.584 - 0.579),
    PaperStep("finetuning", "universal", "finetune_plain", 0.612 - 0.584),
    PaperStep("flip training", "finetune_plain", "finetune_flip", 0.614 - 0.612),
    PaperStep("ensemble", "finetune_flip", "ensemble", 0.615 - 0.614),
)


def measure_steps(work: Workspace, truth: Coco, *, samples: int = 1000) -> dict[str, PairedDifference]:
    """The gain of each step whose two runs are there, on the validation photos of a workspace."""
    found = {}
    for step in STEPS:
        paths = [work.predictions(run, "validation") for run in (step.without, step.with_)]
        if all(path.exists() for path in paths):
            first, second = map(Predictions.load, paths)
            found[step.name] = paired_bootstrap(truth, first, second, samples=samples)
    return found


def steps_table(gains: dict[str, PairedDifference]) -> pd.DataFrame:
    """A row for each step: the paper's gain in AP_kps, ours with its paired interval, and the direction."""
    rows = {}
    for step in STEPS:
        ours = (NOT_RUN, "-", "-")
        if gain := gains.get(step.name):
            interval = f"{gain.AP.low:+.3f} to {gain.AP.high:+.3f}"
            ours = (f"{gain.AP.estimate:+.3f}", interval, _direction(gain))
        rows[step.name] = (f"{step.paper:+.3f}", *ours)
    columns = ["AP_kps, paper", "AP_kps, ours", "95 % interval", "direction here"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _direction(gain: PairedDifference) -> str:
    if gain.AP.low > 0:
        return "up"
    return "down" if gain.AP.high < 0 else "undecided"
