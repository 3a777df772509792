"""The look that all figures share."""

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from kps.schema import CATEGORIES, Category

OURS, PAPER, INK, FAINT = "#1b6ca8", "#b8bec6", "#22262b", "#d9dde2"
# One colour a category: cool for tops and outwear, green and yellow for lower garments, warm for dresses.
COLOURS = (
    *("#3a86ff", "#00b4d8", "#7b5cff", "#b388ff", "#00c2a8", "#5fe3c0"),
    *("#8ac926", "#c5d000", "#ffb703"),
    *("#ff5d5d", "#ff7b00", "#ff4fa3", "#e36bff"),
)
CATEGORY_COLOURS = {item.id: colour for item, colour in zip(CATEGORIES, COLOURS, strict=True)}
SERIES = ("#1b6ca8", "#e07a1f", "#3a9d5d", "#a23b72", "#6c757d", "#c9a227")
STYLE: dict[str, Any] = {
    **dict.fromkeys(("figure.dpi", "savefig.dpi"), 100),
    **dict.fromkeys(("figure.constrained_layout.use", "axes.grid", "axes.axisbelow"), True),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **{"font.size": 9, "axes.titlesize": 9.5, "axes.titleweight": "bold"},
    **{"axes.edgecolor": "#8a9199", "grid.color": "#e7eaee", "axes.prop_cycle": mpl.cycler(color=SERIES)},
}


def new_figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure of `size` inches with (rows, columns) axes; closed in pyplot, so a notebook shows it once."""
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **options)
    plt.close(figure)
    return figure, axes


def blank(axes: Axes) -> None:
    """Strip an axes that holds a picture, or nothing."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def draw_outline(axes: Axes, item: Category, places: np.ndarray, **look: Any) -> None:
    """Link a category's landmarks (n_c, 2) as far as they are known (not NaN); `look` of a LineCollection."""
    lines = places[np.array(item.outline_links) - 1]
    axes.add_collection(LineCollection(lines[np.isfinite(lines).all((1, 2))], **look))


def draw_mean_shape(
    axes: Axes, item: Category, shape: np.ndarray, *, margin: float, square: bool = False, **look: Any
) -> bool:
    """A category's mean shape (n_c, 2) in an axes of its own; False where the data have none.

    `margin` is left around it, in the shape's unit; with `square`, titles of neighbours stand in line.
    """
    blank(axes)
    axes.set_aspect("equal")
    if not np.isfinite(shape).any():
        axes.text(0.5, 0.5, "not in the data", transform=axes.transAxes, ha="center", color="#8a9199")
        return False
    draw_outline(axes, item, shape, capstyle="round", **look)
    low, high = np.nanmin(shape, axis=0), np.nanmax(shape, axis=0)
    (x, y), (across, down) = (low + high) / 2, (high - low) / 2 + margin
    if square:
        across = down = max(across, down)
    axes.set(xlim=(x - across, x + across), ylim=(y + down, y - down))
    return True
