"""An instance is judged by its own landmarks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kps.results.predictions import instance_score
from kps.schema import CATEGORIES, MAX_LANDMARKS, category


@given(st.integers(1, 13), st.floats(0, 1), st.floats(0, 1))
def test_equal_confidences_give_box_score_times_confidence(kind: int, box: float, confidence: float) -> None:
    score = instance_score(np.array([box]), np.full((1, MAX_LANDMARKS), confidence), np.array([kind]))
    assert score[0] == pytest.approx(box * confidence)


def test_padding_is_not_read() -> None:
    kinds = np.array([item.id for item in CATEGORIES])
    confidence = np.random.default_rng(0).random((13, MAX_LANDMARKS))
    expected = [0.5 * confidence[kind - 1, : category(kind).num_landmarks].mean() for kind in kinds.tolist()]
    for kind, row in zip(kinds, confidence, strict=True):
        row[category(int(kind)).num_landmarks :] = np.nan
    np.testing.assert_allclose(instance_score(np.full(13, 0.5), confidence, kinds), expected)
