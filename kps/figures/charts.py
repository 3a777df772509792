"""Curves, bars and matrices: training, scores with their intervals, and where points are lost."""

import warnings
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from kps.data.coco import Coco
from kps.evaluation.causes import CAUSES, Causes
from kps.evaluation.intervals import RECALL_STEPS, Difference, Intervals
from kps.evaluation.matching import THRESHOLDS, compare, confusions, precision_at_recall
from kps.evaluation.scores import Scores
from kps.figures.style import INK, OURS, PAPER, SERIES, STYLE, new_figure
from kps.results.predictions import Predictions, Results
from kps.schema import CATEGORIES

LOG_RANGE = 20  # a quantity that spans more is drawn on a logarithmic axis
NAMES = [item.name for item in CATEGORIES]


@mpl.rc_context(STYLE)
def category_imbalance(counts: Mapping[str, Sequence[float]], *, title: str = "Garments per category") -> Figure:
    """Garments of each category on a log scale; `counts` maps a label to 13 numbers (the first is ours)."""
    table = pd.DataFrame(counts, dtype=float)
    shares = 100 * table / table.sum().clip(1)
    figure, axes = _bars_by_category(shares, (OURS, PAPER, *SERIES[1:]), title)
    for bars, values in zip(axes.containers, counts.values(), strict=True):
        axes.bar_label(bars, [f"{value:,.0f}" for value in values], fontsize=6, rotation=90, padding=2)
    axes.set(yscale="log", ylim=(0.05, 200), ylabel="share of all garments, %")
    axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    return figure


def _bars_by_category(heights: pd.DataFrame, colours: Sequence[str], title: str) -> tuple[Figure, Axes]:
    """13 bars for each column, side by side; the axes' containers hold those of each column."""
    figure, ((axes,),) = new_figure(1, 1, (9, 3.2))
    num_labels = heights.shape[1]
    width = 0.8 / max(num_labels, 1)
    for index, (label, values) in enumerate(heights.items()):
        place = np.arange(len(NAMES)) + (index - (num_labels - 1) / 2) * width
        axes.bar(place, values, width, label=label, color=colours[index % len(colours)])
    axes.set_xticks(range(len(NAMES)), NAMES, rotation=35, ha="right")
    axes.grid(axis="x", visible=False)
    axes.set_title(title, loc="left")
    if num_labels:
        axes.legend(ncols=num_labels, loc="lower right", bbox_to_anchor=(1, 1.0), borderaxespad=0.1)
    return figure, axes


@mpl.rc_context(STYLE)
def per_category_bars(series: Mapping[str, Mapping[str, float]], *, ylabel: str, title: str = "") -> Figure:
    """A value in [0, 1] per category; each series maps a category id (or its text) to a value or None.

    A line marks each series' mean over its categories.
    """
    by_id = {label: {int(key): value for key, value in values.items()} for label, values in series.items()}
    table = pd.DataFrame(by_id, index=[item.id for item in CATEGORIES], dtype=float)
    figure, axes = _bars_by_category(table, SERIES, title)
    for bars, heights in zip(axes.containers, table.to_numpy().T, strict=True):
        for bar in np.array(bars)[np.isnan(heights)]:
            axes.text(bar.get_x() + bar.get_width() / 2, 0.01, "-", ha="center", fontsize=6)
        axes.bar_label(bars, fmt="{:.2f}", fontsize=6, rotation=90 if len(series) > 1 else 0, padding=1)
        if np.isfinite(heights).any():
            colour = bars[0].get_facecolor()
            axes.axhline(np.nanmean(heights), color=colour, linewidth=0.8, linestyle="--", zorder=0)
    axes.set(ylim=(0, 1.12), ylabel=ylabel)
    return figure


@mpl.rc_context(STYLE)
def curves_and_confusions(truth: Coco, results: Results, *, least_score: float = 0.1) -> Figure:
    """Precision over recall, the mean of the categories at five thresholds; and what garments are taken for.

    The second panel holds, of the items of a row, the share whose best scored result (from `least_score`) has the
    column's category.
    """
    figure, ((left, right),) = new_figure(1, 2, (12, 4.6), width_ratios=(1, 1.35))
    found = [precision_at_recall(one, RECALL_STEPS) for one in compare(truth, results).matches.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of means of nothing
        mean = np.nanmean(found, axis=0)
    for t, colour in zip(range(0, 10, 2), mpl.colormaps["viridis"](np.linspace(0, 0.85, 5)), strict=True):
        left.plot(RECALL_STEPS, mean[t], color=colour, label=f"{THRESHOLDS[t]:.1f}: {mean[t].mean():.2f}")
    left.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    left.legend(title="OKS: AP" if isinstance(results, Predictions) else "IoU: AP", fontsize=8)
    counts = confusions(truth, results, least_score=least_score)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    right.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    right.grid(False)
    labels = [f"{name} ({total})" for name, total in zip(NAMES, counts.sum(1), strict=True)]
    right.set_yticks(range(13), labels, fontsize=7)
    right.set_xticks(range(14), [*NAMES, "none"], rotation=45, ha="right", rotation_mode="anchor", fontsize=7)
    for row, column in zip(*np.nonzero(share >= 0.005), strict=True):
        colour = "white" if share[row, column] > 0.5 else INK
        right.text(column, row, f"{share[row, column]:.2f}", ha="center", va="center", fontsize=6, color=colour)
    right.set_title(f"garments (rows) and what they are taken for, score from {least_score}")
    return figure


@mpl.rc_context(STYLE)
def learning_curves(histories: Mapping[str, pd.DataFrame], *, title: str = "") -> Figure:
    """Loss and learning rate of training histories over the iteration, one line each."""
    figure, (row,) = new_figure(1, 2, (7.2, 2.8))
    for axes, column in zip(row, ("loss", "learning_rate"), strict=True):
        for label, history in histories.items():
            if column in history:
                axes.plot(history["iteration"], history[column], linewidth=1.4, label=label)
        axes.set(title=column.replace("_", " "), xlabel="iteration")
        values = np.concatenate([[], *(line.get_ydata() for line in axes.lines)])
        if values.size and values.min() > 0 and values.max() > LOG_RANGE * values.min():
            axes.set_yscale("log")
        if len(histories) > 1:
            axes.legend(fontsize=7)
    figure.suptitle(title, fontsize=10)
    return figure


@mpl.rc_context(STYLE)
def score_intervals(measured: Mapping[str, Intervals], *, xlabel: str, title: str = "") -> Figure:
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
    if any(isinstance(values.AP, Difference) for values in measured.values()):
        axes.axvline(0, color=INK, linewidth=0.8)
    axes.axhline(0.5, color=INK, linewidth=0.5)
    axes.set_yticks(range(1 + len(NAMES)), ["all", *NAMES])
    axes.set(ylim=(len(NAMES) + 0.6, -0.6), xlabel=xlabel)
    axes.grid(axis="y", visible=False)
    axes.set_title(title, loc="left")
    if len(measured) > 1:
        axes.legend(ncols=len(measured), loc="lower right", bbox_to_anchor=(1, 1.0), borderaxespad=0.1)
    return figure


@mpl.rc_context(STYLE)
def points_with_intervals(
    table: pd.DataFrame, x: str, *, ylabel: str, title: str = "", diagonal: bool = False
) -> Figure:
    """Columns "estimate", "low" and "high" over the column `x`, a point a row with its name.

    With `diagonal` both are in 0..1 and equal where points lie on it; else a line marks zero.
    """
    figure, ((axes,),) = new_figure(1, 1, (6.4, 3.8))
    axes.vlines(table[x], table["low"], table["high"], color=OURS, linewidth=2.2, alpha=0.5)
    axes.plot(table[x], table["estimate"], "o", color=OURS, markersize=4.5)
    for name, row in table.iterrows():
        axes.annotate(str(name), (row[x], row["estimate"]), (5, 3), textcoords="offset points", fontsize=7)
    if not diagonal and table[x].max() > LOG_RANGE / 2 * table[x].min() > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
    axes.axline((0, 0), (1, 1), color=INK, linewidth=0.8) if diagonal else axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlabel=x, ylabel=ylabel, **({"xlim": (0, 1), "ylim": (0, 1)} if diagonal else {}))
    axes.set_title(title, loc="left")
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


# Purple: results that should not be; green: their order; red to yellow: landmarks, from far to near.
CAUSE_COLOURS = {
    "duplicate": "#d5c8ea",
    "background": "#a98fd0",
    "wrong category": "#7450a8",
    "scoring": "#4fb09b",
    "miss": "#a61e35",
    "swap": "#d8453e",
    "inversion": "#ef7d3c",
    "jitter": "#f7b254",
    "small offset": "#fce0a2",
    "missed box": "#9aa3ad",
}
PALE = ("duplicate", "jitter", "small offset", "inversion", "background", "missed box")  # take dark text
SHOWN_FROM = 3.5  # AP points: what is narrower holds no number


@mpl.rc_context(STYLE)
def causes_of_loss(causes: Causes) -> Figure:
    """AP kept and what each cause costs, the mean on top, then the categories that have items."""
    names = [name for name in causes.AP.index if np.isfinite(causes.AP[name])]
    places = np.array([0.0, *np.arange(1.5, len(names) + 0.5)])[: len(names)]  # the mean stands apart
    figure, ((axes,),) = new_figure(1, 1, (9, 1.3 + 0.32 * len(names)))
    left = np.zeros(len(names))
    for part in ("AP", *CAUSES):
        points = causes.AP if part == "AP" else causes.loss.loc[part].clip(0)
        width = 100 * points[names].to_numpy(float)
        look = {"color": CAUSE_COLOURS.get(part, OURS), "edgecolor": "white", "linewidth": 0.6}
        bars = axes.barh(places, width, height=0.78, left=left, label=part, **look)
        texts = [f"{value:.1f}" if value >= SHOWN_FROM else "" for value in width]
        ink = INK if part in PALE else "white"
        axes.bar_label(bars, texts, label_type="center", fontsize=6.5, color=ink)
        left += width
    axes.set_yticks(places, [f"mean of {len(names) - 1}", *names[1:]] if names else [])
    for label in axes.get_yticklabels()[:1]:
        label.set_fontweight("bold")
    axes.set(xlim=(0, 100), ylim=(len(names) + 0.2, -0.6), xlabel="AP points: kept, then lost to each cause")
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    look = {"ncols": 6, "handlelength": 1.1, "fontsize": 8, "columnspacing": 1.4}
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", **look)
    return figure
