"""One evaluation as values for a JSON file and as lines for a terminal."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from kps.data.coco import Coco
from kps.evaluation.causes import MEAN, analyse_causes
from kps.evaluation.intervals import STATISTICS, Intervals, bootstrap, paired_bootstrap
from kps.evaluation.scores import SOURCE, Scores, evaluate, evaluate_subsets
from kps.files import InputError
from kps.results.detections import Detections
from kps.results.predictions import Results
from kps.schema import CATEGORIES


def summarise(
    truth: Coco,
    results: Results,
    *,
    rival: Results | None = None,
    by: Sequence[str] = (),
    intervals: bool = False,
    causes: bool = False,
    samples: int = 1000,
    visible_only: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Score landmarks or boxes as far as asked: the values for a JSON file, and the lines to print.

    A `rival` is other results on the same images, of the same kind: how much better than these is `results`? Causes and
    `visible_only` are about landmarks. InputError: the ground truth has nothing to score.
    """
    scores = evaluate(truth, results, visible_only=visible_only)
    landmarks = "visible landmarks" if visible_only else "visible and occluded landmarks"
    what = "boxes" if isinstance(results, Detections) else landmarks
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
        names = subsets if attribute == SOURCE else map(str, count(1))  # the data set counts the values from 1
        parts = {name: part.to_json() for name, part in zip(names, subsets.values(), strict=False)}
        values.setdefault("subsets", {})[attribute] = parts
        lines += ["", *_subset_table(attribute, subsets)]
    if rival is not None:
        paired = paired_bootstrap(truth, rival, results, samples=samples, visible_only=visible_only)
        values["difference"] = paired.to_json()
        lines += ["", f"AP minus the other's, paired over {samples} halves of the images", *_gain(paired)]
    if causes:
        found = analyse_causes(truth, results, visible_only=visible_only)
        values["causes"] = found.to_json()
        lines += ["", "points of AP lost, by what would repair them"]
        mean = found.loss[MEAN].sort_values(ascending=False)
        lines += [f"   {cause:<32}{100 * points:>6.1f}" for cause, points in mean.items()]
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
    rows = [(item.id, item.name, _text(values["per_category"][str(item.id)])) for item in CATEGORIES]
    head = ["  ".join(figures)] if ranges is None else figures
    return head + [f"{number:>4}  {name:<22}{score}{between(number)}" for number, name, score in rows]


def _subset_table(attribute: str, subsets: dict[str, Scores]) -> list[str]:
    lines = [f"by {attribute:<14}{'AP':>8}{'AP50':>8}{'AP75':>8}{'AR':>8}{'items':>9}{'images':>9}"]
    for label, part in subsets.items():
        figures = "".join(f"{_text(getattr(part, name)):>8}" for name in STATISTICS)
        lines.append(f"   {label:<14}{figures}{part.num_items:>9}{part.num_images:>9}")
    return lines


def _gain(paired: Intervals) -> list[str]:
    """Each category's difference, its interval and the share of halves that agree, as far as known."""
    rows = [("all", paired.AP)] + [(item.name, paired.per_category[item.id]) for item in CATEGORIES]
    return [
        f"   {name:<22}{_text(gain.estimate, '+')}  [{_text(gain.low, '+')}, {_text(gain.high, '+')}]"
        + (f"  better in {gain.share_better:.0%}" if gain.low == gain.low else "  too few photos")
        for name, gain in rows
        if gain.estimate == gain.estimate
    ]
