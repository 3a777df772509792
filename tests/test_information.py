"""kps.data.information: what our converter makes of a raw folder is held against an official file."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import make_item, make_raw_folder

from kps.data.coco import ATTRIBUTES
from kps.data.convert import convert_split
from kps.data.information import compare_with_information, read_images, read_information
from kps.files import InputError, read_json, write_json

Content = dict[str, Any]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our conversion of three photos; on the first are two garments of one category."""
    root = tmp_path_factory.mktemp("raw")
    items = {"item1": make_item(1), "item2": make_item(1, box=(5, 5, 60, 90), seed=1), "item3": make_item(8)}
    make_raw_folder(root, items, split="validation", image_id=1)
    for number in (2, 3):
        make_raw_folder(root, {"item1": make_item(5, seed=number)}, split="validation", image_id=number)
    convert_split(root, "validation", root / "ours.json")
    return root / "ours.json"


def official_content(ours: Path) -> Content:
    """The same as the official converter would write it: no attributes, floats, other ids and order."""
    content = read_json(ours)
    rows = [
        {key: value for key, value in row.items() if key not in ATTRIBUTES} | {"id": 100 - row["id"]}
        for row in reversed(content["annotations"])
    ]
    for row in rows:
        row["bbox"] = [float(value) for value in row["bbox"]]
        row["keypoints"] = [float(value) for value in row["keypoints"]]
    images = [row | {"license": 1, "coco_url": ""} for row in content["images"]]
    return {"info": {}, "images": images, "annotations": rows}


def compare(ours: Path, content: Content, folder: Path):
    write_json(folder / "theirs.json", content)
    return compare_with_information(ours, folder / "theirs.json")


def test_our_conversion_agrees_with_the_official_form(ours: Path, tmp_path: Path) -> None:
    comparison = compare(ours, official_content(ours), tmp_path)
    assert comparison.agrees and not comparison.examples
    assert (comparison.num_images_in_both, comparison.num_annotations_matched) == (3, 5)
    assert comparison.lines() == ["3 images in both", "5 annotations matched", "they agree"]


def test_without_annotations_only_images_are_compared(ours: Path, tmp_path: Path) -> None:
    content = official_content(ours)
    del content["annotations"]
    comparison = compare(ours, content, tmp_path)
    assert comparison.agrees and "only images were compared" in comparison.lines()[1]
    content["images"].pop()
    assert not compare(ours, content, tmp_path).agrees


def first_of(content: Content, category_id: int) -> dict[str, Any]:
    return next(row for row in content["annotations"] if row["category_id"] == category_id)


def drop_image(content: Content) -> None:
    content["images"] = [row for row in content["images"] if row["id"] != 3]
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] != 3]


def add_image(content: Content) -> None:
    content["images"].append(content["images"][0] | {"id": 9, "file_name": "000009.jpg"})


def resize_image(content: Content) -> None:
    content["images"][0]["width"] += 1


def drop_annotation(content: Content) -> None:
    content["annotations"].remove(first_of(content, 8))


def add_annotation(content: Content) -> None:
    content["annotations"].append(copy.deepcopy(first_of(content, 8)) | {"id": 7})


def move_box(content: Content) -> None:
    first_of(content, 8)["bbox"][0] += 1


def change_area(content: Content) -> None:
    first_of(content, 8)["area"] /= 2


def move_landmark(content: Content) -> None:
    keypoints = first_of(content, 8)["keypoints"]
    place = next(place for place in range(0, 882, 3) if keypoints[place + 2])
    keypoints[place] += 3
    keypoints[place + 1] -= 4


def change_visibility(content: Content) -> None:
    keypoints = first_of(content, 8)["keypoints"]
    place = next(place for place in range(2, 882, 3) if keypoints[place])
    keypoints[place] = 3 - keypoints[place]


def change_num_keypoints(content: Content) -> None:
    first_of(content, 8)["num_keypoints"] -= 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop_image, {"num_images_only_ours": 1, "num_annotations_only_ours": 1}),
        (add_image, {"num_images_only_theirs": 1}),
        (resize_image, {"num_image_sizes_differing": 1}),
        (drop_annotation, {"num_annotations_only_ours": 1}),
        (add_annotation, {"num_annotations_only_theirs": 1}),
        (move_box, {"num_boxes_differing": 1}),
        (change_area, {"num_areas_differing": 1}),
        (move_landmark, {"num_landmarks_differing": 1}),
        (change_visibility, {"num_landmarks_differing": 1}),
        (change_num_keypoints, {"num_keypoints_differing": 1}),
    ],
)
def test_a_difference_is_counted_where_it_is(
    ours: Path, tmp_path: Path, change: Callable[[Content], None], expected: dict[str, int]
) -> None:
    content = official_content(ours)
    change(content)
    comparison = compare(ours, content, tmp_path)
    counts = {
        name: value
        for name, value in vars(comparison).items()
        if name.startswith("num_") and not name.endswith(("_both", "_matched"))
    }
    assert {name: value for name, value in counts.items() if value} == expected
    assert not comparison.agrees and comparison.lines()[-1] == "they differ"
    assert comparison.examples and comparison.examples[0].startswith("for example, image")
    assert comparison.max_landmark_difference_px == (5 if change is move_landmark else 0)


def test_garments_of_one_category_are_matched_by_their_boxes(ours: Path, tmp_path: Path) -> None:
    content = official_content(ours)
    small = min((row for row in content["annotations"] if row["category_id"] == 1), key=lambda row: row["area"])
    small["bbox"][0] += 2
    comparison = compare(ours, content, tmp_path)
    assert comparison.num_boxes_differing == 1 and not comparison.num_landmarks_differing
    assert comparison.num_annotations_matched == 5


def test_image_rows_are_read_without_folders_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "information.json"
    rows = [{"id": 1, "file_name": "a/b/000001.jpg"}, {"id": 2, "file_name": "2.jpg", "width": 3, "height": 4}]
    path.write_text(json.dumps({"annotations": [{"num_keypoints": 3}, {}], "images": rows}))
    assert [tuple(row) for row in read_images(path)] == [(1, "000001.jpg", None), (2, "2.jpg", (3, 4))]
    assert read_information(path).num_keypoints == [3, None]
    path.write_text(json.dumps({"images": [rows[0], rows[0]]}))
    assert len(read_information(path).images) == 2
    with pytest.raises(InputError, match="each image id once"):
        read_images(path)
    for text in ("[]", '{"images": {}}', '{"images": []}', '{"images": [{"id": true}]}', '{"images": [{"id": 1'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"information\.json"):
            read_information(path)
