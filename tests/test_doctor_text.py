"""kps.data.doctor: the summary names what was found, aligned and within its width."""

import json
from pathlib import Path

import pytest
from builders import make_item, make_raw_folder

from kps.data.doctor import WIDTH, diagnose, format_diagnosis


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The summary of a folder with a broken item and some garments of the disputed category."""
    root = tmp_path_factory.mktemp("df2")
    for number in range(1, 5):
        make_raw_folder(root, {"item1": make_item(3, seed=number)}, image_id=number)
    make_raw_folder(root, {"item1": make_item(8), "item2": make_item(8, landmarks=[1] * 9)}, image_id=5)
    make_raw_folder(root, {"item1": make_item(9, segmentation=[[1, 2, 3]])}, image_id=6)
    make_raw_folder(root / "deeper", split="test")
    (root / "keypoints_test_information.json").write_text(
        json.dumps({"images": [{"id": 1, "file_name": "000001.jpg"}]})
    )
    return format_diagnosis(diagnose(root, workers=1))


def test_every_line_is_within_the_width(summary: str) -> None:
    assert max(map(len, summary.splitlines())) <= WIDTH
    assert all(line == line.rstrip() for line in summary.splitlines())


@pytest.mark.parametrize(
    "words",
    [
        ("train images", "6", "191,961", "train/image"),
        ("train annotations", "6", "191,961", "train/annos"),
        ("validation", "absent"),
        ("test images", "1", "62,629", "deeper/test/image"),
        ("keypoints_val_vis.json", "absent", "32,153", "rebuilt from the annotations"),
        ("keypoints_test_information.json", "1", "62,629", "."),
        (" 3 short sleeve outwear", "4", "543"),
        ("all that convert", "6", "312,186"),
        ("refused", "1"),
        ("error", "1", "train", "not the number of landmarks of the category (landmark_count)"),
        ("train/annos/000005.json, item2: expected 42 landmark numbers for a trousers, but got 9",),
        ("Undecided: do landmarks 2 and 6 (sigmas) or 2 and 26 (figure) mirror each other?",),
        ("Verdict: unfit (",),
        ("expected validation/image and validation/annos in it, but found only test, train",),
        ("train: 1 of 7 items cannot be converted",),
    ],
)
def test_the_summary_says(summary: str, words: tuple[str, ...]) -> None:
    def holds(line: str) -> bool:
        place = 0
        for word in words:
            place = line.find(word, place) + len(word)
            if place < len(word):
                return False
        return True

    whole = [*summary.splitlines(), " ".join(summary.split())]
    assert any(holds(line) for line in whole)


def test_columns_are_aligned(summary: str) -> None:
    lines = summary.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Items"))
    ends = {len(line.rstrip()) for line in lines[start : start + 15]}
    assert len(ends) == 1


def test_a_folder_without_anything_has_a_summary_too(tmp_path: Path) -> None:
    text = format_diagnosis(diagnose(tmp_path))
    assert "no split of DeepFashion2 was found" in text and "Verdict: unfit" in text
