"""How maps come about: the tree of merges, and scores over the threshold."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster import hierarchy

from kps.figures.maps import DOUBT, group_colour
from kps.figures.style import (
    FAINT,
    INK,
    OURS,
    PAPER,
    SERIES,
    STYLE,
    category_legend,
    draw_categories,
    new_figure,
)
from kps.likeness import Choice, MergeTree
from kps.likeness.grouping import FIRST, ORBIT_CATEGORY
from kps.schema import LANDMARK_NAMES

TOP = 1.04  # height at which a dendrogram ends: merges above 1 are not allowed ones


@mpl.rc_context(STYLE)
def dendrogram(tree: MergeTree, *, threshold: float, title: str = "") -> Figure:
    """The merges of average linkage over the 163 orbits; below the threshold in the colour of their group.

    A group of two or more is named by its first landmark; the strip gives the categories. Branches end where
    no allowed merge is left.
    """
    figure, ((axes,), (strip,)) = new_figure(2, 1, (15, 5.2), height_ratios=(22, 1), sharex=True)
    clusters = tree.labels(threshold)
    palette = {cluster: mpl.colors.to_hex(group_colour(cluster)) for cluster in np.unique(clusters)}
    inside = _cluster_of_merges(tree, clusters)
    drawn = hierarchy.dendrogram(
        tree.linkage,
        ax=axes,
        no_labels=True,
        link_color_func=lambda node: FAINT if inside[node] < 0 else palette[inside[node]],
    )
    leaves = np.array(drawn["leaves"])
    axes.axhline(threshold, color=INK, linewidth=0.9, linestyle="--")
    axes.text(5, threshold + 0.01, f"threshold {threshold:g}", fontsize=8)
    axes.set(ylim=(0, TOP), ylabel="mean distance of the two branches")
    axes.grid(axis="x", visible=False)
    axes.set_title(title, loc="left")
    extent = (0, 10 * len(leaves), 0, 1)  # SciPy puts leaves 10 apart
    draw_categories(strip, ORBIT_CATEGORY[leaves][None], extent=extent)
    centres, names = _named_branches(leaves, clusters)
    strip.set_xticks(centres, names, rotation=90, fontsize=6.5)
    strip.tick_params(length=0, pad=2)
    category_legend(figure, ncols=7, fontsize=7.5)
    return figure


def _named_branches(leaves: np.ndarray, clusters: np.ndarray) -> tuple[list[float], list[str]]:
    """Where each cluster of two orbits or more stands among the leaves, and its first landmark's name."""
    places = {cluster: np.flatnonzero(clusters[leaves] == cluster) for cluster in np.unique(clusters)}
    shared = {cluster: place for cluster, place in places.items() if len(place) > 1}
    names = [LANDMARK_NAMES[FIRST[leaves[place].min()]] for place in shared.values()]
    return [5 + 10 * float(place.mean()) for place in shared.values()], names


def _cluster_of_merges(tree: MergeTree, clusters: np.ndarray) -> np.ndarray:
    """(O + merges,) cluster of each node of the tree; -1 for merges above the cut."""
    found = clusters.tolist()
    for first, second in tree.linkage[:, :2].astype(int):
        found.append(found[first] if found[first] == found[second] else -1)
    return np.array(found)


@mpl.rc_context(STYLE)
def threshold_curve(
    table: pd.DataFrame,
    *,
    choice: Choice,
    reference_groups: Mapping[str, int] | None = None,
) -> Figure:
    """Number of groups and scores over the threshold, with the chosen threshold marked.

    Args:
        table: index threshold, a column `groups` and one a score in [0, 1] or so.
        choice: draws its stability, with a band of one standard error, and marks its threshold.
        reference_groups: numbers of groups to mark, such as the hand map's.
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
    _mark_choice(left, right, table, choice)
    for axes in (left, right):
        axes.set_xlabel("threshold")
    right.legend(loc="lower right", fontsize=8)
    return figure


def _mark_choice(left: Axes, right: Axes, table: pd.DataFrame, choice: Choice) -> None:
    found = choice.table
    low, high = (found["stability"] + sign * found["standard_error"] for sign in (-1, 1))
    right.fill_between(found["threshold"], low, high, color=INK, alpha=0.15, linewidth=0)
    right.plot(found["threshold"], found["stability"], color=INK, linewidth=1.2, label="between resamples")
    for axes in (left, right):
        axes.axvline(choice.threshold, color=DOUBT, linewidth=1.2)
    groups = np.interp(choice.threshold, table.index, table["groups"])
    left.plot(choice.threshold, groups, "o", color=DOUBT, ms=7)
    left.annotate(
        f"chosen: {groups:.0f} groups",
        (choice.threshold, groups),
        (8, 10),
        textcoords="offset points",
        color=DOUBT,
    )
