"""Result lists read by megabytes, and the best rows. Round trips are in test_round_trips, broken files in broken_*."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import iter_results, make_predictions

from kps.data.rows import CHUNK_BYTES
from kps.files import InputError
from kps.results import predictions as module
from kps.results.predictions import Predictions, load_results, top_rows


@pytest.mark.parametrize("number", [int, float])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_rows_read_at_once_are_those_read_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, separators: tuple[str, str], number: type
) -> None:
    path, asked = tmp_path / "results.json", []
    rows = [
        {**row, "keypoints": [value or number(0) for value in row["keypoints"]]}
        for row in iter_results(make_predictions(600, seed=4))
    ]
    path.write_text(json.dumps(rows, separators=separators))
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
        ("[7.5", "[1, 7.5", "keypoints of 882 numbers, but got 883"),
        ('id": 1, "s', 'id": 2, "s', "slots of a long sleeve top"),
        ('id": 1, "s', 'id": 1.0, "s', "1.0"),
        ('id": 1, "s', 'id": true, "s', "True"),
        ('id": 1, "s', 'id": 0, "s', "a category id from 1 to 13, but got 0"),
        ("0]}", '0], "score": true}', "a number as score"),
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


def test_rows_with_more_fields_and_rows_of_no_place_are_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(f'[{RIGHT}, {RIGHT[:-1]}, "segmentation": [[1]]}}, {RIGHT.replace("7.5", "0")}, {RIGHT}]')
    assert load_results(path).keypoints[:, 0, 0].tolist() == [7.5, 7.5, 0, 7.5]


def test_other_number_types_are_converted(tmp_path: Path) -> None:
    kinds = {"image_id": np.uint16, "category_id": np.int8, "score": np.float32, "bbox_xywh": np.int64}
    values = vars(make_predictions(4))
    make_predictions(4, **{name: values[name].astype(kind) for name, kind in kinds.items()}).save(tmp_path / "a.npz")
    loaded = Predictions.load(tmp_path / "a.npz")
    for name, kind in kinds.items():
        assert getattr(loaded, name).dtype in (np.int64, np.float64)
        assert np.array_equal(getattr(loaded, name), values[name].astype(kind)), name


def test_top_rows_are_the_best_of_each_image_and_category_in_order() -> None:
    count = 50
    predictions = make_predictions(count, image_id=np.repeat([1, 2], 25), category_id=np.tile([3], count))
    kept = predictions.take(top_rows(predictions))
    assert len(kept) == 40
    assert (np.diff(kept.detection_id) > 0).all()
    for image in (1, 2):
        scores = np.sort(predictions.score[predictions.image_id == image])[-20:]
        assert np.array_equal(np.sort(kept.score[kept.image_id == image]), scores)
