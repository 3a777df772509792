"""Bad input gives one clear line that names file and item, exit code 1, and no half-written output."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders import make_coco, make_item, make_predictions, make_raw_folder

from kps.cli import main
from kps.files import write_json
from kps.predictions import iter_results

Command = list[str | Path]
UNTOUCHED = "what an earlier run wrote"


def make_results(folder: Path, rows: object = None) -> Path:
    write_json(folder / "results.json", list(iter_results(make_predictions(3))) if rows is None else rows)
    return folder / "results.json"


def make_zip(folder: Path, text: str, name: str = "results.json") -> Path:
    with zipfile.ZipFile(folder / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return folder / "s.zip"


def convert(root: Path, folder: Path, split: str = "train") -> Command:
    return ["convert", root, "--split", split, "--out", folder / "out"]


def root_without_annos(folder: Path) -> Command:
    (folder / "raw" / "photos").mkdir(parents=True)
    return convert(folder / "raw", folder)


def split_without_annos(folder: Path) -> Command:
    (folder / "raw" / "train" / "image").mkdir(parents=True)
    return convert(folder / "raw", folder)


def absent_split(folder: Path) -> Command:
    make_raw_folder(folder / "raw")
    return convert(folder / "raw", folder, "validation")


def empty_annos(folder: Path) -> Command:
    make_raw_folder(folder / "raw").unlink()
    return convert(folder / "raw", folder)


def broken_json(folder: Path) -> Command:
    make_raw_folder(folder / "raw", image_id=1)
    make_raw_folder(folder / "raw", image_id=2).write_text('{"item1": {"category_id"')
    return convert(folder / "raw", folder)


def not_utf8(folder: Path) -> Command:
    make_raw_folder(folder / "raw").write_bytes(b'{"source": "\xff"}')
    return convert(folder / "raw", folder)


def wrong_landmark_count(folder: Path) -> Command:
    items = {"item1": make_item(1), "item2": make_item(8, landmarks=[1, 2, 2] * 25)}
    make_raw_folder(folder / "raw", items, image_id=3)
    return convert(folder / "raw", folder)


def unknown_category(folder: Path) -> Command:
    make_raw_folder(folder / "raw", {"item1": {**make_item(1), "category_id": 99}}, image_id=3)
    return convert(folder / "raw", folder)


def undecodable_image(folder: Path) -> Command:
    make_raw_folder(folder / "raw", image_id=4)
    (folder / "raw" / "train" / "image" / "000004.jpg").write_bytes(b"<html>404</html>")
    return convert(folder / "raw", folder)


def missing_image(folder: Path) -> Command:
    make_raw_folder(folder / "raw", image_id=4)
    make_raw_folder(folder / "raw", image_id=5)
    (folder / "raw" / "train" / "image" / "000004.jpg").unlink()
    return convert(folder / "raw", folder)


def huge_number(folder: Path) -> Command:
    path = make_raw_folder(folder / "raw", image_id=6)
    path.write_text(path.read_text().replace('"scale": 2', '"scale": 1e999'))
    return convert(folder / "raw", folder)


def submit(results: Path, folder: Path, *more: str | Path) -> Command:
    return ["submit", results, "--out", folder / "out", *more]


def empty_results(folder: Path) -> Command:
    return submit(make_results(folder, []), folder)


def results_are_no_list(folder: Path) -> Command:
    return submit(make_results(folder, {"results": []}), folder)


def results_of_wrong_length(folder: Path) -> Command:
    rows = list(iter_results(make_predictions(3)))
    rows[2]["keypoints"].pop()
    return submit(make_results(folder, rows), folder)


def results_with_nan(folder: Path) -> Command:
    rows = list(iter_results(make_predictions(3)))
    rows[1]["score"] = float("nan")
    (folder / "results.json").write_text(json.dumps(rows))
    return submit(folder / "results.json", folder)


def results_on_unknown_image(folder: Path) -> Command:
    write_json(folder / "information.json", {"images": [{"id": 1}, {"id": 2}]})
    return submit(make_results(folder), folder, "--images", folder / "information.json")


def folder_in_zip_name(folder: Path) -> Command:
    return submit(make_results(folder), folder, "--name", "folder/results.json")


def predictions_that_are_no_archive(folder: Path) -> Command:
    (folder / "run.npz").write_text("no archive")
    return submit(folder / "run.npz", folder)


def predictions_with_nan(folder: Path) -> Command:
    make_predictions(3, score=np.array([0.5, np.nan, 0.5])).save(folder / "run.npz")
    return submit(folder / "run.npz", folder)


def bare_json_as_zip(folder: Path) -> Command:
    return ["validate", make_results(folder)]


def zip_with_folder(folder: Path) -> Command:
    return ["validate", make_zip(folder, "[]", "folder/results.json")]


def zip_with_empty_list(folder: Path) -> Command:
    return ["validate", make_zip(folder, "[]")]


def zip_with_bad_row(folder: Path) -> Command:
    rows = list(iter_results(make_predictions(3)))
    rows[1]["category_id"] = 14
    return ["validate", make_zip(folder, json.dumps(rows))]


def evaluate(truth: Path, results: Path, folder: Path) -> Command:
    return ["evaluate", truth, results, "--json", folder / "out"]


def empty_results_to_evaluate(folder: Path) -> Command:
    return evaluate(make_coco(folder).path, make_results(folder, []), folder)


def results_on_photos_without_truth(folder: Path) -> Command:
    return evaluate(make_coco(folder, (1, 2)).path, make_results(folder), folder)


def broken_boxes(folder: Path) -> Command:
    rows = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3], "score": 0.5}]
    return evaluate(make_coco(folder).path, make_results(folder, rows), folder)


def truth_of_the_wrong_length(folder: Path) -> Command:
    path = make_coco(folder).path
    value = json.loads(path.read_text())
    value["annotations"][4]["keypoints"].append(0)
    path.write_text(json.dumps(value))
    return evaluate(path, make_results(folder), folder)


def absent_truth(folder: Path) -> Command:
    return evaluate(folder / "absent.json", make_results(folder), folder)


def unknown_notebook_parameter(folder: Path) -> Command:
    from small_notebooks import write_notebooks

    write_notebooks(folder / "notebooks")
    return [
        *("notebook", "06_finetune_category", "-p", "categry_id", "3"),
        *("--workspace", folder / "out", "--notebooks", folder / "notebooks"),
    ]


CASES: list[tuple[Callable[[Path], Command], list[str]]] = [
    (root_without_annos, ["raw: expected train/image and train/annos", "photos"]),
    (split_without_annos, ["expected annotations in", "train/annos"]),
    (absent_split, ["expected validation/image and validation/annos", "found only train"]),
    (empty_annos, ["train/annos", "000001.json"]),
    (broken_json, ["000002.json: expected JSON"]),
    (not_utf8, ["000001.json: expected JSON", "UTF-8"]),
    (wrong_landmark_count, ["000003.json, item2", "42 landmark numbers", "75"]),
    (unknown_category, ["000003.json, item1", "category id from 1 to 13", "99"]),
    (undecodable_image, ["000004.jpg", "cannot be decoded"]),
    (missing_image, ["000004.json", "000004.jpg"]),
    (huge_number, ["000006.json", "expected JSON"]),
    (empty_results, ["results.json", "at least one result", "empty"]),
    (results_are_no_list, ["results.json", "expected a list", "dict"]),
    (results_of_wrong_length, ["results.json: row 2", "882", "881"]),
    (results_with_nan, ["results.json: expected JSON"]),
    (results_on_unknown_image, ["results.json: row 2", "image id 3", "information.json"]),
    (folder_in_zip_name, ["without folders", "folder/results.json"]),
    (predictions_that_are_no_archive, ["run.npz: expected predictions"]),
    (predictions_with_nan, ["run.npz: expected finite numbers in score"]),
    (bare_json_as_zip, ["results.json: expected a zip"]),
    (zip_with_folder, ["s.zip", "without folders", "folder/results.json"]),
    (zip_with_empty_list, ["s.zip: results.json: expected at least one row", "empty"]),
    (zip_with_bad_row, ["s.zip: results.json: row 1", "category id from 1 to 13", "14"]),
    (empty_results_to_evaluate, ["results.json", "at least one result", "empty"]),
    (results_on_photos_without_truth, ["coco.json", "row 2", "image id 3"]),
    (broken_boxes, ["results.json: row 0", "bbox of 4 numbers"]),
    (truth_of_the_wrong_length, ["coco.json: annotation 4", "882", "883"]),
    (absent_truth, ["absent.json: no such file"]),
    (unknown_notebook_parameter, ["06_finetune_category", "no parameter 'categry_id'", "category_id: int"]),
]


@pytest.mark.parametrize(("make", "expected"), CASES, ids=[make.__name__ for make, _ in CASES])
def test_bad_input_gets_one_clear_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], make: Callable[[Path], Command], expected: list[str]
) -> None:
    command = [str(word) for word in make(tmp_path)]
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    code = main(command)
    out, err = capfd.readouterr()
    assert code == 1
    assert out == ""
    last = err.splitlines()[-1]  # a progress bar may stand before it, never on its line
    assert last.startswith("kps: ") and err.endswith("\n") and "Traceback" not in err
    for part in expected:
        assert part in last
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "make",
    [broken_json, wrong_landmark_count, undecodable_image, empty_results, results_on_photos_without_truth],
)
def test_a_failed_command_leaves_what_was_there(tmp_path: Path, make: Callable[[Path], Command]) -> None:
    command = [str(word) for word in make(tmp_path)]
    (tmp_path / "out").write_text(UNTOUCHED)
    assert main(command) == 1
    assert (tmp_path / "out").read_text() == UNTOUCHED
