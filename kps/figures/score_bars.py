"""Scores with their doubt, and scores by subset."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from kps.evaluation.intervals import Intervals, PairedDifference
from kps.evaluation.metrics import Scores
from kps.figures.style import INK, OURS, SERIES, STYLE, new_figure
from kps.schema import CATEGORIES

NAMES = ["all", *(item.name for item in CATEGORIES)]


@mpl.rc_context(STYLE)
def score_intervals(measured: Mapping[str, Intervals | PairedDifference], *, xlabel: str, title: str = "") -> Figure:
    """AP of the mean and of each category as points with their intervals, a colour for each label.

    Differences are drawn with a line at zero: an interval that does not cross it is a difference.
    """
    figure, ((axes,),) = new_figure(1, 1, (7.5, 4.2))
    offset = 0.7 / max(len(measured), 1)
    for index, (label, values) in enumerate(measured.items()):
        rows = [values.AP, *(values.per_category[item.id] for item in CATEGORIES)]
        middle, low, high = (np.array([getattr(row, name) for row in rows]) for name in ("estimate", "low", "high"))
        place = np.arange(len(rows)) + (index - (len(measured) - 1) / 2) * offset
        colour = SERIES[index % len(SERIES)]
        axes.hlines(place, low, high, color=colour, linewidth=2.2, alpha=0.55)
        axes.plot(middle, place, "o", color=colour, markersize=4.5, label=label)
    if any(isinstance(values, PairedDifference) for values in measured.values()):
        axes.axvline(0, color=INK, linewidth=0.8)
    axes.axhline(0.5, color=INK, linewidth=0.5)
    axes.set_yticks(range(len(NAMES)), NAMES)
    axes.set_ylim(len(NAMES) - 0.4, -0.6)
    axes.set_xlabel(xlabel)
    axes.grid(axis="y", visible=False)
    axes.set_title(title, loc="left")
    if len(measured) > 1:
        axes.legend(ncols=len(measured), loc="lower right", bbox_to_anchor=(1, 1.0), borderaxespad=0.1)
    return figure


@mpl.rc_context(STYLE)
def subset_bars(subsets: Mapping[str, Mapping[str, Scores]], *, title: str = "") -> Figure:
    """AP by subset, one panel an attribute; under a bar the number of items that count."""
    figure, (row,) = new_figure(1, len(subsets), (2.5 * len(subsets), 2.7), sharey=True)
    for axes, (attribute, scores) in zip(row, subsets.items(), strict=True):
        heights = [part.AP for part in scores.values()]
        bars = axes.bar(range(len(heights)), np.nan_to_num(heights), 0.65, color=OURS)
        labels = ["-" if np.isnan(height) else f"{height:.2f}" for height in heights]
        axes.bar_label(bars, labels, fontsize=7, padding=1)
        ticks = [f"{label}\n{part.num_items:,}" for label, part in scores.items()]
        axes.set_xticks(range(len(ticks)), ticks, fontsize=7)
        axes.set_title(attribute.replace("_", " "))
        axes.grid(axis="x", visible=False)
    row[0].set_ylabel("AP_kps")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure
