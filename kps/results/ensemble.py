"""The ensemble: the mean of several runs' landmarks and scores on the same boxes (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kps.files import InputError
from kps.results.predictions import Predictions


def ensemble(runs: Sequence[Predictions], *, names: Sequence[str] | None = None) -> Predictions:
    """Average the runs' coordinates, confidences and scores, matched by detection id.

    Args:
        runs: at least one; each must hold the same detections: ids, images, categories, boxes and box scores.
        names: of the runs, for messages.

    Returns:
        The mean predictions, in the order of the first run.

    Raises:
        InputError: no runs, or a run whose detections differ; names the run and the detection id.
    """
    names = list(names) if names is not None else [f"run {number}" for number in range(1, len(runs) + 1)]
    if not runs or len(names) != len(runs):
        raise InputError(f"expected at least one run and a name for each, but got {len(runs)} and {len(names)}")
    first = runs[0]
    aligned = [run.take(_rows(first, names[0], run, name)) for run, name in zip(runs, names, strict=True)]
    for run, name in zip(aligned, names, strict=True):
        _check_same_boxes(first, names[0], run, name)
    return replace(
        first,
        keypoints=np.mean([run.keypoints for run in aligned], axis=0),
        score=np.mean([run.score for run in aligned], axis=0),
    )


def _rows(first: Predictions, first_name: str, run: Predictions, name: str) -> np.ndarray:
    """(N,) rows of `run` in the order of `first`; refuses ids that repeat or that only one of them has."""
    ids, counts = np.unique(run.detection_id, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{name}: expected each detection id once, but {ids[np.argmax(counts > 1)]} repeats")
    for here, there, here_name, there_name in (
        (first, run, first_name, name),
        (run, first, name, first_name),
    ):
        absent = np.setdiff1d(here.detection_id, there.detection_id)
        if absent.size:
            raise InputError(
                f"{there_name}: expected the same detections as {here_name}, but {absent.size} are absent, "
                f"first detection {absent[0]}"
            )
    return np.argsort(run.detection_id)[np.searchsorted(ids, first.detection_id)]


def _check_same_boxes(first: Predictions, first_name: str, run: Predictions, name: str) -> None:
    for field in ("image_id", "category_id", "bbox_xywh", "bbox_score"):
        ours, theirs = getattr(first, field), getattr(run, field)
        differs = (ours != theirs).reshape(len(first), -1).any(axis=1) if len(first) else np.zeros(0, bool)
        if differs.any():
            row = int(np.argmax(differs))
            raise InputError(
                f"{name}: detection {first.detection_id[row]}: expected the {field} of {first_name}, "
                f"{ours[row]}, but got {theirs[row]}"
            )
