"""Curves, bars and matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kps.figures.style import OURS, PAPER, SERIES, STYLE, new_figure
from kps.schema import CATEGORIES, LANDMARK_CATEGORY

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
    axes.set_yscale("log")
    axes.set_ylim(0.05, 200)
    axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    axes.set_ylabel("share of all garments, %")
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
    axes.set_ylim(0, 1.12)
    axes.set_ylabel(ylabel)
    return figure


@mpl.rc_context(STYLE)
def learning_curves(histories: Mapping[str, pd.DataFrame], *, title: str = "") -> Figure:
    """Loss and learning rate of training histories over the iteration, one line each."""
    figure, (row,) = new_figure(1, 2, (7.2, 2.8))
    for axes, column in zip(row, ("loss", "learning_rate"), strict=True):
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
    starts = [item.first_index for item in CATEGORIES]
    best = pd.DataFrame(np.minimum.reduceat(np.nan_to_num(distance, nan=np.inf), starts, axis=1))
    known = np.isfinite(best).groupby(LANDMARK_CATEGORY).any()
    share = (best < 0.5).groupby(LANDMARK_CATEGORY).mean().where(known).to_numpy()
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
