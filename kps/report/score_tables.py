"""Scores of several splits or runs, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from kps.data.coco import Coco
from kps.evaluation.intervals import bootstrap
from kps.evaluation.metrics import Scores, evaluate_landmarks
from kps.results.predictions import Predictions

FIGURES = ["AP", "AP50", "AP75", "AR", "num_items", "num_results"]


def score_splits(truth: Mapping[str, Coco], predictions: Mapping[str, Predictions]) -> dict[str, dict[str, Scores]]:
    """Landmark scores of each split that has annotations, by kind: visible_and_occluded, visible_only."""
    return {
        split: {
            "visible_and_occluded": evaluate_landmarks(coco, predictions[split]),
            "visible_only": evaluate_landmarks(coco, predictions[split], visible_only=True),
        }
        for split, coco in truth.items()
        if len(coco.instances)
    }


def scores_with_intervals(
    scores: Mapping[str, Mapping[str, Scores]],
    truth: Mapping[str, Coco],
    predictions: Mapping[str, Predictions],
    *,
    samples: int = 1000,
) -> dict[str, dict[str, Any]]:
    """What a record holds of `score_splits`: by split and kind, with the "interval" of AP over photos."""
    values: dict[str, dict[str, Any]] = {}
    for split, kinds in scores.items():
        for kind, score in kinds.items():
            drawn = bootstrap(truth[split], predictions[split], samples=samples, visible_only=kind == "visible_only")
            interval = [drawn.to_json()["AP"][end] for end in ("low", "high")]
            values.setdefault(split, {})[kind] = score.to_json() | {"interval": interval}
    return values


def score_table(scores: Mapping[str, Scores]) -> pd.DataFrame:
    """One row of AP, AP50, AP75, AR and counts for each of the named scores."""
    rows = {label: vars(score) for label, score in scores.items()}
    table = pd.DataFrame.from_dict(rows, orient="index")[FIGURES].round(3)
    return table.rename(columns=lambda name: name.removeprefix("num_"))
