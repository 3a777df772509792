"""Predictions survive both file formats and refuse what is malformed."""

from pathlib import Path

import numpy as np
import pytest
from builders import iter_results, make_predictions

from kps.data.rows import CHUNK_BYTES
from kps.files import InputError, write_json
from kps.results import predictions as module
from kps.results.predictions import Predictions, load_results, top_rows


def test_npz_survives_the_round_trip(tmp_path: Path) -> None:
    predictions = make_predictions(8)
    predictions.save(tmp_path / "run.npz")
    loaded = Predictions.load(tmp_path / "run.npz")
    for name, value in vars(predictions).items():
        assert np.array_equal(getattr(loaded, name), value), name


def test_public_rows_survive_the_round_trip_to_a_hundredth_of_a_pixel(tmp_path: Path) -> None:
    predictions = make_predictions(30, seed=3)
    write_json(tmp_path / "results.json", list(iter_results(predictions)))
    loaded = load_results(tmp_path / "results.json")
    assert np.array_equal(loaded.category_id, predictions.category_id)
    assert np.array_equal(loaded.score, predictions.score)
    assert np.abs(loaded.keypoints[:, :, :2] - predictions.keypoints[:, :, :2]).max() <= 0.005 + 1e-9


def test_rows_read_at_once_are_those_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = tmp_path / "results.json", []
    write_json(path, list(iter_results(make_predictions(600, seed=4))))
    at_once = load_results(path)
    monkeypatch.setattr(module, "_read_row", lambda row, read=module._read_row: asked.append(0) or read(row))
    load_results(path)
    assert len(asked) < 10, "the last ones of a file, whose end is not known before"
    monkeypatch.setattr(module, "_read_at_once", lambda text: text.nothing)
    one_by_one = load_results(path)
    for name, value in vars(one_by_one).items():
        assert np.array_equal(getattr(at_once, name), value) and getattr(at_once, name).dtype == value.dtype, name


RIGHT = f'{{"image_id": 1, "category_id": 1, "score": 0.5, "keypoints": [{"7.5," * 75}{"0," * 806}0]}}'


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("[7.5", "[[7.5]", "keypoints as numbers"),
        ("[7.5", "[true", "keypoints as numbers"),
        ("[7.5", "[2e9", "keypoints within"),
        ("[7.5", "[1, 7.5", "keypoints of 882 numbers, but got 883"),
        ('id": 1, "s', 'id": 2, "s', "slots of a long sleeve top"),
        ('id": 1, "s', 'id": 14, "s', "14"),
        ('id": 1, "s', 'id": 1.0, "s', "1.0"),
        ('id": 1, "s', 'id": true, "s', "True"),
        ("0.5", "true", "a number as score"),
        ("0.5", "-2e9", "a score within"),
        ("0]}", '0], "score": true}', "a number as score"),
        ('"score": 0.5,', "", "a field 'score'"),
        ('"image_id": 1', '"image_id": 99999999999999999999', "image_id"),
    ],
)
def test_of_rows_read_at_once_the_wrong_one_is_named(tmp_path: Path, right: str, wrong: str, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(f"[{RIGHT}, {RIGHT}, {RIGHT.replace(right, wrong, 1)}, {RIGHT}, {RIGHT}]")
    with pytest.raises(InputError, match=f"results.json: row 2: .*{message}"):
        load_results(path)


def test_after_rows_read_at_once_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(f"[{', '.join([RIGHT] * 900)}, {RIGHT.replace('0.5', 'true')}, {RIGHT}]")
    assert path.stat().st_size > CHUNK_BYTES, "or nothing is read at once before the wrong row"
    with pytest.raises(InputError, match="row 900: expected a number as score"):
        load_results(path)


def test_rows_with_more_fields_and_rows_of_no_place_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(f'[{RIGHT}, {RIGHT[:-1]}, "segmentation": [[1]]}}, {RIGHT.replace("7.5", "0")}, {RIGHT}]')
    assert load_results(path).keypoints[:, 0, 0].tolist() == [7.5, 7.5, 0, 7.5]


def test_a_pickle_inside_an_archive_is_refused(tmp_path: Path) -> None:
    values = {**vars(make_predictions(2)), "score": np.array([{"a": 1}, None], dtype=object)}
    np.savez(tmp_path / "bad.npz", **values)
    with pytest.raises(InputError, match="expected predictions"):
        Predictions.load(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": np.ones(4)}, "score of shape"),
        ({"category_id": np.full(5, 14)}, "category ids from 1 to 13"),
        ({"bbox_score": np.full(5, np.nan)}, "finite numbers in bbox_score"),
        ({"bbox_xywh": np.full((5, 4), 1e10)}, "finite numbers in bbox_xywh"),
        ({"image_id": np.full(5, -1)}, "image ids from 0"),
        ({"image_id": np.ones(5)}, "image_id as int64, but got float64"),
        ({"score": np.array(["1"] * 5)}, "score as float64, but got <U1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    make_predictions(5, **changes).save(tmp_path / "bad.npz")
    with pytest.raises(InputError, match=message):
        Predictions.load(tmp_path / "bad.npz")


def test_other_number_types_are_converted(tmp_path: Path) -> None:
    kinds = {"image_id": np.uint16, "category_id": np.int8, "score": np.float32, "bbox_xywh": np.int64}
    values = vars(make_predictions(4))
    make_predictions(4, **{name: values[name].astype(kind) for name, kind in kinds.items()}).save(tmp_path / "a.npz")
    loaded = Predictions.load(tmp_path / "a.npz")
    for name, kind in kinds.items():
        assert getattr(loaded, name).dtype in (np.int64, np.float64)
        assert np.array_equal(getattr(loaded, name), values[name].astype(kind)), name


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", keypoints=np.zeros(10**7))
    with pytest.raises(InputError, match="claims 80000128 bytes"):
        Predictions.load(tmp_path / "bomb.npz")


def test_something_else_than_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"bad\.npz"):
        Predictions.load(tmp_path / "bad.npz")


def test_top_rows_are_the_best_of_each_image_and_category_in_order() -> None:
    count = 50
    predictions = make_predictions(count, image_id=np.repeat([1, 2], 25), category_id=np.tile([3], count))
    kept = predictions.take(top_rows(predictions, 20))
    assert len(kept) == 40
    assert (np.diff(kept.detection_id) > 0).all()
    for image in (1, 2):
        scores = np.sort(predictions.score[predictions.image_id == image])[-20:]
        assert np.array_equal(np.sort(kept.score[kept.image_id == image]), scores)


ROW = next(iter(iter_results(make_predictions(1))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": [0] * 881}, "row 1: expected keypoints of 882 numbers, but got 881"),
        ({"keypoints": [None] * 882}, "row 1: expected keypoints as numbers"),
        ({"score": "0.5"}, "row 1: expected a number as score"),
        ({"score": True}, "row 1: expected a number as score"),
        ({"image_id": 1.5}, "row 1: expected a whole number as image_id"),
        ({"image_id": -1}, "row 1: expected an image_id of at least 0"),
        ({"keypoints": [1e10] * 882}, "row 1: expected keypoints within"),
        ({"category_id": 77}, "row 1: expected a category id"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    write_json(tmp_path / "results.json", [ROW, {**ROW, **changes}])
    with pytest.raises(InputError, match=message):
        load_results(tmp_path / "results.json")


def test_an_empty_result_list_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", [])
    with pytest.raises(InputError, match="the list is empty"):
        load_results(tmp_path / "results.json")
