"""kps.data.checks: what is wrong with a photo's files is told, and never raised."""

from pathlib import Path

import pytest
from builders import make_item, make_raw_folder
from PIL import Image

from kps.data.checks import Photo, check_image, examine_photo
from kps.data.raw import RawSplit


def codes(path: Path, *, decode: bool = False) -> list[str]:
    return [finding.code for finding in check_image(path, decode=decode)[1]]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG file."""
    make_raw_folder(tmp_path)
    return tmp_path / "train" / "image" / "000001.jpg"


@pytest.mark.parametrize("decode", [False, True])
def test_a_sound_image_has_a_size_and_no_finding(photo: Path, decode: bool) -> None:
    assert check_image(photo, decode=decode) == ((468, 624), [])
    photo.write_bytes(photo.read_bytes() + bytes(100))  # some writers pad
    assert codes(photo, decode=decode) == []


@pytest.mark.parametrize("lost", [1, 1000, 100_000])
def test_a_cut_off_image_is_found(photo: Path, lost: int) -> None:
    photo.write_bytes(photo.read_bytes()[:-lost])
    assert codes(photo) == ["image_truncated"]
    if lost > 1:
        assert codes(photo, decode=True) == ["image_undecodable"]


def test_files_that_are_no_jpeg(photo: Path, tmp_path: Path) -> None:
    for content, code in ((b"", "empty_file"), (b"<html>404</html>", "image_unreadable")):
        photo.write_bytes(content)
        assert check_image(photo)[0] is None and codes(photo) == [code]
    Image.new("RGB", (3, 4)).save(photo, format="PNG")
    assert check_image(photo)[0] == (3, 4) and codes(photo) == codes(photo, decode=True) == ["image_not_jpeg"]
    assert codes(tmp_path / "absent.jpg") == codes(tmp_path) == ["image_unreadable"]


def test_an_exif_turn_is_noted(photo: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (3, 4)).save(photo, exif=exif)
    size, (finding,) = check_image(photo)
    assert size == (3, 4) and (finding.code, finding.severity) == ("image_turned", "note")
    photo.write_bytes(photo.read_bytes().replace(b"MM\x00*", b"MM\xff\xff", 1))  # a broken tag says nothing
    assert codes(photo) == []


def examine(annotation: Path, *, image: str | None = "000001.jpg"):
    split = RawSplit("train", annotation.parents[1] / "image", annotation.parent)
    return examine_photo(split, False, Photo(1, image, annotation.name))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "empty_file"),
        (b" \n", "empty_file"),
        (b'{"item1": {"category_id"', "not_json"),
        (b'{"source": "\xff"}', "not_json"),
        (b"[" * 10**5, "not_json"),
        (b'{"pair_id": NaN}', "number_not_finite"),
        (b'{"pair_id": 1e999}', "number_not_finite"),
        (b"[1]", "annotation_malformed"),
        (b'{"item1": 3}', "annotation_malformed"),
        (b'{"pair_id": "x"}', "annotation_malformed"),
    ],
)
def test_an_annotation_that_cannot_be_read_makes_the_photo_unusable(tmp_path: Path, text: bytes, code: str) -> None:
    annotation = make_raw_folder(tmp_path)
    annotation.write_bytes(text)
    report = examine(annotation)
    assert [finding.code for finding in report.findings] == [code] and not report.usable


def test_an_annotation_that_may_not_be_read(tmp_path: Path) -> None:
    annotation = make_raw_folder(tmp_path)
    annotation.unlink()
    annotation.symlink_to(annotation)
    assert [finding.code for finding in examine(annotation).findings] == ["not_json"]


def test_the_items_of_a_photo_are_counted(tmp_path: Path) -> None:
    items = {"item1": make_item(1), "item2": make_item(8, landmarks=[0] * 42), "item3": make_item(14 - 1)}
    items |= {"item4": make_item(1, landmarks=[]), "item5": make_item(3, viewpoint=1)}
    report = examine(make_raw_folder(tmp_path, items))
    assert report.category_ids == [1, 8, 13, 3] and report.usable and report.size_wh == (468, 624)
    assert (report.num_refused, report.num_without_landmarks) == (1, 1)
    ((landmarks, viewpoint),) = report.outwear
    assert landmarks.ravel().tolist() == items["item5"]["landmarks"] and viewpoint == 1


def test_a_photo_without_its_other_file(tmp_path: Path) -> None:
    annotation = make_raw_folder(tmp_path)
    report = examine(annotation, image=None)
    assert [finding.code for finding in report.findings] == ["image_absent"] and not report.usable
    split = RawSplit("train", annotation.parents[1] / "image", annotation.parent)
    report = examine_photo(split, False, Photo(1, "000001.jpg", None))
    assert [finding.code for finding in report.findings] == ["annotation_absent"] and report.usable
