"""Where a garment's crop lies on its photo, and its pixels."""

from dataclasses import dataclass

import cv2
import numpy as np

PADDING = 1.25  # growth of a box before it is cropped (paper)
# A patch keeps this many of its pixels for one input pixel: more is wasted, less blurs where crops zoom in.
PATCH_OVERSAMPLING = 1.5
# Augmentation reaches this far around the plain crop: rotation of 30 degrees, scale 1.25 and a small shift.
PATCH_MARGIN = 1.8


def crop_affine(
    bbox_xywh: np.ndarray,
    size_wh: tuple[int, int],
    *,
    padding: float = PADDING,
    scale: float = 1.0,
    rotation: float = 0.0,
    shift_xy: tuple[float, float] = (0.0, 0.0),
    mirror: bool = False,
) -> np.ndarray:
    """Return the affine image -> input for the box (4,) grown to the input's aspect, times `padding`.

    Augmentation: `scale` grows the cropped area further, `rotation` turns it by degrees, counter-clockwise as seen,
    `shift_xy` moves its centre by parts of the box's width and height, `mirror` flips it left-right.
    """
    x, y, box_width, box_height = np.asarray(bbox_xywh, float)
    box_width, box_height = max(box_width, 1.0), max(box_height, 1.0)
    width, height = size_wh
    zoom = min(width / box_width, height / box_height) / (padding * scale)  # input px per image px
    centre = np.array([x + box_width * (0.5 + shift_xy[0]) - 0.5, y + box_height * (0.5 + shift_xy[1]) - 0.5])
    cos, sin = zoom * np.cos(np.radians(rotation)), zoom * np.sin(np.radians(rotation))
    linear = np.array([[cos, sin], [-sin, cos]])
    if mirror:
        linear[0] = -linear[0]
    offset = np.array([(width - 1) / 2, (height - 1) / 2]) - linear @ centre
    return np.column_stack([linear, offset])


def invert_affine(affine: np.ndarray) -> np.ndarray:
    """Return the inverse of an affine (2, 3)."""
    linear = np.linalg.inv(affine[:, :2])
    return np.column_stack([linear, -linear @ affine[:, 2]])


def compose_affine(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the affine that applies `first`, then `second`."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def apply_affine(affine: np.ndarray, points_xy: np.ndarray) -> np.ndarray:
    """Map points (..., 2) by an affine (2, 3)."""
    return points_xy @ affine[:, :2].T + affine[:, 2]


@dataclass(frozen=True)
class Patch:
    """A garment's surroundings, cut from a photo and shrunk to the resolution that crops need.

    `pixels` (h, w, 3) uint8 RGB; `to_image` is the affine patch -> image.
    """

    pixels: np.ndarray
    to_image: np.ndarray

    def crop(self, affine: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
        """Return the crop (H, W, 3) uint8 of an affine image -> input; black outside of the photo."""
        from_patch = compose_affine(affine, self.to_image)
        return cv2.warpAffine(self.pixels, from_patch, size_wh, flags=cv2.INTER_LINEAR)


def cut_patch(
    photo: np.ndarray, bbox_xywh: np.ndarray, size_wh: tuple[int, int], padding: float, shrink: int = 1
) -> Patch:
    """Cut all that augmented crops of this box can show, shrunk by area averaging, so that none aliases.

    `photo` (H, W, 3) uint8 has `shrink` times fewer pixels each way than the photo that the box (4,) counts in.
    """
    bbox_xywh = np.asarray(bbox_xywh, float) / shrink
    to_input = crop_affine(bbox_xywh, size_wh, padding=padding)
    zoom = to_input[0, 0]
    centre = invert_affine(to_input) @ np.array([(size_wh[0] - 1) / 2, (size_wh[1] - 1) / 2, 1.0])
    reach = PATCH_MARGIN * max(size_wh) / zoom / 2 + 1
    limits = np.array(photo.shape[1::-1])
    low = np.clip(np.floor(centre - reach), 0, limits - 1).astype(int)
    high = np.clip(np.ceil(centre + reach) + 1, low + 1, limits).astype(int)
    pixels = photo[low[1] : high[1], low[0] : high[0]]
    size = high - low
    shrunk = np.maximum(1, np.round(size * min(1.0, PATCH_OVERSAMPLING * zoom))).astype(int)
    if (shrunk < size).any():
        pixels = cv2.resize(pixels, tuple(int(v) for v in shrunk), interpolation=cv2.INTER_AREA)
    else:
        pixels = pixels.copy()  # so that the photo can be freed
    ratio = size / shrunk
    to_photo = np.column_stack([np.diag(ratio), low + 0.5 * ratio - 0.5])
    return Patch(
        pixels, compose_affine(np.array([[shrink, 0, (shrink - 1) / 2], [0, shrink, (shrink - 1) / 2]]), to_photo)
    )
