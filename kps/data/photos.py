"""Reading photos: one way for training, prediction, measures and pictures."""

import io
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kps.files import InputError, reason_of

if TYPE_CHECKING:
    from kps.data.coco import ImageRow

MAX_PIXELS = 2**28  # no panorama is near; decoded it takes 2 GB
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own limit is below what a panorama may have
JPEG_START, JPEG_END, TAIL_BYTES = b"\xff\xd8", b"\xff\xd9", 4096  # some writers add bytes after the end
REDUCED = {1: cv2.IMREAD_COLOR} | {n: getattr(cv2, f"IMREAD_REDUCED_COLOR_{n}") for n in (2, 4, 8)}
MAX_ASPECT = 20  # of what the detector sees: a narrower strip would be scaled to a side of no pixel


def photo_of(row: "ImageRow", image_dir: Path, *, bgr: bool = False) -> np.ndarray:
    """Return the photo of a COCO file's row, by `read_photo`; its size has to be the one stated there."""
    path, size_wh = Path(image_dir) / row.file_name, (row.width, row.height)
    return read_photo(path, upright=row.upright, size_wh=size_wh, bgr=bgr)


def read_photo(
    path: Path, *, upright: bool = False, size_wh: tuple[int, int] | None = None, bgr: bool = False, shrink: int = 1
) -> np.ndarray:
    """Return a photo (H, W, 3) uint8; of several frames the first.

    Greys of more than 8 bits are scaled to 8, what is transparent shows white. InputError: the file is absent, cannot
    be decoded to its end, has more than MAX_PIXELS pixels, or is not of the size that was expected.

    Args:
        path: any format that Pillow reads; common JPEG files go through OpenCV, which has the same pixels sooner.
        upright: turned by its EXIF tag, as a viewer shows it; annotations count pixels of the stored image.
        size_wh: its width and height in px as stated elsewhere.
        bgr: order the colours as OpenCV does.
        shrink: 2, 4 or 8 may give a JPEG photo of so many times fewer pixels each way, rounded up.
    """
    try:
        content = stored_path(Path(path)).read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            size = image.size
            if size[0] * size[1] > MAX_PIXELS:
                raise ValueError(f"{size[0]} x {size[1]}, more than {MAX_PIXELS} pixels")
            photo = None if upright else _of_jpeg(content, image, shrink)
            if photo is None:
                image.load()
                image.getexif()  # once read it stays; what turning would write anew, and stumble over, is not needed
                for name in ("exif", "Raw profile type exif"):
                    image.info.pop(name, None)
                shown = _in_eight_bits(ImageOps.exif_transpose(image) if upright else image)
                size = shown.size
                photo = np.array(shown if shown.mode == "RGB" else shown.convert("RGB"))[:, :, ::-1]
    except Exception as error:  # Pillow's decoders raise a dozen kinds on damage
        raise InputError(f"{path}: {what_is_wrong(Path(path), error)}") from None
    if size_wh not in (None, size):
        stated, got = " x ".join(map(str, size_wh)), " x ".join(map(str, size))
        raise InputError(f"{path}: expected a photo of {stated} as its row states, but got {got}")
    return np.ascontiguousarray(photo if bgr else photo[:, :, ::-1])


def _of_jpeg(content: bytes, image: Image.Image, shrink: int) -> np.ndarray | None:
    """The pixels (H, W, 3) BGR of a JPEG in colour with an end; None of other files, or where OpenCV has none."""
    whole = content.startswith(JPEG_START) and JPEG_END in content[-TAIL_BYTES:]
    if not whole or image.mode != "RGB":
        return None
    return cv2.imdecode(np.frombuffer(content, np.uint8), REDUCED[shrink] | cv2.IMREAD_IGNORE_ORIENTATION)


def image_size(path: Path) -> tuple[int, int]:
    """Return an image's (width, height) in px as stored, from its header; InputError: it is absent or no image."""
    try:
        with Image.open(path) as image:
            return image.size
    except Exception as error:  # as above
        raise InputError(f"{path}: {what_is_wrong(path, error)}") from None


def what_is_wrong(path: Path, error: Exception) -> str:
    """Say why an image cannot be read, from what was raised when it was."""
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


def broadened(photo: np.ndarray) -> np.ndarray:
    """Return the photo (H, W, 3), black below or beside it where it is a narrower strip than MAX_ASPECT."""
    least = -(-max(photo.shape) // MAX_ASPECT)
    below, beside = (max(least - side, 0) for side in photo.shape[:2])
    return cv2.copyMakeBorder(photo, 0, below, 0, beside, cv2.BORDER_CONSTANT) if below or beside else photo
