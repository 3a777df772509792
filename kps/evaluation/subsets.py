"""Scores by subset, as the tables of the data set's paper (DeepFashion2, arXiv 1901.07973) split them.

A subset by scale, occlusion, zoom-in or viewpoint is a set of items. Its score is over the images that hold
at least one of them; items of other subsets on these images are ignored, so a result matched to one is
neither right nor wrong. Everything else follows the protocol: results on nothing count against each subset
that has the image. Items whose value is unknown (0) belong to no subset. The source is a property of the
image: a subset by source is the score of its images.
"""

from __future__ import annotations

import numpy as np

from kps.data.coco import Coco
from kps.evaluation.metrics import Scores, score
from kps.evaluation.protocol import check_images, compare
from kps.files import InputError
from kps.results.detections import Detections
from kps.results.predictions import Predictions

SOURCE = "source"
SOURCES = ("shop", "user")
ITEM_SUBSETS = {  # labels of the values 1, 2, 3
    "scale": ("small", "moderate", "large"),
    "occlusion": ("slight", "medium", "heavy"),
    "zoom_in": ("no", "medium", "large"),
    "viewpoint": ("no wear", "frontal", "side or back"),
}
SUBSETS = (*ITEM_SUBSETS, SOURCE)


def known_subsets(ground_truth: Coco) -> list[str]:
    """Return those of SUBSETS that at least one item or image of the data has a value of."""
    attributes = ground_truth.instances.attributes
    known = [name for name in ITEM_SUBSETS if attributes[name].any()]
    return known + [SOURCE] * any(row.source for row in ground_truth.images)


def evaluate_subsets(
    ground_truth: Coco, results: Predictions | Detections, *, by: str, visible_only: bool = False
) -> dict[str, Scores]:
    """Score landmarks (Predictions) or boxes (Detections) on each subset by one of SUBSETS.

    Returns:
        Label of the subset -> scores, NaN where it holds no item that counts.

    Raises:
        InputError: `by` is no such attribute, the data do not know it, or a result lies on an unknown image.
    """
    if by not in SUBSETS:
        raise InputError(f"expected subsets by one of {', '.join(SUBSETS)}, but got {by!r}")
    check_images(ground_truth, results.image_id)
    items = ground_truth.instances
    if by == SOURCE:
        of_image = np.array([row.source for row in ground_truth.images], dtype=object)
        images = {label: ground_truth.image_ids[of_image == label] for label in SOURCES}
        counted = dict.fromkeys(SOURCES, np.ones(len(items), dtype=bool))
    else:
        values = enumerate(ITEM_SUBSETS[by], start=1)
        counted = {label: items.attributes[by] == number for number, label in values}
        images = {label: np.unique(items.image_id[rows]) for label, rows in counted.items()}
    if not any(len(ids) for ids in images.values()):
        raise InputError(f"{ground_truth.path}: expected {by} to be known, but it is unknown everywhere")
    scores = {}
    for label, ids in images.items():
        part = ground_truth.subset(image_ids=ids.tolist()), results.take(np.isin(results.image_id, ids))
        own = counted[label][np.isin(items.image_id, ids)]
        scores[label] = score(compare(*part, visible_only=visible_only, counted=own))
    return scores
