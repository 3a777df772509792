"""One evaluation as values for a JSON file and as lines for a terminal."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from kps.data.coco import Coco
from kps.evaluation.causes import analyse_causes
from kps.evaluation.intervals import STATISTICS, Intervals, PairedDifference, bootstrap, paired_bootstrap
from kps.evaluation.scores import SOURCE, Scores, evaluate_boxes, evaluate_landmarks, evaluate_subsets
from kps.files import InputError
from kps.results.detections import Detections
from kps.results.predictions import Predictions
from kps.schema import CATEGORIES


def summarise(
    truth: Coco,
    results: Predictions | Detections,
    *,
    rival: Predictions | Detections | None = None,
    by: Sequence[str] = (),
    intervals: bool = False,
    causes: bool = False,
    samples: int = 1000,
    visible_only: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Score results as far as asked; InputError: the ground truth has nothing to score.

    Args:
        truth: ground truth.
        results: landmarks or boxes.
        rival: other results on the same images, of the same kind; how much better than these is `results`?
        by: attributes whose subsets are scored too.
        intervals: with intervals over images.
        causes: with the causes of the lost points of AP; landmarks only.
        samples: random halves of the images for the intervals.
        visible_only: occluded landmarks do not count; landmarks only.

    Returns:
        The values for a JSON file, and the lines to print.
    """
    if isinstance(results, Detections):
        scores, what = evaluate_boxes(truth, results), "boxes"
    else:
        scores = evaluate_landmarks(truth, results, visible_only=visible_only)
        what = "visible landmarks" if visible_only else "visible and occluded landmarks"
    values: dict[str, Any] = scores.to_json()
    if not scores.num_items:
        raise InputError(f"{truth.path}: expected {what} to score, but no item counts")
    lines = [f"{what}: {scores.num_results} results, {scores.num_items} items on {scores.num_images} images"]
    ranges = None
    if intervals:
        ranges = bootstrap(truth, results, samples=samples, visible_only=visible_only)
        values["intervals"] = ranges.to_json()
        values["interval"] = [values["intervals"]["AP"][end] for end in ("low", "high")]
        lines.append(f"with 95 % intervals by {samples} random halves of the images")
    lines += _table(values, ranges)
    for attribute in by:
        subsets = evaluate_subsets(truth, results, by=attribute, visible_only=visible_only)
        numbered = attribute != SOURCE  # the data set counts the values from 1
        values.setdefault("subsets", {})[attribute] = {
            str(number) if numbered else label: part.to_json()
            for number, (label, part) in enumerate(subsets.items(), start=1)
        }
        lines += ["", *_subset_table(attribute, subsets)]
    if rival is not None:
        paired = paired_bootstrap(truth, rival, results, samples=samples, visible_only=visible_only)
        values["difference"] = paired.to_json()
        lines += ["", f"AP minus the other's, paired over {samples} halves of the images", *_gain(paired)]
    if causes:
        found = analyse_causes(truth, results, visible_only=visible_only)
        values["causes"] = found.to_json()
        lines += ["", "points of AP lost, by what would repair them", *_causes(found.loss)]
    return values, lines


def _text(value: float | None, sign: str = "") -> str:
    """A score with three decimals, a dash where there is none."""
    return "    -" if value is None or value != value else f"{value:{sign}.3f}"


def _table(values: dict[str, Any], ranges: Intervals | None) -> list[str]:
    """The four figures of the mean, then each category's AP, with intervals where there are any."""

    def between(name: str | int) -> str:
        if ranges is None:
            return ""
        interval = getattr(ranges, name) if isinstance(name, str) else ranges.per_category[name]
        return f"  [{_text(interval.low)}, {_text(interval.high)}]"

    figures = [f"{name} {_text(values[name])}{between(name)}" for name in STATISTICS]
    head = ["  ".join(figures)] if ranges is None else figures
    per_category = values["per_category"]
    return head + [
        f"{item.id:>4}  {item.name:<22}{_text(per_category[str(item.id)])}{between(item.id)}" for item in CATEGORIES
    ]


def _subset_table(attribute: str, subsets: dict[str, Scores]) -> list[str]:
    lines = [f"by {attribute:<16}{'AP':>6}{'AP50':>8}{'AP75':>8}{'AR':>8}{'items':>9}{'images':>9}"]
    for label, part in subsets.items():
        figures = [_text(getattr(part, name)) for name in STATISTICS]
        cells = "".join(f"{figure:>8}" for figure in figures[1:])
        lines.append(f"   {label:<16}{figures[0]:>6}{cells}{part.num_items:>9}{part.num_images:>9}")
    return lines


def _gain(paired: PairedDifference) -> list[str]:
    """Each category's difference, its interval and the share of halves that agree, as far as known."""
    rows = [("all", paired.AP)] + [(item.name, paired.per_category[item.id]) for item in CATEGORIES]
    return [
        f"   {name:<22}{_text(gain.estimate, '+')}  [{_text(gain.low, '+')}, {_text(gain.high, '+')}]"
        + (f"  better in {gain.share_better:.0%}" if gain.low == gain.low else "  too few photos")
        for name, gain in rows
        if gain.estimate == gain.estimate
    ]


def _causes(loss: pd.DataFrame) -> list[str]:
    mean = loss.iloc[:, 0].sort_values(ascending=False)
    return [f"   {cause:<32}{100 * points:>6.1f}" for cause, points in mean.items()]
