"""Curves, bars and matrices: training, scores with their intervals, and where points are lost."""

import warnings
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch
from matplotlib.patheffects import withStroke

from kps.data.coco import Coco
from kps.evaluation.causes import CAUSES, KINDS, Causes
from kps.evaluation.intervals import RECALL_STEPS, Difference, Intervals
from kps.evaluation.matching import OWN, THRESHOLDS, compare, confusions, precision_at_recall
from kps.evaluation.scores import Scores
from kps.figures.style import FAINT, INK, OURS, PAPER, SERIES, STYLE, draw_mean_shape, new_figure
from kps.results.predictions import Predictions, Results
from kps.schema import CATEGORIES, Category, category

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
HALO = (withStroke(linewidth=1.6, foreground="white"),)
SMALLEST, LARGEST = 0.006, 0.052  # radii of a landmark's circle; the garment's longer side is 1


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


@mpl.rc_context(STYLE)
def landmark_errors(causes: Causes, category_id: int) -> Figure:
    """Where a category's landmarks go wrong: on its mean garment, and landmark by landmark.

    Shares are of the labelled landmarks of garments that were found; the area of a circle on the garment
    follows the share that is not good.
    """
    item = category(category_id)
    table = causes.landmarks[causes.landmarks["category_id"] == item.id]
    figure, ((garment, bars),) = new_figure(1, 2, (9.5, max(4.8, 1.2 + 0.15 * item.num_landmarks)), width_ratios=(1, 1))
    _draw_on_garment(garment, item, causes.shape[item.id - 1, : item.num_landmarks], table)
    _draw_bars(bars, table)
    found = causes.counts.loc[OWN, item.name]
    figure.suptitle(f"{item.name}: landmarks of {found:,} garments found", fontsize=10, fontweight="bold")
    handles = [Patch(facecolor=CAUSE_COLOURS[kind], label=kind) for kind in reversed(KINDS[1:])]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=1.1)
    return figure


def _draw_on_garment(axes: Axes, item: Category, shape: np.ndarray, table: pd.DataFrame) -> None:
    """The outline in its mean shape (n_c, 2), and on each landmark a circle in the colour of its commonest error."""
    if not draw_mean_shape(axes, item, shape, margin=0.08, colors="#b4bbc3", linewidths=1.3):
        return
    shares = table[list(KINDS[1:])].fillna(0).to_numpy()
    total, centre = shares.sum(axis=1), np.nanmean(shape, axis=0)
    known = np.isfinite(shape).all(axis=1)
    apart = np.linalg.norm(shape[known][:, None] - shape[known], axis=2) + np.diag(np.full(known.sum(), np.inf))
    largest = float(np.clip(0.6 * np.median(apart.min(axis=1)), 2 * SMALLEST, LARGEST))  # or they would overlap
    for row in np.flatnonzero(known):
        radius = max(largest * np.sqrt(total[row] / max(total.max(), 1e-9)), SMALLEST)
        colour = CAUSE_COLOURS[KINDS[1 + shares[row].argmax()]] if total[row] else "#8a9199"
        axes.add_patch(Circle(shape[row], radius, facecolor=colour, edgecolor="white", linewidth=0.8, zorder=3))
        outwards = (shape[row] - centre) / max(np.linalg.norm(shape[row] - centre), 1e-9)
        place = shape[row] + outwards * (radius + 0.02)
        axes.text(*place, str(row + 1), fontsize=6, color="#5b636b", ha="center", va="center", path_effects=HALO)
    axes.set_title(f"largest circle: {100 * total.max():.0f} % not good", fontweight="normal", fontsize=8)


def _draw_bars(axes: Axes, table: pd.DataFrame) -> None:
    """A stacked bar of error shares for each landmark, the worst kind first."""
    numbers = table["landmark"].to_numpy()
    left = np.zeros(len(table))
    for kind in reversed(KINDS[1:]):
        width = 100 * table[kind].fillna(0).to_numpy()
        axes.barh(numbers, width, left=left, height=0.8, color=CAUSE_COLOURS[kind], linewidth=0)
        left += width
    for number, value, labelled in zip(numbers, left, table["labelled"], strict=True):
        text = f" {value:.0f}" if labelled else " never labelled"
        axes.text(value, number, text, va="center", fontsize=6, color="#6b737c")
    axes.set(ylim=(len(numbers) + 0.7, 0.3), ylabel="landmark")
    axes.set(xlim=(0, min(100, max(1.12 * left.max(), 1))), xlabel="% of labelled landmarks that are not good")
    axes.set_yticks(numbers, numbers, fontsize=6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_color(FAINT)
