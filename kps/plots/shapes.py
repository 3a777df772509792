"""The 13 garments drawn side by side as mean shapes, with what is known about their landmarks."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

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
