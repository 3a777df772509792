"""Where one garment lies on another, seen on people who wear both.

Mean shapes can be laid on each other by their outlines, but a skirt's outline also fits a top: its waist then
lies on the collar. Photos that show both garments on one person say where the waist really is: at the hem.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kps.data.coco import Instances
from kps.likeness.shapes import MIN_LABELLED, Shapes
from kps.schema import CATEGORIES, NUM_CATEGORIES

MIN_PEOPLE = 10  # who wear both, for a placing to be known
MAX_TURN = 0.35  # radians between two garments of one person
MAX_STEP = 0.5  # of the wider box's width, between the centres of two garments of one person
NEIGHBOURS = 4  # next items of a photo that are compared with each


class Placing(NamedTuple):
    """How the first of two mean shapes lies on the second, in radii of the second."""

    scale: float
    shift: float  # downwards
    misfit: float  # root mean square distance of counterparts, or spread of the placing


def worn_together(
    instances: Instances, shapes: Shapes, *, viewpoints: tuple[int, ...]
) -> dict[tuple[int, int], Placing]:
    """Median placing of each pair of categories that at least MIN_PEOPLE wear together, both ways round.

    Two garments are one person's where they are of different categories, upright alike, and centred above
    each other. Boxes and landmarks decide, not who is in the photo: a wrong pair is one of many.

    Args:
        instances: labelled items.
        shapes: mean shapes of these viewpoints.
        viewpoints: of the items to look at.
    """
    factor, offset, usable = _fits(instances, shapes)
    usable &= np.isin(instances.attributes["viewpoint"], list(viewpoints))
    first, second = _pairs(instances, usable)
    x, width = instances.bbox_xywh[:, 0], instances.bbox_xywh[:, 2]
    step = np.abs((x + width / 2)[first] - (x + width / 2)[second])
    ratio = factor[first] / factor[second]
    one_person = (step < MAX_STEP * np.maximum(width[first], width[second])) & (np.abs(np.angle(ratio)) < MAX_TURN)
    first, second, ratio = first[one_person], second[one_person], ratio[one_person]
    scale = np.abs(ratio)
    shift = ((offset[first] - offset[second]) / factor[second]).imag
    kinds = instances.category_id[first] * (NUM_CATEGORIES + 1) + instances.category_id[second]
    found = {}
    for kind in np.unique(kinds):
        rows = kinds == kind
        if rows.sum() >= MIN_PEOPLE:
            middle = np.median(shift[rows])
            spread = 1.4826 * np.median(np.abs(shift[rows] - middle))  # a Gaussian's standard deviation
            placing = Placing(float(np.median(scale[rows])), float(middle), float(spread))
            found[divmod(int(kind), NUM_CATEGORIES + 1)] = placing
    return found


def _fits(instances: Instances, shapes: Shapes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Complex factor and offset (N,) that lay an item's mean shape on its landmarks, and which are known."""
    factor, offset = np.ones((2, len(instances)), complex)
    usable = np.zeros(len(instances), bool)
    for item in CATEGORIES:
        mean = shapes.mean[item.id - 1, : item.num_landmarks]
        mean = mean[:, 0] + 1j * mean[:, 1]
        rows = np.flatnonzero(instances.category_id == item.id)
        points = instances.keypoints[rows, : item.num_landmarks]
        labelled = (points[..., 2] > 0) & np.isfinite(mean)
        number = labelled.sum(1)
        enough = number >= MIN_LABELLED
        rows, points, labelled, number = rows[enough], points[enough], labelled[enough], number[enough]
        places = np.where(labelled, points[..., 0] + 1j * points[..., 1], 0)
        shape = np.where(labelled, np.nan_to_num(mean), 0)
        centre, own_centre = places.sum(1) / number, shape.sum(1) / number
        centred = np.where(labelled, shape - own_centre[:, None], 0)
        size = (np.abs(centred) ** 2).sum(1)
        known = size > 0
        rows = rows[known]
        factor[rows] = (centred.conj() * places).sum(1)[known] / size[known]
        offset[rows] = centre[known] - factor[rows] * own_centre[known]
        usable[rows] = np.abs(factor[rows]) > 0
    return factor, offset, usable


def _pairs(instances: Instances, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two usable items of one photo and different categories, both ways round."""
    order = np.flatnonzero(usable)
    order = order[np.argsort(instances.image_id[order], kind="stable")]
    image, kind = instances.image_id[order], instances.category_id[order]
    first, second = [], []
    for distance in range(1, NEIGHBOURS + 1):
        same = (image[distance:] == image[:-distance]) & (kind[distance:] != kind[:-distance])
        first.append(order[:-distance][same])
        second.append(order[distance:][same])
    one, other = np.concatenate(first), np.concatenate(second)
    return np.concatenate([one, other]), np.concatenate([other, one])
