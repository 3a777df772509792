"""Reading photos: one way for the models, the measures and the pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from kps.errors import InputError


def read_photo(path: Path, *, grey: bool = False) -> np.ndarray:
    """Return a photo (H, W, 3) uint8 RGB, or (H, W) grey, as it is stored.

    Annotations count pixels of the stored image, so an EXIF orientation is not applied.

    Raises:
        InputError: the file is absent or cannot be decoded.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    flags = (cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
    photo = cv2.imdecode(data, flags) if data.size else None
    if photo is None:
        raise InputError(f"{path}: expected an image, but it cannot be decoded")
    return photo if grey else cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)
