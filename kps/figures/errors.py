"""Where AP is lost: by cause, and landmark by landmark."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch, Wedge
from matplotlib.patheffects import withStroke

from kps.evaluation.association import OWN
from kps.evaluation.causes import CAUSES, Causes
from kps.evaluation.landmark_errors import KINDS
from kps.figures.style import FAINT, INK, OURS, STYLE, draw_mean_shape, new_figure
from kps.schema import Category, category

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
    axes.set_xlim(0, 100)
    axes.set_ylim(len(names) + 0.2, -0.6)
    axes.set_xlabel("AP points: kept, then lost to each cause")
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=6, handlelength=1.1,
                  fontsize=8, columnspacing=1.4)  # fmt: skip
    return figure


@mpl.rc_context(STYLE)
def landmark_errors(causes: Causes, category_id: int) -> Figure:
    """Where a category's landmarks go wrong: on its mean garment, and landmark by landmark.

    Shares are of the labelled landmarks of garments that were found; the area of a circle on the garment
    follows the share that is not good, its sectors the kinds of error.
    """
    item = category(category_id)
    table = causes.landmarks[causes.landmarks["category_id"] == item.id]
    figure, ((garment, bars),) = new_figure(1, 2, (9.5, max(4.8, 1.2 + 0.15 * item.num_landmarks)), width_ratios=(1, 1))
    kinds = KINDS[1:]
    found = causes.counts.loc[OWN, item.name]
    _draw_on_garment(garment, item, causes.shape[item.id - 1, : item.num_landmarks], table)
    _draw_bars(bars, table)
    figure.suptitle(f"{item.name}: landmarks of {found:,} garments found", fontsize=10, fontweight="bold")
    handles = [Patch(facecolor=CAUSE_COLOURS[kind], label=kind) for kind in reversed(kinds)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(kinds), handlelength=1.1)
    return figure


def _draw_on_garment(axes: Axes, item: Category, shape: np.ndarray, table: pd.DataFrame) -> None:
    """The outline in its mean shape (n_c, 2), and on each landmark a pie of its errors."""
    if not draw_mean_shape(axes, item, shape, margin=0.08, colors="#b4bbc3", linewidths=1.3):
        return
    shares = table[list(KINDS[1:])].fillna(0).to_numpy()
    worst, largest = shares.sum(axis=1).max(), _largest_radius(shape)
    centre = np.nanmean(shape, axis=0)
    for row in np.flatnonzero(np.isfinite(shape).all(axis=1)):
        radius = max(largest * np.sqrt(shares[row].sum() / worst), SMALLEST) if worst > 0 else SMALLEST
        _draw_pie(axes, shape[row], radius, shares[row])
        outwards = (shape[row] - centre) / max(np.linalg.norm(shape[row] - centre), 1e-9)
        x, y = shape[row] + outwards * (radius + 0.02)
        axes.text(x, y, str(row + 1), fontsize=6, color="#5b636b", ha="center", va="center",
                  path_effects=HALO, zorder=5)  # fmt: skip
    axes.set_title(f"largest circle: {100 * worst:.0f} % not good", fontweight="normal", fontsize=8)


def _largest_radius(shape: np.ndarray) -> float:
    """LARGEST, or less where neighbours (n_c, 2) stand so close that most circles would cover each other."""
    known = shape[np.isfinite(shape).all(axis=1)]
    apart = np.linalg.norm(known[:, None] - known, axis=2) + np.diag(np.full(len(known), np.inf))
    return float(np.clip(0.6 * np.median(apart.min(axis=1)), 2 * SMALLEST, LARGEST))


def _draw_pie(axes: Axes, centre: np.ndarray, radius: float, share: np.ndarray) -> None:
    """Sectors in proportion to the shares, clockwise from the top; a grey dot where all are 0."""
    if share.sum() == 0:
        axes.add_patch(Circle(centre, radius, facecolor="#8a9199", linewidth=0, zorder=3))
        return
    ends = -90 + 360 * np.concatenate([[0], np.cumsum(share)]) / share.sum()
    for kind, start, end in zip(KINDS[1:], ends[:-1], ends[1:], strict=True):
        if end > start:
            look = {"facecolor": CAUSE_COLOURS[kind], "linewidth": 0, "zorder": 3}
            axes.add_patch(Wedge(centre, radius, start, end, **look))
    axes.add_patch(Circle(centre, radius, fill=False, edgecolor="white", linewidth=0.8, zorder=4))


def _draw_bars(axes: Axes, table: pd.DataFrame) -> None:
    """A stacked bar of error shares for each landmark, the worst kind first."""
    numbers = table["landmark"].to_numpy()
    left = np.zeros(len(table))
    for kind in reversed(KINDS[1:]):
        width = 100 * table[kind].fillna(0).to_numpy()
        axes.barh(numbers, width, left=left, height=0.8, color=CAUSE_COLOURS[kind], linewidth=0)
        left = left + width
    for number, value, labelled in zip(numbers, left, table["labelled"], strict=True):
        text = f" {value:.0f}" if labelled else " never labelled"
        axes.text(value, number, text, va="center", fontsize=6, color="#6b737c")
    axes.set_ylim(len(numbers) + 0.7, 0.3)
    axes.set_xlim(0, min(100, max(1.12 * left.max(), 1)))
    axes.set_yticks(numbers, [str(number) for number in numbers], fontsize=6)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("landmark")
    axes.set_xlabel("% of labelled landmarks that are not good")
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_color(FAINT)
