"""Two garments on one person say how their mean shapes lie on each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import make_coco
from homogeneity_garments import symmetric_shape

from kps.data.coco import Instances
from kps.likeness import category_shapes
from kps.likeness.worn_together import MIN_PEOPLE, worn_together
from kps.schema import CATEGORIES

TOP, SKIRT = 1, 9
SCALE, SHIFT = 0.5, 2.5  # a skirt's unit in those of the top, and its centre below the top's


def make_people(folder: Path, number: int, *, apart: float = 0.0, seed: int = 0) -> Instances:
    """People in a top and a skirt, each under another camera; `apart` moves the skirt sideways, in tops."""
    rng = np.random.default_rng(seed)
    half = np.column_stack([-rng.uniform(0.2, 1, 39), rng.uniform(-1, 1, 39)])
    instances = make_coco(folder, (TOP, SKIRT) * number).instances
    keypoints, boxes = np.zeros_like(instances.keypoints), instances.bbox_xywh.copy()
    for person in range(number):
        size, centre = rng.uniform(50, 100), rng.uniform(300, 400, 2)
        turn = np.exp(1j * rng.uniform(-0.2, 0.2))
        for row, kind in ((2 * person, TOP), (2 * person + 1, SKIRT)):
            item = CATEGORIES[kind - 1]
            z = symmetric_shape(item, half) @ (1, 1j)
            if kind == SKIRT:
                z = SCALE * z + apart + 1j * SHIFT
            z = size * turn * z + centre @ (1, 1j)
            points = np.column_stack([z.real, z.imag])
            keypoints[row, : item.num_landmarks] = np.column_stack([points, np.full(len(z), 2)])
            boxes[row] = [*points.min(0), *np.ptp(points, axis=0)]
    image_id = np.repeat(np.arange(1, number + 1), 2)
    return replace(instances, keypoints=keypoints, bbox_xywh=boxes, image_id=image_id)


def test_the_placing_lays_a_mean_shape_where_it_is_worn(tmp_path):
    people = make_people(tmp_path, MIN_PEOPLE)
    shapes = category_shapes(people)
    found = worn_together(people, shapes, viewpoints=(2,))
    assert set(found) == {(TOP, SKIRT), (SKIRT, TOP)}
    there, back = found[SKIRT, TOP], found[TOP, SKIRT]
    assert there.scale * back.scale == pytest.approx(1) and there.shift > 0 > back.shift
    assert there.misfit == pytest.approx(0, abs=1e-3)
    # On the first person, laid by the top's own fit, the skirt's mean shape falls on the skirt.
    top, skirt = people.keypoints[0], people.keypoints[1]
    count = {kind: CATEGORIES[kind - 1].num_landmarks for kind in (TOP, SKIRT)}
    mean = {kind: shapes.mean[kind - 1, : count[kind]] @ (1, 1j) for kind in (TOP, SKIRT)}
    factor, offset = np.polyfit(mean[TOP], top[: count[TOP], :2] @ (1, 1j), 1)
    placed = factor * (there.scale * mean[SKIRT] + 1j * there.shift) + offset
    np.testing.assert_allclose(placed, skirt[: count[SKIRT], :2] @ (1, 1j), atol=0.5)


def test_few_people_side_by_side_or_another_view_say_nothing(tmp_path):
    people = make_people(tmp_path / "few", MIN_PEOPLE - 1)
    assert worn_together(people, category_shapes(people), viewpoints=(2,)) == {}
    people = make_people(tmp_path / "two", MIN_PEOPLE, apart=4.0)
    assert worn_together(people, category_shapes(people), viewpoints=(2,)) == {}
    people = make_people(tmp_path / "view", MIN_PEOPLE)
    assert worn_together(people, category_shapes(people), viewpoints=(3,)) == {}
