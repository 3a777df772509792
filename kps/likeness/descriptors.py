"""What photos show at landmarks: a sample of labelled places, and gradient histograms around them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from kps.data.coco import Coco, ImageRow, Instances
from kps.data.photos import photo_of
from kps.files import InputError, ordered_map, progress
from kps.schema import FLIP_INDICES, own_indices

PER_LANDMARK = 60  # places sampled of each landmark
VISIBLE = 2
WINDOWS = (0.1, 0.3)  # sides of the two windows, in square roots of the garment's area
SIDE = 32  # px a window is resized to
# One block of 4 x 4 cells and 9 unsigned directions: light on dark and dark on light are the same.
_HOG = cv2.HOGDescriptor((SIDE, SIDE), (SIDE, SIDE), (SIDE, SIDE), (SIDE // 4, SIDE // 4), 9)


@dataclass(frozen=True)
class Places:
    """M labelled landmarks: row of their instance, which of the 294, place in px of the photo."""

    row: np.ndarray  # (M,)
    landmark: np.ndarray  # (M,)
    xy: np.ndarray  # (M, 2)


@dataclass(frozen=True)
class Descriptors:
    """M places described by D numbers each; a mirrored place stands for the mirrored landmark.

    `values` of (M, 2, D): as the photo shows the place, and as its mirror image does.
    """

    values: np.ndarray  # (M, 2, D) float32
    landmark: np.ndarray  # (M,) of the 294
    image_id: np.ndarray  # (M,)

    def __post_init__(self) -> None:
        number = len(self.landmark)
        if self.values.ndim != 3 or self.values.shape[:2] != (number, 2) or len(self.image_id) != number:
            raise InputError(
                f"expected descriptors of shape ({number}, 2, D) and as many image ids, "
                f"but got {self.values.shape} and {len(self.image_id)}"
            )

    def both(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values (2M, D), landmark (2M,) and image id (2M,): all places, then their mirror images."""
        values = np.concatenate([self.values[:, 0], self.values[:, 1]])
        landmark = np.concatenate([self.landmark, FLIP_INDICES[self.landmark]])
        return values, landmark, np.tile(self.image_id, 2)


def sample_places(instances: Instances, *, per_landmark: int = PER_LANDMARK, seed: int = 0) -> Places:
    """Draw up to `per_landmark` visible places of each landmark; few instances serve many landmarks."""
    order = np.random.default_rng(seed).permutation(len(instances))
    visible = instances.keypoints[order, :, 2] == VISIBLE
    chosen = np.zeros_like(visible)
    for category_id in np.unique(instances.category_id):
        rows = instances.category_id[order] == category_id
        chosen[rows] = visible[rows] & (visible[rows].cumsum(0) <= per_landmark)
    position, own = np.nonzero(chosen)
    row = order[position]
    landmark = own_indices()[instances.category_id[row] - 1, own]
    sort = np.argsort(instances.image_id[row], kind="stable")
    return Places(row[sort], landmark[sort], instances.keypoints[row, own, :2][sort])


def gradient_descriptors(
    coco: Coco,
    image_dir: Path,
    *,
    per_landmark: int = PER_LANDMARK,
    seed: int = 0,
    workers: int | None = None,
) -> Descriptors:
    """Histograms of gradient directions at two scales around a sample of visible landmarks.

    Photos are read by several processes; memory holds the descriptors (2.3 kB a place) and few photos.

    Args:
        image_dir: the split's photos.
        per_landmark: sample size; 60 of each landmark need about 1,500 photos.
        workers: processes; None takes all cores.

    Raises:
        InputError: a photo is absent or no image, or no landmark is visible.
    """
    places = sample_places(coco.instances, per_landmark=per_landmark, seed=seed)
    if not len(places.row):
        raise InputError(f"{coco.path}: expected visible landmarks, but found none")
    image_id = coco.instances.image_id[places.row]
    images = {row.id: row for row in coco.images}
    unit = np.sqrt(coco.instances.area[places.row])
    photos, starts = np.unique(image_id, return_index=True)
    parts = np.split(np.column_stack([places.xy, unit]), starts[1:])
    tasks = [(images[photo], part) for photo, part in zip(photos.tolist(), parts, strict=True)]
    described = ordered_map(partial(_describe_photo, Path(image_dir)), tasks, workers=workers, chunk=16)
    values = list(progress(described, desc="describing landmarks", total=len(tasks), unit="photo"))
    return Descriptors(np.concatenate(values), places.landmark, image_id)


def _describe_photo(image_dir: Path, task: tuple[ImageRow, np.ndarray]) -> np.ndarray:
    """(m, 2, D) descriptors of a photo's places (m, 3): x, y and the garment's size, px."""
    image, places = task
    photo = photo_of(image, image_dir, grey=True)
    return np.stack([gradient_descriptor(photo, place[:2], place[2]) for place in places])


def gradient_descriptor(photo: np.ndarray, xy: np.ndarray, unit: float) -> np.ndarray:
    """(2, D) histograms around a place and of its mirror image, D = 2 scales x 16 cells x 9 directions.

    Args:
        photo: (H, W) uint8.
        xy: px, 0-indexed pixel centres.
        unit: the garment's size, px: the square root of its area.
    """
    described = []
    for window in WINDOWS:
        reach = max(window * unit / 2, 2.0)
        low, high = np.floor(xy - reach + 0.5).astype(int), np.ceil(xy + reach + 0.5).astype(int)
        size = photo.shape[::-1]
        outside = np.maximum(-low, 0).tolist(), np.maximum(high - size, 0).tolist()
        inside = photo[slice(*np.clip((low[1], high[1]), 0, size[1])), slice(*np.clip((low[0], high[0]), 0, size[0]))]
        if not inside.size:  # a landmark far outside of the photo
            inside, outside = np.zeros((1, 1), np.uint8), ([0, 0], [0, 0])
        (left, top), (right, bottom) = outside
        patch = cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_REPLICATE)
        patch = cv2.resize(patch, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        described.append([_HOG.compute(view).ravel() for view in (patch, np.ascontiguousarray(patch[:, ::-1]))])
    return np.concatenate(described, axis=1)
