"""Photos are read as they are stored, and what is none is named."""

import cv2
import numpy as np
import pytest

from kps.errors import InputError
from kps.photos import read_photo


def test_a_photo_of_any_kind_is_read_as_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 5, 3), (10, 20, 30), np.uint8))
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 5), 7, np.uint8))
    assert read_photo(tmp_path / "a.png")[0, 0].tolist() == [30, 20, 10]
    assert read_photo(tmp_path / "grey.png").shape == (4, 5, 3)
    assert read_photo(tmp_path / "a.png", grey=True).shape == (4, 5)


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_what_is_no_image_is_named(tmp_path, content):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.jpg: expected an image"):
        read_photo(tmp_path / "x.jpg")
    with pytest.raises(InputError, match=r"absent\.jpg"):
        read_photo(tmp_path / "absent.jpg")
