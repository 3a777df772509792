"""The 13 garments drawn side by side as mean shapes, with what is known about their landmarks."""

from __future__ import annotations

import colorsys

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from kps.aggregation import Aggregation
from kps.homogeneity import Shapes
from kps.plots.style import CATEGORY_COLOURS, STYLE, blank, new_figure
from kps.schema import CATEGORIES, Category


def _panels() -> tuple[Figure, list[Axes]]:
    figure, axes = new_figure(2, 7, (15, 6.2))
    for panel in axes.ravel():
        blank(panel)
    return figure, list(axes.ravel())


def _outline(axes: Axes, item: Category, mean: np.ndarray, *, colour: str) -> None:
    links = np.array(item.outline_links) - 1
    lines = mean[links]
    lines = lines[np.isfinite(lines).all((1, 2))]
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=1.2))
    axes.set_title(item.name)
    axes.set_aspect("equal")
    if np.isfinite(mean).any():
        low, high = np.nanmin(mean, axis=0) - 0.45, np.nanmax(mean, axis=0) + 0.45
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(high[1], low[1])
    else:
        axes.text(0.5, 0.5, "not in the data", transform=axes.transAxes, ha="center", color="#8a9199")


@mpl.rc_context(STYLE)
def mean_shapes(shapes: Shapes) -> Figure:
    """Mean shape of each category; an ellipse holds where a landmark lies in about two cases out of three."""
    figure, panels = _panels()
    for axes, item in zip(panels, CATEGORIES, strict=False):
        mean = shapes.mean[item.id - 1, : item.num_landmarks]
        colour = CATEGORY_COLOURS[item.id]
        for centre, spread in zip(mean, shapes.covariance[item.id - 1], strict=False):
            if np.isfinite(centre).all():
                values, vectors = np.linalg.eigh(spread)
                width, height = 2 * 1.5 * np.sqrt(values)
                angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
                ellipse = Ellipse(centre, width, height, angle=angle, color=colour, alpha=0.22, linewidth=0)
                axes.add_patch(ellipse)
        _outline(axes, item, mean, colour="#5b636b")
        axes.plot(*mean.T, "o", ms=3, color="#22262b", linestyle="none")
        axes.set_title(f"{item.name}  (n = {shapes.count[item.id - 1].max()})", fontsize=8.5)
    return figure


def group_colours(aggregation: Aggregation) -> list[str]:
    """A colour for each group, far apart for neighbours; a mirror image shares its hue, darker."""
    colours = []
    for group, mirror in enumerate(aggregation.flip_indices):
        hue = min(group, int(mirror)) * 0.618034 % 1.0
        shade = 0.55 if mirror < group else 0.88
        colours.append(mpl.colors.to_hex(colorsys.hsv_to_rgb(hue, 0.85, shade)))
    return colours


@mpl.rc_context(STYLE)
def mapping(shapes: Shapes, aggregation: Aggregation) -> Figure:
    """The map on mean shapes: landmarks with the same number share a group, and so a channel.

    Coloured: groups shared by two categories or more; hollow: a channel of its own.
    """
    figure, panels = _panels()
    colours = group_colours(aggregation)
    shared = np.bincount(aggregation.group) > 1  # landmarks of a group are of different categories
    for axes, item in zip(panels, CATEGORIES, strict=False):
        mean = shapes.mean[item.id - 1, : item.num_landmarks]
        _outline(axes, item, mean, colour="#c3c9cf")
        for (x, y), group in zip(mean, aggregation.channels(item.id), strict=True):
            if np.isfinite(x):
                face, text = (colours[group], "white") if shared[group] else ("white", "#22262b")
                axes.plot(x, y, "o", ms=9, mfc=face, mec="#5b636b", mew=0.4)
                axes.text(x, y, str(group + 1), fontsize=5, color=text, ha="center", va="center_baseline")
    return figure
