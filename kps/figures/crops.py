"""Cut-outs of photos around landmarks, to look at what a distance compares."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from kps.data.coco import Coco
from kps.data.photos import photo_of
from kps.schema import LANDMARK_CATEGORY, category

SIDE_OF_GARMENT = 0.4  # a cut-out's side in parts of the square root of the box's area
PIXELS = 120  # side of the picture


def landmark_crops(coco: Coco, image_dir: Path, landmarks: Iterable[int]) -> dict[int, np.ndarray]:
    """Return a picture (120, 120, 3) around each landmark (0-based, of 294), with the landmark in its centre.

    From a random garment on which the landmark is visible; landmarks that no photo shows are left out.
    """
    rng, items = np.random.default_rng(0), coco.instances
    images = {row.id: row for row in coco.images}
    crops = {}
    for landmark in dict.fromkeys(landmarks):
        item = category(int(LANDMARK_CATEGORY[landmark]))
        own = landmark - item.first_index
        shown = np.flatnonzero((items.category_id == item.id) & (items.keypoints[:, own, 2] == 2))
        if not len(shown):
            continue
        row = int(rng.choice(shown))
        side = max(SIDE_OF_GARMENT * np.sqrt(items.area[row]), 8.0)
        scale = PIXELS / side
        x, y = items.keypoints[row, own, :2]
        affine = np.array([[scale, 0, PIXELS / 2 - scale * x], [0, scale, PIXELS / 2 - scale * y]])
        photo = photo_of(images[int(items.image_id[row])], image_dir)
        crops[landmark] = cv2.warpAffine(photo, affine, (PIXELS, PIXELS), borderValue=(230, 230, 230))
    return crops
