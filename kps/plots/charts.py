"""Curves, bars and matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kps.plots.style import OURS, PAPER, SERIES, STYLE, new_figure
from kps.schema import CATEGORIES, LANDMARK_CATEGORY

LOG_RANGE = 20  # a quantity that spans more is drawn on a logarithmic axis
NAMES = [item.name for item in CATEGORIES]


@mpl.rc_context(STYLE)
def category_imbalance(
    counts: Mapping[str, Sequence[float]], *, title: str = "Garments per category"
) -> Figure:
    """Garments of each category on a log scale; `counts` maps a label to 13 numbers (the first is ours)."""
    figure, ((axes,),) = new_figure(1, 1, (9, 3.2))
    width = 0.8 / len(counts)
    colours = (OURS, PAPER, *SERIES[1:])
    for index, (label, values) in enumerate(counts.items()):
        shares = np.asarray(values, float) / max(np.sum(values), 1)
        place = np.arange(len(NAMES)) + (index - (len(counts) - 1) / 2) * width
        bars = axes.bar(place, shares * 100, width, label=label, color=colours[index])
        axes.bar_label(bars, [f"{value:,.0f}" for value in values], fontsize=6, rotation=90, padding=2)
    axes.set_yscale("log")
    axes.set_ylim(0.05, 200)
    axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    axes.set_ylabel("share of all garments, %")
    axes.set_xticks(range(len(NAMES)), NAMES, rotation=35, ha="right")
    axes.grid(axis="x", visible=False)
    axes.set_title(title, loc="left")
    axes.legend(ncols=len(counts), loc="lower right", bbox_to_anchor=(1, 1.0), borderaxespad=0.1)
    return figure


@mpl.rc_context(STYLE)
def per_category_bars(series: Mapping[str, Mapping[str, float]], *, ylabel: str, title: str = "") -> Figure:
    """A value in [0, 1] per category; each series maps a category id (or its text) to a value or None.

    A line marks each series' mean over its categories.
    """
    figure, ((axes,),) = new_figure(1, 1, (9, 3.2))
    width = 0.8 / max(len(series), 1)
    for index, (label, values) in enumerate(series.items()):
        by_id = {int(key): np.nan if value is None else float(value) for key, value in values.items()}
        heights = np.array([by_id.get(item.id, np.nan) for item in CATEGORIES])
        colour = SERIES[index % len(SERIES)]
        place = np.arange(len(NAMES)) + (index - (len(series) - 1) / 2) * width
        bars = axes.bar(place, heights, width, color=colour, label=label)
        for x in place[np.isnan(heights)]:
            axes.text(x, 0.01, "-", ha="center", fontsize=6)
        axes.bar_label(bars, fmt="{:.2f}", fontsize=6, rotation=90 if len(series) > 1 else 0, padding=1)
        if np.isfinite(heights).any():
            axes.axhline(np.nanmean(heights), color=colour, linewidth=0.8, linestyle="--", zorder=0)
    axes.set_ylim(0, 1.12)
    axes.set_ylabel(ylabel)
    axes.set_xticks(range(len(NAMES)), NAMES, rotation=35, ha="right")
    axes.grid(axis="x", visible=False)
    axes.set_title(title, loc="left")
    if series:
        axes.legend(ncols=len(series), loc="lower right", bbox_to_anchor=(1, 1.0), borderaxespad=0.1)
    return figure


@mpl.rc_context(STYLE)
def learning_curves(
    histories: Mapping[str, pd.DataFrame],
    *,
    columns: Sequence[str] = ("loss", "learning_rate"),
    title: str = "",
) -> Figure:
    """Training histories, one line each, one panel a column, over the iteration."""
    figure, (row,) = new_figure(1, len(columns), (3.6 * len(columns), 2.8))
    for axes, column in zip(row, columns, strict=True):
        for label, history in histories.items():
            if column in history:
                axes.plot(history["iteration"], history[column], linewidth=1.4, label=label)
        axes.set_title(column.replace("_", " "))
        axes.set_xlabel("iteration")
        values = np.concatenate([[], *(line.get_ydata() for line in axes.lines)])
        if values.size and values.min() > 0 and values.max() > LOG_RANGE * values.min():
            axes.set_yscale("log")
        if len(histories) > 1:
            axes.legend(fontsize=7)
    figure.suptitle(title, fontsize=10)
    return figure


@mpl.rc_context(STYLE)
def examples_per_channel(examples: Mapping[str, np.ndarray], *, title: str = "") -> Figure:
    """Labelled examples of each channel, channels from rich to poor; `examples` maps a map to counts."""
    figure, ((axes,),) = new_figure(1, 1, (6.5, 3))
    for label, counts in examples.items():
        ordered = np.sort(np.asarray(counts))[::-1]
        axes.plot(np.arange(1, len(ordered) + 1), ordered, drawstyle="steps-mid", label=label)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("channel, from the one with most examples")
    axes.set_ylabel("labelled examples")
    axes.set_title(title, loc="left")
    axes.legend()
    return figure


@mpl.rc_context(STYLE)
def similarity_matrices(distances: Mapping[str, np.ndarray]) -> Figure:
    """Likeness (1 - distance) of landmarks, one panel a cue; `distances` maps a cue to (294, 294).

    Landmarks stand by category; those that no photo shows are left out; a cue that knows none hides none.
    """
    figure, (row,) = new_figure(1, len(distances), (4.2 * len(distances) + 1, 4.4))
    known = np.array([np.isfinite(np.diag(distance)) for distance in distances.values()])
    order = np.flatnonzero(known[known.any(axis=1)].all(axis=0))
    for axes, (name, distance) in zip(row, distances.items(), strict=True):
        image = axes.imshow(1 - distance[np.ix_(order, order)], cmap="viridis", vmin=0, vmax=1)
        axes.set_title(name)
        axes.grid(False)
        axes.set_xticks([])
        _mark_categories(axes, LANDMARK_CATEGORY[order], names=axes is row[0])
    figure.colorbar(image, ax=row.tolist(), shrink=0.7, label="likeness", aspect=30)
    return figure


def _mark_categories(axes: Axes, category_id: np.ndarray, *, names: bool) -> None:
    """Frame the blocks of categories and name the rows."""
    edges = np.flatnonzero(np.diff(category_id)) + 0.5
    axes.hlines(edges, -0.5, len(category_id) - 0.5, color="white", linewidth=0.5)
    axes.vlines(edges, -0.5, len(category_id) - 0.5, color="white", linewidth=0.5)
    present = np.unique(category_id)
    centres = [np.flatnonzero(category_id == kind).mean() for kind in present]
    axes.set_yticks(centres, [NAMES[kind - 1] if names else "" for kind in present], fontsize=7)


@mpl.rc_context(STYLE)
def category_likeness(distance: np.ndarray, *, title: str = "") -> Figure:
    """(13, 13) percentage of the row's landmarks that have a counterpart in the column's category."""
    figure, ((axes,),) = new_figure(1, 1, (6.2, 5.2))
    share = np.full((len(CATEGORIES),) * 2, np.nan)
    for a in CATEGORIES:
        for b in CATEGORIES:
            block = distance[a.slice, b.slice]
            if np.isfinite(block).any():
                best = np.nanmin(np.where(np.isnan(block), np.inf, block), axis=1)
                share[a.id - 1, b.id - 1] = np.mean(best < 0.5)
    colours = mpl.colormaps["Blues"].with_extremes(bad="#e3e3e3")
    axes.imshow(np.ma.masked_invalid(share), cmap=colours, vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(share):
        text, colour = "" if np.isnan(value) else f"{value * 100:.0f}", "white" if value > 0.6 else "#333"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(NAMES)), NAMES, rotation=40, ha="right")
    axes.set_yticks(range(len(NAMES)), NAMES)
    axes.grid(False)
    axes.set_title(title)
    return figure
