"""Cut-outs of photos: around landmarks, to look at what a distance compares, and as a model is trained on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kps.data.coco import Coco
from kps.data.photos import photo_of
from kps.figures.style import OURS, blank, new_figure
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


def training_samples(samples: Sequence[tuple[np.ndarray, np.ndarray]], *, maps: np.ndarray | None = None) -> Figure:
    """Draw what a model is trained on: augmented pictures with their labels, and a target heatmap beside.

    Args:
        samples: pictures (H, W, 3) RGB with points (K, 2) px, or with boxes (K, 4) x1 y1 x2 y2 px.
        maps: (K, h, w) heatmaps of the first picture; their highest values are laid over it.
    """
    count = len(samples) + (maps is not None)
    height, width = samples[0][0].shape[:2]
    figure, axes = new_figure(1, count, (1.4 * count, 1.4 * height / width + 0.2))
    for axis, (picture, labels) in zip(axes[0], samples, strict=False):
        axis.imshow(picture)
        if labels.shape[1] == 2:
            axis.scatter(*labels.T, s=5, c=OURS, edgecolors="white", linewidths=0.4)
        for x1, y1, x2, y2 in labels if labels.shape[1] == 4 else ():
            axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=OURS))
        axis.set(xlim=(-0.5, picture.shape[1] - 0.5), ylim=(picture.shape[0] - 0.5, -0.5))
        blank(axis)
    if maps is not None:
        axis = axes[0, -1]
        axis.imshow(samples[0][0], alpha=0.35)
        axis.imshow(maps.max(0), cmap="magma", alpha=0.75, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        axis.set_title("target", fontsize=8)
        blank(axis)
    return figure
