"""kps.data.checks: each defect of an item gets its code and no other; sound items get none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import make_item
from hypothesis import given
from hypothesis import strategies as st

from kps.data.checks import KINDS, check_annotation, check_item
from kps.data.coco import coco_annotation
from kps.data.raw import RawAnnotation
from kps.files import InputError
from kps.schema import CATEGORIES, category

SIZE = (468, 624)
BOX = [100, 50, 300, 350]
INSIDE = [150, 120, 2]
REFUSED = {"category_unknown", "landmark_count", "visibility", "item_malformed", "box_inverted"}


def landmarks_with(first: list[float], count: int = 25) -> list[float]:
    return [*first, *INSIDE * (count - 1)]


DEFECTS: list[tuple[str, dict[str, Any]]] = [
    ("category_unknown", {"category_id": 14}),
    ("category_unknown", {"category_id": "1"}),
    ("landmark_count", {"landmarks": [1, 2, 2] * 24}),
    ("visibility", {"landmarks": landmarks_with([150, 120, 3])}),
    ("number_huge", {"landmarks": landmarks_with([1e300, 120, 2])}),
    ("number_huge", {"landmarks": landmarks_with([2e5, 120, 2])}),
    ("number_huge", {"bounding_box": [-1e308, 0, 1e308, 5]}),
    ("item_malformed", {"landmarks": "none"}),
    ("item_malformed", {"bounding_box": [1, 2, 3]}),
    ("item_malformed", {"bounding_box": None}),
    ("item_malformed", {"scale": [2]}),
    ("box_inverted", {"bounding_box": [300, 50, 100, 350]}),
    ("box_inverted", {"bounding_box": [100, 350, 300, 50]}),
    ("box_empty", {"bounding_box": [150, 50, 150, 350]}),
    ("box_looks_like_xywh", {"bounding_box": [100, 50, 200, 300], "landmarks": [280, 330, 2] * 25}),
    ("box_looks_like_xywh", {"bounding_box": [250, 300, 200, 300], "landmarks": [350, 420, 1] * 25}),
    ("box_outside_image", {"bounding_box": [500, 50, 600, 350], "landmarks": [0] * 75}),
    ("box_beyond_image", {"bounding_box": [100, 50, 300, 650]}),
    ("landmark_far_from_box", {"landmarks": landmarks_with([460, 600, 2])}),
    ("landmark_outside_image", {"bounding_box": [100, 50, 468, 350], "landmarks": landmarks_with([480, 99, 1])}),
    ("no_landmarks", {"landmarks": [0] * 75}),
    ("polygon_absent", {"segmentation": []}),
    ("polygon_absent", {"segmentation": None}),
    ("polygon_malformed", {"segmentation": [[[1, 2], [3, 4], [5, 6]]]}),
    ("polygon_malformed", {"segmentation": [1, 2, 3, 4, 5, 6]}),
    ("polygon_odd_length", {"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}),
    ("polygon_short", {"segmentation": [[1, 2, 3, 4]]}),
    ("attribute_out_of_range", {"scale": 0}),
    ("attribute_out_of_range", {"viewpoint": 4}),
    ("category_name_differs", {"category_name": "trousers"}),
]


@pytest.mark.parametrize(("code", "changes"), DEFECTS)
def test_each_defect_has_its_code_and_no_other(code: str, changes: dict[str, Any]) -> None:
    item = make_item(1, box=tuple(BOX)) | changes
    expected = {code, "no_landmarks"} if item["landmarks"] == [0] * 75 else {code}
    row, findings = check_item(item, where="000001.json, item2", size_wh=SIZE)
    assert {finding.code for finding in findings} == expected
    assert all(finding.text.startswith("000001.json, item2: ") for finding in findings)
    assert (row is None) >= (code in REFUSED)


@pytest.mark.parametrize("category_id", [item.id for item in CATEGORIES])
def test_a_sound_item_has_no_finding_under_either_name(category_id: int) -> None:
    names = category(category_id).name, category(category_id).coco_name
    for name in names:
        item = make_item(category_id, category_name=name, seed=category_id)
        row, findings = check_item(item, where="", size_wh=SIZE)
        assert not findings
        assert row == coco_annotation(item, annotation_id=0, image_id=0, where="")


boxes = st.tuples(st.integers(0, 400), st.integers(0, 500), st.integers(2, 300), st.integers(2, 300))


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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)


@given(st.sampled_from(sorted(make_item())), json_values)
def test_whatever_a_field_holds_nothing_is_raised(name: str, value: Any) -> None:
    item = make_item() | {name: value}
    row, findings = check_item(item, where="", size_wh=SIZE)
    assert {finding.code for finding in findings} <= set(KINDS)
    try:
        coco_annotation(item, annotation_id=0, image_id=0, where="")
    except InputError:
        assert row is None and [finding.severity for finding in findings] == ["error"]
    else:
        assert row is not None


@given(st.lists(st.floats(allow_nan=True) | st.integers(-(10**400), 10**400), min_size=75, max_size=75))
def test_whatever_landmarks_are_nothing_is_raised(landmarks: list[float]) -> None:
    assert check_item(make_item(1, landmarks=landmarks), where="", size_wh=SIZE)[1]


def test_what_a_file_says_of_the_photo() -> None:
    def codes(source: str, items: tuple) -> list[str]:
        annotation = RawAnnotation(Path("000001.json"), 1, source, 1, items)
        return [finding.code for finding in check_annotation(annotation)]

    assert codes("shop", (("item1", {}),)) == []
    assert codes("street", ()) == ["no_items", "source_unknown"]
