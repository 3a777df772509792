"""Runs are matched by detection id and averaged; runs on other boxes are refused by name."""

from dataclasses import replace

import numpy as np
import pytest
from builders import make_predictions
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.files import InputError
from kps.results.predictions import ensemble


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = make_predictions(count, detection_id=rng.permutation(100)[:count])
    second = replace(first, keypoints=first.keypoints + 2, score=first.score / 2)
    mean = ensemble([first, second.take(rng.permutation(count))])
    assert np.array_equal(mean.detection_id, first.detection_id)
    np.testing.assert_allclose(mean.keypoints, first.keypoints + 1)
    np.testing.assert_allclose(mean.score, first.score * 0.75)
    assert np.array_equal(ensemble([first]).keypoints, first.keypoints)


@pytest.mark.parametrize("name", ["image_id", "category_id", "bbox_xywh", "bbox_score"])
def test_another_box_names_run_and_detection(name: str) -> None:
    runs = [make_predictions(5), make_predictions(5)]
    getattr(runs[1], name)[2] += 1
    with pytest.raises(InputError, match=f"flip: detection 3: expected the {name} of plain"):
        ensemble(runs, names=["plain", "flip"])


def test_absent_and_repeated_detections_name_the_run() -> None:
    runs = [make_predictions(5), make_predictions(5).take(np.array([0, 1, 3, 4]))]
    with pytest.raises(InputError, match=r"flip: expected the same detections as plain.*first detection 3"):
        ensemble(runs, names=["plain", "flip"])
    with pytest.raises(InputError, match="run 1: expected the same detections as run 2"):
        ensemble(runs[::-1])
    with pytest.raises(InputError, match="run 2: expected each detection id once, but 1 repeats"):
        ensemble([runs[0], make_predictions(5, detection_id=np.array([1, 1, 2, 3, 4]))])
    with pytest.raises(InputError, match="at least one run"):
        ensemble([])
