"""The look that all figures share."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kps.schema import CATEGORIES

OURS, PAPER, INK, FAINT = "#1b6ca8", "#b8bec6", "#22262b", "#d9dde2"
# One colour a category: cool for tops and outwear, green and yellow for lower garments, warm for dresses.
_TOPS = ("#3a86ff", "#00b4d8", "#7b5cff", "#b388ff", "#00c2a8", "#5fe3c0")
_LOWER = ("#8ac926", "#c5d000", "#ffb703")
_DRESSES = ("#ff5d5d", "#ff7b00", "#ff4fa3", "#e36bff")
_COLOURS = (*_TOPS, *_LOWER, *_DRESSES)
CATEGORY_COLOURS = {item.id: colour for item, colour in zip(CATEGORIES, _COLOURS, strict=True)}
SERIES = ("#1b6ca8", "#e07a1f", "#3a9d5d", "#a23b72", "#6c757d", "#c9a227")
STYLE: dict[str, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.edgecolor": "#8a9199",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e7eaee",
    "axes.prop_cycle": mpl.cycler(color=SERIES),
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def new_figure(
    rows: int, columns: int, size: tuple[float, float], **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of `size` inches with (rows, columns) axes; closed in pyplot, so a notebook shows it once."""
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **options)
    plt.close(figure)
    return figure, axes


def blank(axes: Axes) -> None:
    """Strip an axes that holds a picture, or nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
