"""Maps drawn: distances in order, a poster of all garments, doubtful pairs, the thresholds."""

import colorsys
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.optimize import linear_sum_assignment

from kps.aggregation import Aggregation
from kps.figures.style import (
    CATEGORY_COLOURS,
    COLOURS,
    FAINT,
    INK,
    OURS,
    PAPER,
    SERIES,
    STYLE,
    blank,
    draw_mean_shape,
    new_figure,
)
from kps.schema import CATEGORIES, LANDMARK_CATEGORY, LANDMARK_NAMES, NUM_LANDMARKS, Category

if TYPE_CHECKING:
    from kps.likeness import Choice, Shapes

ALONE = "#aeb4bb"  # a landmark that shares its channel with nobody
DOUBT = "#d62246"
COLUMNS, PAIRS = 7, 4  # garments of a row of the poster, and pairs side by side


@mpl.rc_context(STYLE)
def likeness_matrices(
    distances: Mapping[str, np.ndarray], aggregation: Aggregation | None = None, *, size: float = 4.5
) -> Figure:
    """Likeness (1 - distance) of the landmarks, a panel for each named distance (294, 294); unknown is grey.

    Landmarks stand by category, or with a map by its groups, a group beside its mirror image. Frames are categories, or
    the groups that several landmarks share; the strips give each landmark's category.
    """
    figure, axes = new_figure(
        2, 2 * len(distances), (size * len(distances) + 1, size + 0.6), height_ratios=(1, 40),
        width_ratios=(1, 40) * len(distances), gridspec_kw={"wspace": 0, "hspace": 0},
    )  # fmt: skip
    label, order = LANDMARK_CATEGORY, np.arange(NUM_LANDMARKS)
    if aggregation is not None:
        label = aggregation.group
        order = np.lexsort((order, label, np.minimum(label, aggregation.flip_indices[label])))
    colours = mpl.colormaps["viridis"].with_extremes(bad="#c9ced4")
    edges = np.flatnonzero(np.diff(label[order], prepend=-1, append=-1))
    pairs = [(low - 0.5, high - 0.5) for low, high in pairwise(edges) if high - low > 1]
    frames = [np.array([(a, a), (b, a), (b, b), (a, b), (a, a)]) for a, b in pairs]
    for place, (name, distance) in enumerate(distances.items()):
        corner, above, left, matrix = axes[:, 2 * place : 2 * place + 2].ravel()
        shown = np.ma.masked_invalid(1 - distance[np.ix_(order, order)])
        image = matrix.imshow(shown, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        for strip, kinds in ((above, LANDMARK_CATEGORY[order][None]), (left, LANDMARK_CATEGORY[order][:, None])):
            strip.imshow(kinds, cmap=ListedColormap(COLOURS), vmin=1, vmax=len(CATEGORIES), aspect="auto")
            blank(strip)
        matrix.add_collection(LineCollection(frames, colors="white", linewidths=0.7))
        blank(corner)
        blank(matrix)
        above.set_title(name, loc="left")
    figure.colorbar(image, ax=axes, shrink=0.5, aspect=30, pad=0.015, label="likeness")
    handles = [Patch(color=CATEGORY_COLOURS[item.id], label=item.name) for item in CATEGORIES]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8)
    return figure


@mpl.rc_context(STYLE)
def map_poster(shapes: "Shapes", maps: Mapping[str, Aggregation]) -> Figure:
    """Every garment under one map or several: landmarks of one colour and number share a group.

    Numbers are the first map's. A group of a later map takes colour and number of the one that it shares most
    landmarks with; what has no counterpart gets a colour and a number of its own. Grey: alone.
    """
    rows = -(-len(CATEGORIES) // COLUMNS)
    figure, axes = new_figure(rows * len(maps), COLUMNS, (17, 2.75 * rows * len(maps)))
    reference = next(iter(maps.values()))
    for index, (name, map_) in enumerate(maps.items()):
        panels = axes[index * rows : (index + 1) * rows].ravel()
        numbers = matched_numbers(map_, reference)
        for panel, item in zip(panels, CATEGORIES, strict=False):
            _dots(panel, _garment(panel, item, shapes), map_, numbers, item)
        for panel in panels[len(CATEGORIES) :]:
            blank(panel)
        sizes, caption = np.bincount(map_.group), {"transform": panels[-1].transAxes}
        text = f"{map_.num_groups} groups\n{(sizes > 1).sum()} shared, up to {sizes.max()} garments\n"
        text += f"{(sizes == 1).sum()} alone (grey)\n\none colour and number:\none channel"
        panels[-1].text(0.08, 0.77, name, fontsize=17, weight="bold", va="bottom", **caption)
        panels[-1].text(0.08, 0.72, text, fontsize=10, va="top", linespacing=1.6, **caption)
    return figure


def matched_numbers(map_: Aggregation, reference: Aggregation) -> np.ndarray:
    """(G,) number from 1 for each group: that of the reference's group with most landmarks in common.

    One to one; groups without a counterpart are numbered on from the reference's last.
    """
    common = np.zeros((map_.num_groups, reference.num_groups))
    np.add.at(common, (map_.group, reference.group), 1)
    ours, theirs = linear_sum_assignment(common, maximize=True)
    found = common[ours, theirs] > 0
    numbers = np.zeros(map_.num_groups, dtype=int)
    numbers[ours[found]] = theirs[found] + 1
    numbers[numbers == 0] = reference.num_groups + 1 + np.arange((numbers == 0).sum())
    return numbers


def group_colour(number: int) -> tuple[float, float, float]:
    """A colour for a group's number: hues a golden ratio apart, three shades in turn."""
    value, saturation = ((0.80, 0.85), (0.95, 0.62), (0.58, 0.80))[number % 3]
    return colorsys.hsv_to_rgb(number * 0.618034 % 1.0, saturation, value)


def _garment(axes: Axes, item: Category, shapes: "Shapes") -> np.ndarray:
    """The outline of a mean shape in an axes of its own; returns the shape (n_c, 2)."""
    mean = shapes.mean[item.id - 1, : item.num_landmarks]
    draw_mean_shape(axes, item, mean, margin=0.2, square=True, colors=FAINT, linewidths=2.4)
    axes.set_title(item.name, color=INK, fontsize=9)
    return mean


def _dots(axes: Axes, mean: np.ndarray, map_: Aggregation, numbers: np.ndarray, item: Category) -> None:
    shared = np.bincount(map_.group) > 1
    for (x, y), group in zip(mean, map_.channels(item.id), strict=True):
        if not np.isfinite(x):
            continue
        colour = group_colour(number := int(numbers[group])) if shared[group] else ALONE
        axes.plot(x, y, "o", ms=10, mfc=colour, mec="white", mew=0.8)
        if shared[group]:
            ink = INK if np.dot(colour, (0.3, 0.59, 0.11)) > 0.6 else "white"
            axes.text(x, y, str(number), fontsize=5.5, color=ink, ha="center", va="center_baseline")


@mpl.rc_context(STYLE)
def doubtful_pairs(table: pd.DataFrame, shapes: "Shapes", *, crops: Mapping[int, np.ndarray] | None = None) -> Figure:
    """Pairs of landmarks of an audit's table, each as two garments with the landmark marked.

    `table` holds rows of `kps.likeness.audit_merges` or `audit_missed`; `crops` a picture (h, w, 3) by landmark index,
    its centre on the landmark, which is drawn below the garment.
    """
    depth = 1 if crops is None else 2
    rows = max(-(-len(table) // PAIRS), 1)
    size = (4.2 * PAIRS, (2.6 if crops is None else 4.4) * rows)
    ratios = {"width_ratios": [1, 1, 0.12] * PAIRS, "height_ratios": [1.3, 1][:depth] * rows}
    figure, axes = new_figure(rows * depth, 3 * PAIRS, size, **ratios)
    for panel in axes.ravel():
        blank(panel)
    for place, row in enumerate(table.itertuples(index=False)):
        top, first = place // PAIRS * depth, place % PAIRS * 3
        text = f"distance {row.distance:.2f}  ·  doubt {100 * row.doubt:.0f} %"
        middle = axes[top, first].annotate(text, (1.05, 1.13), xycoords="axes fraction", ha="center")
        middle.set(weight="bold", color=DOUBT, in_layout=False)  # or it would push the two garments apart
        for side, landmark in enumerate((row.index, row.other_index)):
            _marked(axes[top, first + side], landmark, shapes)
            if crops is not None and landmark in crops:
                height, width = crops[landmark].shape[:2]
                below = axes[top + 1, first + side]
                below.imshow(crops[landmark])
                below.plot((width - 1) / 2, (height - 1) / 2, "o", ms=11, mfc="none", mec=DOUBT, mew=1.6)
    return figure


def _marked(axes: Axes, landmark: int, shapes: "Shapes") -> None:
    """A garment with one landmark in red, the others numbered in grey."""
    item = CATEGORIES[LANDMARK_CATEGORY[landmark] - 1]
    mean, own = _garment(axes, item, shapes), landmark - item.first_index
    axes.set_title(f"\n{LANDMARK_NAMES[landmark]}", fontsize=8.5, color=INK)  # leaves a line for the pair's
    axes.plot(*np.delete(mean, own, axis=0).T, "o", ms=3.2, color=ALONE, mew=0)
    if np.isfinite(mean[own]).all():
        axes.plot(*mean[own], "o", ms=13, mfc=DOUBT, mec="white", mew=1.2)
        axes.text(*mean[own], str(own + 1), fontsize=7, color="white", ha="center", va="center_baseline")


@mpl.rc_context(STYLE)
def threshold_curve(
    table: pd.DataFrame, *, choice: "Choice", reference_groups: Mapping[str, int] | None = None
) -> Figure:
    """Number of groups and scores over the threshold, with the chosen threshold marked.

    `table` has the index threshold, a column `groups` and one a score in [0, 1] or so. Of the choice, its threshold is
    marked and its stability drawn, with a band of one standard error. `reference_groups` are numbers of groups to mark.
    """
    figure, ((left, right),) = new_figure(1, 2, (11.5, 3.8))
    left.plot(table.index, table["groups"], color=OURS, linewidth=2)
    left.set_yscale("log")
    left.set_yticks([40, 60, 80, 120, 200, 294], ["40", "60", "80", "120", "200", "294"])
    left.minorticks_off()
    left.set_title("Groups", loc="left")
    for name, groups in (reference_groups or {}).items():
        left.axhline(groups, color=PAPER, linewidth=1, linestyle="--", zorder=0)
        left.text(table.index.max(), groups, f"{name}: {groups}", ha="right", va="bottom", fontsize=7.5)
    for index, name in enumerate(column for column in table if column != "groups"):
        right.plot(table.index, table[name], color=SERIES[index % len(SERIES)], linewidth=2, label=name)
    right.set_ylim(0, 1)
    right.set_title("Agreement (adjusted Rand index)", loc="left")
    found = choice.table
    low, high = (found["stability"] + sign * found["standard_error"] for sign in (-1, 1))
    right.fill_between(found["threshold"], low, high, color=INK, alpha=0.15, linewidth=0)
    right.plot(found["threshold"], found["stability"], color=INK, linewidth=1.2, label="between resamples")
    for axes in (left, right):
        axes.axvline(choice.threshold, color=DOUBT, linewidth=1.2)
        axes.set_xlabel("threshold")
    chosen = choice.threshold, np.interp(choice.threshold, table.index, table["groups"])
    left.plot(*chosen, "o", color=DOUBT, ms=7)
    left.annotate(f"chosen: {chosen[1]:.0f} groups", chosen, (8, 10), textcoords="offset points", color=DOUBT)
    right.legend(loc="lower right", fontsize=8)
    return figure
