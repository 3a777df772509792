"""Polygons in flat arrays are those that went in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kps.data.coco import Polygons, check_polygons
from kps.files import InputError

ROWS = st.lists(st.lists(st.lists(st.integers(-10, 5000) | st.floats(0, 5000), max_size=9), max_size=3), max_size=6)


@given(ROWS, st.data())
def test_polygons_come_back(rows: list, data: st.DataObject) -> None:
    polygons = Polygons.of(rows)
    assert list(polygons) == rows and len(polygons) == len(rows)
    assert Polygons.of(polygons) is polygons
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1))) if rows else []
    assert list(polygons.take(np.array(chosen, int))) == [rows[i] for i in chosen]


def test_indices_count_from_both_ends() -> None:
    polygons = Polygons.of([[[1, 2]], [], [[3, 4], [5, 6]]])
    assert polygons[-1] == [[3, 4], [5, 6]] and polygons[-3] == [[1, 2]]
    with pytest.raises(IndexError):
        polygons[3]


@pytest.mark.parametrize("value", [None, {"counts": "abc", "size": [1, 2]}, []])
def test_other_masks_count_as_no_polygons(value: object) -> None:
    assert check_polygons(value) == []


@pytest.mark.parametrize("value", ["text", 5, [1, 2], [[1, "2"]], [[1, True]], [[1, None]], [{"x": 1}], [[1e10, 2]]])
def test_what_is_no_list_of_polygons_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="expected segmentation"):
        check_polygons(value)
