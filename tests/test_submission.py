"""What the zip holds and what is said of it. Round trips are in test_round_trips, broken zips in broken_archives."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import iter_results, make_predictions

import kps.results.submission
from kps.files import InputError, write_json
from kps.results.submission import NAME_IN_ZIP, validate_submission, write_submission
from kps.schema import category


def unpack(path: Path) -> list[dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(archive.namelist()[0]))


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


def test_a_summary_counts(tmp_path: Path) -> None:
    predictions = make_predictions(
        4, image_id=np.array([1, 1, 2, 3]), category_id=np.array([1, 8, 8, 13]), score=np.array([0.5, 0.25, 1, 0])
    )
    write_submission(predictions, tmp_path / "s.zip")
    write_json(tmp_path / "information.json", {"images": [{"id": number} for number in (1, 2, 3, 4)]})
    summary = validate_submission(tmp_path / "s.zip", images=tmp_path / "information.json")
    assert (summary.num_rows, summary.num_images, summary.score_range) == (4, 3, (0, 1))
    assert summary.per_category[8] == 2 and summary.per_category[2] == 0
    assert summary.to_json()["per_category"]["13"] == 1


def test_what_the_scorer_accepts_but_does_not_expect_is_a_warning(tmp_path: Path) -> None:
    row = next(iter_results(make_predictions(1)))
    rows = [row | {"score": 1.5}, row | {"keypoints": [0] * 882, "image_id": 2}] + [row] * 25
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr(NAME_IN_ZIP, json.dumps(rows))
    warnings = validate_submission(tmp_path / "s.zip").warnings
    assert len(warnings) == 4
    assert "25 rows repeat an earlier row's landmarks, first row 2" in warnings
    assert "1 rows have a score outside 0..1, first row 0" in warnings
    assert "1 rows have all own landmarks at (0, 0), first row 1" in warnings
    assert any(line.startswith("6 rows are beyond the 20") for line in warnings)


def test_a_number_that_is_not_finite_leaves_no_file(tmp_path: Path) -> None:
    bad = make_predictions(3)
    bad.keypoints[1, 0, 0] = np.nan
    with pytest.raises(InputError, match="predictions: expected finite numbers in keypoints"):
        write_submission(bad, tmp_path / "s.zip")
    assert not os.listdir(tmp_path)
