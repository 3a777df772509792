"""Predictions survive the zip, and a zip that the scorer would refuse is refused with its row."""

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import iter_results, make_predictions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kps.results.submission
from kps.files import InputError, write_json
from kps.results.predictions import load_results
from kps.results.submission import NAME_IN_ZIP, validate_submission, write_submission
from kps.schema import category


def unpack(path: Path) -> list[dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(archive.namelist()[0]))


def pack(path: Path, rows: Any, *, name: str = NAME_IN_ZIP) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, rows if isinstance(rows, bytes) else json.dumps(rows))
    return path


def make_rows(count: int = 3) -> list[dict[str, Any]]:
    return list(iter_results(make_predictions(count)))


def make_information(folder: Path, ids: list[int]) -> Path:
    write_json(folder / "information.json", {"images": [{"id": number} for number in ids]})
    return folder / "information.json"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.integers(0, 10**6), st.sampled_from([1, 1e4, 1e6]))
def test_predictions_survive_the_zip(tmp_path: Path, count: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    predictions = make_predictions(count, seed=seed, image_id=rng.permutation(1000)[:count])
    predictions = replace(predictions, keypoints=predictions.keypoints * [scale, -scale, 1])
    assert write_submission(predictions, tmp_path / "s.zip") == count
    summary = validate_submission(tmp_path / "s.zip")
    assert summary.num_rows == summary.num_images == count and summary.warnings == []
    write_json(tmp_path / "results.json", unpack(tmp_path / "s.zip"))
    loaded = load_results(tmp_path / "results.json")
    expected = predictions.take(np.argsort(predictions.image_id))
    assert np.array_equal(loaded.image_id, expected.image_id)
    assert np.array_equal(loaded.category_id, expected.category_id)
    assert np.array_equal(loaded.score, expected.score)
    error = np.abs(loaded.keypoints[:, :, :2] - expected.keypoints[:, :, :2]).max()
    assert error <= 0.005 + 1e-6 * scale


def test_rows_are_those_of_the_public_format(tmp_path: Path) -> None:
    predictions = make_predictions(13, category_id=np.arange(1, 14))
    write_submission(predictions, tmp_path / "s.zip")
    rows = unpack(tmp_path / "s.zip")
    assert rows == list(iter_results(predictions))
    for row in rows:
        start = 3 * category(row["category_id"]).first_index
        stop = start + 3 * category(row["category_id"]).num_landmarks
        foreign = row["keypoints"][:start] + row["keypoints"][stop:]
        assert len(row["keypoints"]) == 882
        assert all(type(value) is int and value == 0 for value in foreign)
        assert set(row["keypoints"][start + 2 : stop : 3]) == {1}


def test_the_zip_holds_one_json_at_its_root_and_is_reproducible(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        write_submission(make_predictions(5), tmp_path / name, name_in_zip="mine.json")
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == ["mine.json"]
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "b.zip"]


def test_only_the_twenty_best_of_an_image_and_category_are_written(tmp_path: Path) -> None:
    same = np.full(30, 4)
    predictions = make_predictions(30, image_id=same, category_id=same)
    assert write_submission(predictions, tmp_path / "s.zip") == 20
    scores = [row["score"] for row in unpack(tmp_path / "s.zip")]
    assert sorted(scores) == sorted(predictions.score)[10:]


def test_rows_are_ordered_by_image(tmp_path: Path) -> None:
    write_submission(make_predictions(4, image_id=np.array([9, 2, 9, 1])), tmp_path / "s.zip")
    assert [row["image_id"] for row in unpack(tmp_path / "s.zip")] == [1, 2, 9, 9]


def test_chunks_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kps.results.submission, "CHUNK_ROWS", 3)
    write_submission(make_predictions(10), tmp_path / "s.zip")
    assert validate_submission(tmp_path / "s.zip").num_rows == 10


def test_files_of_predictions_are_taken_too(tmp_path: Path) -> None:
    predictions = make_predictions(6)
    predictions.save(tmp_path / "run.npz")
    write_json(tmp_path / "results.json", list(iter_results(predictions)))
    write_submission(tmp_path / "run.npz", tmp_path / "a.zip")
    write_submission(tmp_path / "results.json", tmp_path / "b.zip")
    assert unpack(tmp_path / "a.zip") == unpack(tmp_path / "b.zip")


def test_what_cannot_be_submitted_leaves_no_file(tmp_path: Path) -> None:
    out = tmp_path / "out" / "s.zip"
    bad = make_predictions(3)
    bad.keypoints[1, 0, 0] = np.nan
    with pytest.raises(InputError, match="at least one prediction"):
        write_submission(make_predictions(0), out)
    with pytest.raises(InputError, match="finite numbers in keypoints"):
        write_submission(bad, out)
    with pytest.raises(InputError, match="row 2: image id 3 is not in"):
        write_submission(make_predictions(3), out, images=make_information(tmp_path, [1, 2]))
    for name in ("folder/a.json", "a.txt", "..\\a.json"):
        with pytest.raises(InputError, match="without folders"):
            write_submission(make_predictions(3), out, name_in_zip=name)
    assert not out.exists() and (not out.parent.exists() or not os.listdir(out.parent))


def test_a_summary_counts(tmp_path: Path) -> None:
    predictions = make_predictions(
        4, image_id=np.array([1, 1, 2, 3]), category_id=np.array([1, 8, 8, 13]), score=np.array([0.5, 0.25, 1, 0])
    )
    write_submission(predictions, tmp_path / "s.zip")
    summary = validate_submission(tmp_path / "s.zip", images=make_information(tmp_path, [1, 2, 3, 4]))
    assert (summary.num_rows, summary.num_images, summary.score_range) == (4, 3, (0, 1))
    assert summary.per_category[8] == 2 and summary.per_category[2] == 0
    assert summary.to_json()["per_category"]["13"] == 1


def test_what_the_scorer_accepts_but_does_not_expect_is_a_warning(tmp_path: Path) -> None:
    row = make_rows(1)[0]
    rows = [row | {"score": 1.5}, row | {"keypoints": [0] * 882, "image_id": 2}] + [row] * 25
    warnings = validate_submission(pack(tmp_path / "s.zip", rows)).warnings
    assert len(warnings) == 4
    assert "25 rows repeat an earlier row's landmarks, first row 2" in warnings
    assert "1 rows have a score outside 0..1, first row 0" in warnings
    assert "1 rows have all own landmarks at (0, 0), first row 1" in warnings
    assert any(line.startswith("6 rows are beyond the 20") for line in warnings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": "1"}, "expected a whole number as image_id"),
        ({"image_id": 5}, "image id 5 is not in"),
        ({"category_id": 0}, "expected a category id from 1 to 13"),
        ({"category_id": None}, "expected a category id from 1 to 13"),
        ({"keypoints": [0] * 881}, "expected keypoints of 882 numbers, but got 881"),
        ({"keypoints": {"x": 1}}, "expected keypoints of 882 numbers, but got dict"),
        ({"keypoints": ["1"] * 882}, "expected keypoints as numbers"),
        ({"keypoints": [True] * 882}, "expected keypoints as numbers"),
        ({"keypoints": [None] * 882}, "expected keypoints as numbers"),
        ({"keypoints": [float("nan")] * 882}, "expected JSON"),
        ({"score": float("inf")}, "expected JSON"),
        ({"score": "high"}, "expected a number as score"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict, message: str) -> None:
    rows = make_rows(3)
    rows[1] |= change
    with pytest.raises(InputError, match=rf"s\.zip: {NAME_IN_ZIP}: row 1: ") as caught:
        validate_submission(pack(tmp_path / "s.zip", rows), images=make_information(tmp_path, [1, 2, 3]))
    assert message in str(caught.value)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    rows = make_rows(1)
    del rows[0]["score"]
    with pytest.raises(InputError, match="row 0: expected a field 'score'"):
        validate_submission(pack(tmp_path / "s.zip", rows))


def bare_json(path: Path) -> None:
    write_json(path, make_rows())


def truncated(path: Path) -> None:
    path.write_bytes(pack(path, make_rows()).read_bytes()[:-30])


def damaged(path: Path) -> None:
    content = bytearray(pack(path, make_rows()).read_bytes())
    content[120:140] = bytes(20)
    path.write_bytes(content)


def encrypted(path: Path) -> None:
    content = bytearray(pack(path, make_rows()).read_bytes())
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def two_files(path: Path) -> None:
    pack(path, make_rows())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.json", "[]")


def bomb(path: Path) -> None:
    pack(path, b" " * 100_000_000)


def other_method(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(NAME_IN_ZIP, "[]")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (bare_json, "expected a zip with a JSON in it"),
        (truncated, "expected a zip with a JSON in it"),
        (damaged, "is damaged|expected JSON|row "),
        (encrypted, "is encrypted"),
        (two_files, "expected one JSON at the zip's root and nothing else, but found"),
        (bomb, "at most 400 times its zip"),
        (other_method, "deflate"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "found nothing"),
        (lambda path: pack(path, [], name="folder/a.json"), "without folders"),
        (lambda path: pack(path, [], name="../a.json"), "without folders"),
        (lambda path: pack(path, [], name="a.txt"), "a .json at the root"),
        (lambda path: pack(path, []), "expected at least one result, but the list is empty"),
        (lambda path: pack(path, {"rows": []}), "expected a JSON list"),
        (lambda path: pack(path, b'[{"image_id": 1}'), "row 0: expected a field 'category_id'"),
        (lambda path: path.mkdir(), "s.zip"),
        (lambda path: None, "no such file"),
    ],
)
def test_a_broken_zip_is_refused(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path / "s.zip")
    with pytest.raises(InputError, match=message) as caught:
        validate_submission(tmp_path / "s.zip")
    assert str(tmp_path / "s.zip") in str(caught.value)


def test_a_broken_information_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "information.json").write_text('{"images": [{"name": 1}]}')
    with pytest.raises(InputError, match=r"information\.json: image 0: expected a field 'id'"):
        validate_submission(pack(tmp_path / "s.zip", make_rows()), images=tmp_path / "information.json")
