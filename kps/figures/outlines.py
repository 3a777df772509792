"""The 13 garments drawn side by side as mean shapes, with what is known about their landmarks."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from kps.figures.style import CATEGORY_COLOURS, STYLE, blank, draw_mean_shape, new_figure
from kps.likeness import Shapes
from kps.schema import CATEGORIES


@mpl.rc_context(STYLE)
def mean_shapes(shapes: Shapes) -> Figure:
    """Mean shape of each category; an ellipse holds where a landmark lies in about two cases out of three."""
    figure, panels = new_figure(2, 7, (15, 6.2))
    blank(panels.flat[-1])
    for axes, item in zip(panels.flat, CATEGORIES, strict=False):
        mean = shapes.mean[item.id - 1, : item.num_landmarks]
        draw_mean_shape(axes, item, mean, margin=0.45, colors="#5b636b", linewidths=1.2)
        for centre, spread in zip(mean, shapes.covariance[item.id - 1], strict=False):
            if np.isfinite(centre).all():
                values, vectors = np.linalg.eigh(spread)
                width, height = 2 * 1.5 * np.sqrt(values)
                angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
                colour = CATEGORY_COLOURS[item.id]
                ellipse = Ellipse(centre, width, height, angle=angle, color=colour, alpha=0.22, linewidth=0)
                axes.add_patch(ellipse)
        axes.plot(*mean.T, "o", ms=3, color="#22262b", linestyle="none")
        axes.set_title(f"{item.name}  (n = {shapes.count[item.id - 1].max()})", fontsize=8.5)
    return figure
