"""Photos are read in one way, as they are stored or as a viewer shows them, and what is none is named."""

import struct
import unicodedata

import cv2
import numpy as np
import pytest
from broken_inputs import LFS_POINTER
from builders import make_image_row
from PIL import Image

from kps.data.coco import ImageRow
from kps.data.photos import image_size, photo_of, read_photo
from kps.files import InputError

RAMP = np.arange(0, 256, 5, dtype=np.uint8)[None].repeat(4, axis=0)  # (4, 52)


def saved(path, image, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def test_a_photo_of_any_kind_is_read_as_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 5, 3), (10, 20, 30), np.uint8))
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 5), 7, np.uint8))
    assert read_photo(tmp_path / "a.png")[0, 0].tolist() == [30, 20, 10]
    assert read_photo(tmp_path / "grey.png").shape == (4, 5, 3)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("a.png", RAMP.astype(np.uint16) * 257),
        ("a.tif", RAMP.astype(np.uint16) * 257),
        ("a.tif", RAMP.astype(np.int32) * 257),
        ("a.tif", RAMP.astype(np.float32) / 255),
        ("a.tif", RAMP.astype(np.float32)),
    ],
)
def test_deep_greys_are_scaled_to_8_bits(tmp_path, name, pixels):
    photo = read_photo(saved(tmp_path / name, pixels))
    assert photo.dtype == np.uint8 and np.array_equal(photo, RAMP[..., None].repeat(3, axis=2))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_not_finite_are_black(tmp_path, value):
    photo = read_photo(saved(tmp_path / "a.tif", np.array([[0, 1, value]], np.float32)))
    assert photo[0, :, 0].tolist() == [0, 255, 0]


def test_what_is_transparent_shows_white(tmp_path):
    clear, half = (Image.new("RGBA", (3, 2), (255, 0, 0, alpha)) for alpha in (0, 128))
    palette = Image.new("P", (3, 2), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert read_photo(saved(tmp_path / "clear.png", clear))[0, 0].tolist() == [255, 255, 255]
    assert read_photo(saved(tmp_path / "half.png", half))[0, 0].tolist() == [255, 127, 127]
    assert read_photo(saved(tmp_path / "opaque.png", palette))[0, 0].tolist() == [255, 0, 0]
    hidden = saved(tmp_path / "palette.png", palette, transparency=1)
    assert read_photo(hidden)[0, 0].tolist() == [255, 255, 255]


def test_colours_of_print_and_the_first_frame(tmp_path):
    red, blue = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    assert np.abs(read_photo(saved(tmp_path / "a.jpg", red.convert("CMYK")))[0, 0] - (255.0, 0, 0)).max() < 3
    for name in ("a.gif", "a.tif", "a.webp", "b.png"):
        path = saved(tmp_path / name, red, save_all=True, append_images=[blue], lossless=True)
        assert read_photo(path)[0, 0].tolist() == [255, 0, 0], name


def test_exif_turns_a_photo_only_where_it_is_asked_for(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    path = saved(tmp_path / "a.png", Image.new("RGB", (5, 3)), exif=exif)
    assert read_photo(path).shape == (3, 5, 3) and read_photo(path, upright=True).shape == (5, 3, 3)
    assert image_size(path) == (5, 3)


def test_a_photo_has_the_size_that_its_row_states(tmp_path):
    saved(tmp_path / "000001.jpg", Image.new("RGB", (6, 4)))
    assert photo_of(ImageRow(**make_image_row(width=6, height=4)), tmp_path).shape == (4, 6, 3)
    with pytest.raises(InputError, match=r"000001\.jpg: expected a photo of 4 x 6 .* but got 6 x 4"):
        photo_of(ImageRow(**make_image_row(width=4, height=6)), tmp_path)


@pytest.mark.parametrize(("asked", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_in_names_may_be_written_in_either_form(tmp_path, asked, stored):
    path = tmp_path / unicodedata.normalize(stored, "été") / unicodedata.normalize(stored, "é.png")
    path.parent.mkdir()
    saved(path, Image.new("RGB", (6, 4)))
    other = tmp_path / unicodedata.normalize(asked, "été") / unicodedata.normalize(asked, "é.png")
    assert read_photo(other).shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it cannot be decoded"),
        (b"no image at all", "it cannot be decoded"),
        (LFS_POINTER, "got a Git LFS pointer"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, content, says):
    (tmp_path / "x.jpg").write_bytes(content)
    for read in (read_photo, image_size):
        with pytest.raises(InputError, match=rf"x\.jpg: expected an image, but {says}"):
            read(tmp_path / "x.jpg")
        with pytest.raises(InputError, match=r"absent\.jpg: no such image"):
            read(tmp_path / "absent.jpg")
        with pytest.raises(InputError, match="it is a folder"):
            read(tmp_path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_cut_off_photo_is_refused_rather_than_filled_with_grey(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / name, noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cannot be decoded.*truncated"):
        read_photo(path)
    assert image_size(path) == (64, 64)  # from its header


def test_a_photo_of_absurd_size_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("kps.data.photos.MAX_PIXELS", 10)
    with pytest.raises(InputError, match="6 x 4, more than 10 pixels"):
        read_photo(saved(tmp_path / "a.png", Image.new("RGB", (6, 4))))


def test_a_tag_without_sense_does_not_hide_a_photo(tmp_path):
    tags = struct.pack("<HHI4sHHIHH", 0x0100, 2, 4, b"abc", 0x0112, 3, 1, 6, 0)  # a width in words, and a turn
    content = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + tags + bytes(4)
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=content)
    assert read_photo(tmp_path / "a.jpg", upright=True).shape == (30, 20, 3)
