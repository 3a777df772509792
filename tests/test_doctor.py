"""kps.data.doctor: every defect is found where it was put, and nowhere else."""

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from builders import make_item, make_raw_folder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import kps.data.doctor
import kps.data.raw
from kps.data.checks import KINDS, check_image, check_item
from kps.data.coco import coco_annotation
from kps.data.convert import convert_split
from kps.data.doctor import WIDTH, Diagnosis, diagnose, format_diagnosis, released
from kps.data.raw import INFORMATION_FILES
from kps.files import InputError
from kps.schema import CATEGORIES, NUM_CATEGORIES, Category

Defect = Callable[[Path], None]
NUM_TRAIN = 4
BY_SIZE = {"count_differs"}  # what a small set always has


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw folder with nothing wrong but its size, and every information file."""
    root = tmp_path_factory.mktemp("sound")
    for number in range(1, NUM_TRAIN + 1):
        make_raw_folder(root, {"item1": make_item(1), "item2": make_item(8)}, image_id=number)
    make_raw_folder(root, split="validation")
    make_raw_folder(root, split="test")
    shutil.rmtree(root / "test" / "annos")
    for key, name in INFORMATION_FILES.items():
        folder = root / ("json_for_test" if key == "test" else "json_for_validation")
        folder.mkdir(exist_ok=True)
        row = {"id": 1, "file_name": "000001.jpg", "width": 468, "height": 624}
        (folder / name).write_text(json.dumps({"images": [row]}))
    return root


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sound folder, to be spoilt."""
    return Path(shutil.copytree(sound, tmp_path / "df2"))


def annotation(root: Path, number: int = 2, split: str = "train") -> Path:
    return root / split / "annos" / f"{number:06d}.json"


def image(root: Path, number: int = 2, split: str = "train") -> Path:
    return root / split / "image" / f"{number:06d}.jpg"


def information(root: Path) -> Path:
    return root / "json_for_validation" / "keypoints_val_information.json"


def with_item(**changes: object) -> Defect:
    """Spoil the second item of the second photo."""
    return lambda root: write_items(root, item2=make_item(8) | changes)


def write_items(root: Path, **changes: object) -> None:
    """Write the second photo's annotation with two sound items, but for the changes."""
    value = {"source": "user", "item1": make_item(1), "item2": make_item(8)}
    annotation(root).write_text(json.dumps(value | changes))


def write(path: Callable[[Path], Path], content: bytes) -> Defect:
    return lambda root: path(root).write_bytes(content) and None


def with_rows(*rows: dict) -> Defect:
    return write(information, json.dumps({"images": rows}).encode())


def beside(path: Callable[[Path], Path], name: str) -> Defect:
    """Add a file beside another."""
    return lambda root: path(root).with_name(name).write_text("{}") and None


def cut_image(root: Path) -> None:
    image(root).write_bytes(image(root).read_bytes()[:-1000])


def copied_split(root: Path) -> None:
    shutil.copytree(root / "train", root / "a" / "train")
    shutil.move(root / "train", root / "b" / "train")


ROW = {"id": 1, "file_name": "000001.jpg", "width": 468, "height": 624}
PNG = cv2.imencode(".png", np.zeros((624, 468, 3), np.uint8))[1].tobytes()
LOW = [205, 340, 2]  # a landmark low in the box
FILE, ITEM, PHOTO = "train/annos/000002.json", "train/annos/000002.json, item2", "train/image/000002.jpg"
VALIDATION_INFORMATION = "json_for_validation/keypoints_val_information.json"
DEFECTS: list[tuple[str, str, str, Defect]] = [
    ("empty_file", "train", FILE, write(annotation, b"")),
    ("empty_file", "train", PHOTO, write(image, b"")),
    ("not_json", "train", FILE, write(annotation, b'{"item1": {')),
    ("not_json", "train", FILE, write(annotation, b'{"source": "\xff"}')),
    ("not_json", "train", FILE, write(annotation, b'{"item1": {"scale": NaN}}')),
    ("annotation_malformed", "train", FILE, write(annotation, b"[]")),
    ("no_items", "train", FILE, write(annotation, b'{"source": "shop"}')),
    ("source_unknown", "train", FILE, lambda root: write_items(root, source="street")),
    ("image_absent", "train", FILE, lambda root: image(root).unlink()),
    ("annotation_absent", "train", PHOTO, lambda root: annotation(root).unlink()),
    ("image_unreadable", "train", PHOTO, write(image, b"<html>404</html>")),
    ("image_truncated", "train", PHOTO, cut_image),
    ("image_not_jpeg", "train", PHOTO, write(image, PNG)),
    ("number_repeated", "train", "train/annos/2.json", beside(annotation, "2.json")),
    ("name_no_number", "train", "train/image/cover.jpg", beside(image, "cover.jpg")),
    ("category_unknown", "train", ITEM, with_item(category_id=0)),
    ("landmark_count", "train", ITEM, with_item(landmarks=[])),
    ("visibility", "train", ITEM, with_item(landmarks=[200, 200, 7] * 14)),
    ("number_huge", "train", ITEM, with_item(bounding_box=[0, 0, 1e6, 5])),
    ("item_malformed", "train", ITEM, with_item(bounding_box="none")),
    ("box_empty", "train", ITEM, with_item(bounding_box=[200, 50, 200, 350])),
    ("box_inverted", "train", ITEM, with_item(bounding_box=[300, 50, 100, 350])),
    ("box_looks_like_xywh", "train", ITEM, with_item(bounding_box=[100, 50, 110, 300], landmarks=LOW * 14)),
    ("box_outside_image", "train", ITEM, with_item(bounding_box=[500, 50, 600, 350], landmarks=[460, 300, 1] * 14)),
    ("box_beyond_image", "train", ITEM, with_item(bounding_box=[-9, 50, 300, 350])),
    ("landmark_far_from_box", "train", ITEM, with_item(landmarks=LOW * 13 + [450, 620, 1])),
    ("no_landmarks", "train", ITEM, with_item(landmarks=[0] * 42)),
    ("polygon_absent", "train", ITEM, with_item(segmentation=[])),
    ("polygon_malformed", "train", ITEM, with_item(segmentation=[5])),
    ("polygon_odd_length", "train", ITEM, with_item(segmentation=[[1] * 9])),
    ("polygon_short", "train", ITEM, with_item(segmentation=[[1] * 4])),
    ("attribute_out_of_range", "train", ITEM, with_item(occlusion=5)),
    ("category_name_differs", "train", ITEM, with_item(category_name="short sleeve top")),
    ("information_absent", "validation", "val_information", lambda root: information(root).unlink()),
    ("information_unreadable", "validation", VALIDATION_INFORMATION, write(information, b"[]")),
    ("information_id_repeated", "validation", VALIDATION_INFORMATION, with_rows(ROW, ROW)),
    ("information_image_absent", "validation", VALIDATION_INFORMATION, with_rows(ROW, ROW | {"id": 7})),
    ("information_size_differs", "validation", VALIDATION_INFORMATION, with_rows(ROW | {"width": 469})),
    ("split_absent", "test", "expected test/image", lambda root: shutil.rmtree(root / "test")),
    ("annotations_absent", "train", "train/annos", lambda root: shutil.rmtree(root / "train" / "annos")),
    ("two_copies", "train", "a/train", copied_split),
]  # fmt: skip


def found(diagnosis: Diagnosis) -> dict[tuple[str, str], int]:
    """Counts by (split, code), without what a small set always has."""
    return {key: count for key, count in diagnosis.tally.counts.items() if key[1] not in BY_SIZE}


def test_a_sound_folder_has_no_finding_but_its_size(sound: Path) -> None:
    diagnosis = diagnose(sound, workers=1)
    assert found(diagnosis) == {} and diagnosis.verdict == "warnings" and not diagnosis.reasons
    train, test = diagnosis.splits["train"], diagnosis.splits["test"]
    assert (train.num_images, train.num_annotations, train.num_items) == (NUM_TRAIN, NUM_TRAIN, 2 * NUM_TRAIN)
    assert train.per_category == [NUM_TRAIN, *[0] * 6, NUM_TRAIN, *[0] * 5]
    assert (train.image_dir, train.annos_dir) == (sound / "train" / "image", sound / "train" / "annos")
    assert (test.num_images, test.num_items, test.annos_dir) == (1, 0, None)
    assert {key: file.num_images for key, file in diagnosis.information.items()} == dict.fromkeys(INFORMATION_FILES, 1)
    assert json.loads(json.dumps(diagnosis.to_json()))["verdict"] == "warnings"


@pytest.mark.parametrize(("code", "split", "where", "spoil"), DEFECTS, ids=[row[0] for row in DEFECTS])
def test_each_defect_is_found_where_it_was_put(root: Path, code: str, split: str, where: str, spoil: Defect) -> None:
    spoil(root)
    diagnosis = diagnose(root, workers=1)
    assert found(diagnosis) == {(split, code): 1}
    assert where in diagnosis.tally.examples[split, code][0]
    (row,) = [row for row in diagnosis.tally.rows() if row["kind"] == code]
    assert (row["severity"], row["count"]) == (KINDS[code].severity, 1)


def test_images_that_no_information_file_has_are_found(root: Path) -> None:
    make_raw_folder(root, split="validation", image_id=2)
    diagnosis = diagnose(root, workers=1)
    assert found(diagnosis) == {("validation", "information_lacks_image"): 3}
    texts = diagnosis.tally.examples["validation", "information_lacks_image"]
    assert all("no image id 2 for 000002.jpg" in text for text in texts)


def spoil_all(root: Path) -> Iterator[str]:
    """Put each defect of a photo into a photo of its own."""
    for number, (code, split, where, spoil) in enumerate(DEFECTS, start=NUM_TRAIN + 1):
        if split != "train" or not where.startswith((FILE, PHOTO)):
            continue
        spoil(root)
        for path in (annotation(root), image(root)):
            if path.exists():
                path.rename(path.with_stem(f"{number:06d}"))
        write_items(root)
        shutil.copy(image(root, 1), image(root))
        yield code


def test_many_defects_are_counted_alike_by_any_number_of_workers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Counter(spoil_all(root))
    assert len(expected) >= 20
    one = diagnose(root, workers=1)
    assert Counter({code: count for (_, code), count in found(one).items()}) == expected
    assert one.verdict == "unfit" and "files cannot be used" in " ".join(one.reasons)
    monkeypatch.setattr(kps.data.doctor, "CHUNK_FILES", 5)
    assert diagnose(root, workers=2).to_json() == one.to_json()


def test_the_conversion_skips_what_the_doctor_refuses(root: Path) -> None:
    list(spoil_all(root))
    counts = convert_split(root, "train", root / "coco.json", workers=1)
    diagnosis = diagnose(root, workers=1)
    train = diagnosis.splits["train"]
    cut_off = diagnosis.tally.counts["train", "image_truncated"]  # its header is whole
    assert counts.num_skipped == train.num_unusable - cut_off + train.num_refused
    told = {text for texts in diagnosis.tally.examples.values() for text in texts}
    assert sum(line in told for line in counts.skipped) >= train.num_refused


def test_examples_are_the_first_and_few(root: Path) -> None:
    for number in range(10, 20):
        make_raw_folder(root, {}, image_id=number)
    tally = diagnose(root, workers=1).tally
    assert tally.counts["train", "no_items"] == 10
    names = [text.split("annos/")[1][:11] for text in tally.examples["train", "no_items"]]
    assert names == [f"{number:06d}.json" for number in range(10, 15)]


def test_one_percent_of_the_files_may_be_unusable(root: Path) -> None:
    folder = root / "train"
    for number in range(NUM_TRAIN + 1, 101):
        for path, suffix in ((folder / "annos", "json"), (folder / "image", "jpg")):
            os.link(path / f"000001.{suffix}", path / f"{number:06d}.{suffix}")
    annotation(root, 2).write_text("{")
    assert diagnose(root, workers=1).verdict == "warnings"
    image(root, 3).unlink()
    diagnosis = diagnose(root, workers=1)
    assert diagnosis.verdict == "unfit" and diagnosis.reasons == ["train: 2 of 100 files cannot be used"]


def test_items_that_cannot_be_converted_and_splits_without_items_are_unfit(root: Path) -> None:
    with_item(landmarks=[])(root)
    assert diagnose(root, workers=1).reasons == ["train: 1 of 8 items cannot be converted"]
    annotation(root, 1, "validation").write_text('{"source": "user"}')
    assert "validation: nothing that can be converted" in diagnose(root, workers=1).reasons
    image(root, 1, "test").unlink()
    assert "test: nothing that can be converted" in diagnose(root, workers=1).reasons


def test_notes_do_not_change_the_verdict(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_item(landmarks=[0] * 42)(root)
    information(root).unlink()
    monkeypatch.setattr(kps.data.doctor, "_compare_counts", lambda split, tally: None)
    diagnosis = diagnose(root, workers=1)
    assert diagnosis.tally.count("note") == 2 and diagnosis.verdict == "fit"


def test_decoding_finds_what_header_and_end_do_not_show(root: Path) -> None:
    content = image(root).read_bytes()
    image(root).write_bytes(content.replace(b"\xff\xdb", b"\xff\xfe"))  # its tables become comments
    assert found(diagnose(root, workers=1)) == {}
    assert found(diagnose(root, workers=1, decode=True)) == {("train", "image_undecodable"): 1}


def test_a_root_that_is_no_data_set(tmp_path: Path) -> None:
    diagnosis = diagnose(tmp_path)
    assert diagnosis.verdict == "unfit" and found(diagnosis) == {("", "nothing_found"): 1}
    for path in (tmp_path / "absent", annotation(tmp_path)):
        with pytest.raises(InputError, match="no such folder"):
            diagnose(path)


def test_links_in_a_loop_and_closed_folders_are_survived(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "loop").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "train" / "image" / "000009.jpg").symlink_to("000009.jpg")
    scandir = os.scandir

    def refuse(folder: Path):
        if Path(folder).name in ("annos", "json_for_test") and "validation" not in str(folder):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(kps.data.raw.os, "scandir", refuse)
    diagnosis = diagnose(root, workers=1)
    assert found(diagnosis)["", "folder_passed_over"] == 1
    assert found(diagnosis)["train", "folder_unreadable"] == 1
    assert found(diagnosis)["train", "image_unreadable"] == 1
    assert diagnosis.verdict == "unfit"


def test_the_released_figures_are_the_papers() -> None:
    train, validation = released("train"), released("validation")
    assert (train.num_images, sum(train.per_category)) == (191_961, train.num_items) == (191_961, 312_186)
    assert (validation.num_images, sum(validation.per_category)) == (32_153, 52_490)
    assert len(train.per_category) == len(validation.per_category) == NUM_CATEGORIES
    assert released("test").num_images == 62_629


def test_an_exif_turn_is_noted(root: Path) -> None:
    photo = image(root)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (3, 4)).save(photo, exif=exif)
    size, (finding,) = check_image(photo)
    assert size == (3, 4) and finding.code == "image_turned"
    photo.write_bytes(photo.read_bytes().replace(b"MM\x00*", b"MM\xff\xff", 1))  # a broken tag says nothing
    assert check_image(photo) == ((3, 4), [])


@pytest.mark.parametrize("kind", CATEGORIES, ids=lambda kind: kind.name)
def test_a_sound_item_has_no_finding_under_either_name(kind: Category) -> None:
    for name in (kind.name, kind.coco_name):
        item = make_item(kind.id, category_name=name, seed=kind.id)
        row = coco_annotation(item, annotation_id=0, image_id=0, where="")
        assert check_item(item, where="", size_wh=(468, 624)) == (row, [])


boxes = st.tuples(st.integers(0, 400), st.integers(0, 500), st.integers(2, 300), st.integers(2, 300))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)


@given(boxes, st.integers(0, 1000))
def test_a_right_box_is_never_taken_for_xywh(box: tuple[int, int, int, int], seed: int) -> None:
    x, y, width, height = box
    item = make_item(8, box=(x, y, x + width, y + height), seed=seed)
    assert not check_item(item, where="", size_wh=(x + width, y + height))[1]


@given(boxes, st.integers(0, 1000))
def test_a_box_read_as_xywh_that_shows_is_found(box: tuple[int, int, int, int], seed: int) -> None:
    x, y, width, height = box
    item = make_item(8, box=(x, y, x + width, y + height), seed=seed, bounding_box=list(box))
    codes = {finding.code for finding in check_item(item, where="", size_wh=(x + width, y + height))[1]}
    points = np.array(item["landmarks"]).reshape(-1, 3)[:, :2]
    margin = 0.05 * max(abs(width - x), abs(height - y))
    hidden = ((points >= [x - margin, y - margin]) & (points <= [width + margin, height + margin])).all(axis=1)
    assert ("box_looks_like_xywh" in codes) == (hidden.mean() <= 0.5)


@given(st.sampled_from(sorted(make_item())), json_values)
def test_whatever_a_field_holds_nothing_is_raised(name: str, value: Any) -> None:
    item = make_item() | {name: value}
    row, findings = check_item(item, where="", size_wh=(468, 624))
    assert {finding.code for finding in findings} <= set(KINDS)
    try:
        coco_annotation(item, annotation_id=0, image_id=0, where="")
    except InputError:
        assert row is None and [KINDS[finding.code].severity for finding in findings] == ["error"]
    else:
        assert row is not None


@given(st.lists(st.floats(allow_nan=True) | st.integers(-(10**400), 10**400), min_size=75, max_size=75))
def test_whatever_landmarks_are_nothing_is_raised(landmarks: list[float]) -> None:
    assert check_item(make_item(1, landmarks=landmarks), where="", size_wh=(468, 624))[1]


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The summary of a folder with a broken item."""
    root = tmp_path_factory.mktemp("df2")
    for number in range(1, 5):
        make_raw_folder(root, {"item1": make_item(3, seed=number)}, image_id=number)
    make_raw_folder(root, {"item1": make_item(8), "item2": make_item(8, landmarks=[1] * 9)}, image_id=5)
    make_raw_folder(root, {"item1": make_item(9, segmentation=[[1, 2, 3]])}, image_id=6)
    make_raw_folder(root / "deeper", split="test")
    (root / "keypoints_test_information.json").write_text('{"images": [{"id": 1, "file_name": "000001.jpg"}]}')
    return format_diagnosis(diagnose(root, workers=1))


@pytest.mark.parametrize(
    "words",
    [
        "train images ... 6 ... 191,961 ... train/image",
        "train annotations ... 6 ... 191,961 ... train/annos",
        "validation ... absent",
        "test images ... 1 ... 62,629 ... deeper/test/image",
        "keypoints_val_vis.json ... absent ... 32,153 ... rebuilt from the annotations",
        "keypoints_test_information.json ... 1 ... 62,629",
        " 3 short sleeve outwear ... 4 ... 543",
        "all that convert ... 6 ... 312,186",
        "refused ... 1",
        "error ... 1 ... train ... not the number of landmarks of the category (landmark_count)",
        "train/annos/000005.json, item2: expected 42 landmark numbers for a trousers, but got 9",
        "Verdict: unfit (",
        "expected validation/image and validation/annos in it, but found only test, train",
        "train: 1 of 7 items cannot be converted",
    ],
)
def test_the_summary_says(summary: str, words: str) -> None:
    assert max(map(len, summary.splitlines())) <= WIDTH
    text = summary if " ... " in words else " ".join(summary.split())  # of a row, or of a text that may be broken
    assert re.search(".*".join(map(re.escape, words.split(" ... "))), text)
