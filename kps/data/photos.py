"""Reading photos: one way for training, prediction, measures and pictures."""

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kps.files import InputError, reason_of

if TYPE_CHECKING:
    from kps.data.coco import ImageRow

MAX_PIXELS = 2**28  # no panorama is near; decoded it takes 2 GB
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own limit is below what a panorama may have


def photo_of(row: "ImageRow", image_dir: Path, *, grey: bool = False) -> np.ndarray:
    """Return the photo of a COCO file's row, by `read_photo`; its size has to be the one stated there."""
    path, size_wh = Path(image_dir) / row.file_name, (row.width, row.height)
    return read_photo(path, grey=grey, upright=row.upright, size_wh=size_wh)


def read_photo(
    path: Path, *, grey: bool = False, upright: bool = False, size_wh: tuple[int, int] | None = None
) -> np.ndarray:
    """Return a photo (H, W, 3) uint8 RGB, or (H, W) grey; of several frames the first.

    Greys of more than 8 bits are scaled to 8, what is transparent shows white. Annotations count pixels of the stored
    image, so an EXIF orientation is applied only where `upright` asks for what a viewer shows. InputError: the file is
    absent, cannot be decoded to its end, has more than MAX_PIXELS pixels, or is not of the size that was expected.
    """
    try:
        with Image.open(stored_path(Path(path))) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height}, more than {MAX_PIXELS} pixels")
            if grey:
                image.draft("L", image.size)  # the luminance as a JPEG stores it
            shown = _in_eight_bits(ImageOps.exif_transpose(image) if upright else image)
            mode = "L" if grey else "RGB"
            photo = np.array(shown if shown.mode == mode else shown.convert(mode))
    except Exception as error:  # Pillow's decoders raise a dozen kinds on damage
        raise InputError(f"{path}: {_what_is_wrong(Path(path), error)}") from None
    height, width = photo.shape[:2]
    if size_wh not in (None, (width, height)):
        stated, got = " x ".join(map(str, size_wh)), f"{width} x {height}"
        raise InputError(f"{path}: expected a photo of {stated} as its row states, but got {got}")
    return photo


def _what_is_wrong(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such image"
    if isinstance(error, IsADirectoryError):
        return "expected an image, but it is a folder; name the photos in it"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    if not isinstance(error, UnidentifiedImageError):
        return f"expected an image, but it cannot be decoded ({error})"
    return f"expected an image, but {reason_of(path, 'it cannot be decoded')}"


def stored_path(path: Path) -> Path:
    """Return the path as the disk has it: an accented letter may be stored as one character or as two."""
    if path.exists() or path.parent == path:
        return path
    forms = [path.name, *(unicodedata.normalize(form, path.name) for form in ("NFC", "NFD"))]
    parent = stored_path(path.parent)
    return next((parent / name for name in forms if (parent / name).exists()), path)


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """Scale greys of 16 or 32 bits and floats to 8 bits, and lay what is transparent on white."""
    if image.mode[0] in "IF":
        values = np.nan_to_num(np.asarray(image, np.float32), posinf=0.0, neginf=0.0)
        # White is the end of the range that the values are in: floats mostly reach to 1, or count like bytes.
        peak, whites = values.max(), (65535.0,) if image.mode[0] == "I" else (1.0, 255.0, 65535.0)
        white = next((white for white in whites if peak <= 1.1 * white), peak)
        return Image.fromarray((values * (255 / white)).clip(0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image
