"""One side of a category's symmetric outline: its landmarks, those on the axis, and what links them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from kps.schema import category


@dataclass(frozen=True)
class HalfOutline:
    """One side of a symmetric outline, H landmarks; indices are own landmarks, from 0.

    The numbering starts at the collar (or waist) and goes round the garment, so ascending order is a walk.
    """

    landmarks: np.ndarray  # (H,) ascending
    on_axis: np.ndarray  # (H,) bool: its own mirror image
    neighbours: tuple[tuple[int, ...], ...]  # linked own landmarks of each of the H: 1 at an end, 3 at a fork


@cache
def half_outline(category_id: int) -> HalfOutline:
    """The side of the outline that holds the first landmark off the axis.

    It is what links reach from there without crossing the axis, so it is one side of the garment, whichever
    member of a flip pair has the lower number (in outwear they cross over at the front edges).
    """
    item = category(category_id)
    linked: dict[int, list[int]] = {i: [] for i in range(item.num_landmarks)}
    for a, b in item.outline_links:
        linked[a - 1].append(b - 1)
        linked[b - 1].append(a - 1)
    axis = set(np.flatnonzero(item.flip_indices == np.arange(item.num_landmarks)).tolist())
    side = {min(set(linked) - axis)}
    frontier = list(side)
    while frontier:
        reached = set(linked[frontier.pop()]) - axis - side
        side |= reached
        frontier += reached
    landmarks = np.array(sorted(side | axis))
    on_axis = np.isin(landmarks, list(axis))
    return HalfOutline(landmarks, on_axis, tuple(tuple(linked[i]) for i in landmarks))
