"""Polygons of many instances in three arrays: lists of Python numbers would take several times the memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from kps.errors import InputError
from kps.json_fields import MAX_COORDINATE, NUMBERS


class Polygons(Sequence):
    """A sequence whose element i is the list of polygons [x1, y1, x2, y2, ... px] of instance i."""

    def __init__(self) -> None:
        self._coordinates = array("d")  # of all polygons, one after the other
        self._polygon_ends = array("q")  # where each polygon ends in the coordinates
        self._instance_ends = array("q")  # where each instance ends in the polygons

    @classmethod
    def of(cls, rows: Iterable[list[list[float]]]) -> Polygons:
        """Return the polygons of the given instances."""
        if isinstance(rows, cls):
            return rows
        polygons = cls()
        for row in rows:
            polygons.append(row)
        return polygons

    def append(self, row: list[list[float]]) -> None:
        """Add the polygons of one more instance, as `check_polygons` lets them pass."""
        for polygon in row:
            self._coordinates.extend(polygon)
            self._polygon_ends.append(len(self._coordinates))
        self._instance_ends.append(len(self._polygon_ends))

    def __len__(self) -> int:
        return len(self._instance_ends)

    def __getitem__(self, index: int) -> list[list[float]]:
        index = range(len(self))[index]
        first, last = self._instance_ends[index - 1] if index else 0, self._instance_ends[index]
        ends = [self._polygon_ends[first - 1] if first else 0, *self._polygon_ends[first:last]]
        return [self._coordinates[start:end].tolist() for start, end in pairwise(ends)]

    def take(self, rows: np.ndarray) -> Polygons:
        """Return the polygons of the given instances (indices)."""
        return Polygons.of(self[row] for row in rows.tolist())


def check_polygons(value: Any) -> list[list[float]]:
    """Return the polygons of a COCO or raw row; none where it has another kind of mask (RLE) or null.

    Raises:
        InputError: a list that is not one of lists of numbers, or a number too large to be a pixel.
    """
    if value is None or isinstance(value, dict):
        return []
    if not isinstance(value, list) or not all(isinstance(polygon, list) for polygon in value):
        raise InputError("expected segmentation as a list of polygons, each a list of numbers")
    for polygon in value:
        if not NUMBERS.issuperset(map(type, polygon)):
            raise InputError("expected segmentation as polygons of numbers")
        if polygon and not -MAX_COORDINATE <= min(polygon) <= max(polygon) <= MAX_COORDINATE:
            raise InputError(f"expected segmentation within {MAX_COORDINATE:g} px")
    return value
