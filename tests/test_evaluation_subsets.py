"""Subsets are scored as pycocotools scores them with other items ignored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import make_coco
from evaluation_cases import as_list, boxes_of, perfect, random_case, stock_scores
from hypothesis import given, settings
from hypothesis import strategies as st

from kps.evaluation.scores import ITEM_SUBSETS, SUBSETS, evaluate_subsets
from kps.files import InputError


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(SUBSETS[:-1]))
def test_subsets_equal_stock_pycocotools_with_other_items_ignored(seed: int, by: str) -> None:
    coco, results = random_case(seed, num_images=12)
    for found in (results, boxes_of(results)):
        scores = evaluate_subsets(coco, found, by=by)
        assert list(scores) == list(ITEM_SUBSETS[by])
        for value, score in enumerate(scores.values(), start=1):
            inside = coco.instances.attributes[by] == value
            photos = np.unique(coco.instances.image_id[inside])
            part, some = coco.subset(image_ids=photos), found.take(np.isin(found.image_id, photos))
            if len(some):
                stock = stock_scores(part, some, ignored=part.instances.attributes[by] != value)
                np.testing.assert_allclose(as_list(score), stock, rtol=0, atol=1e-9)
            assert score.num_images == len(photos) and score.num_results == len(some)


def test_source_splits_the_images() -> None:
    coco, results = random_case(3)
    scores = evaluate_subsets(coco, results, by="source")
    for label, score in scores.items():
        photos = [row.id for row in coco.images if row.source == label]
        some = results.take(np.isin(results.image_id, photos))
        stock = stock_scores(coco.subset(image_ids=photos), some)
        np.testing.assert_allclose(as_list(score), stock, rtol=0, atol=1e-9)
    assert sum(score.num_images for score in scores.values()) == len(coco.images)


def test_a_result_on_an_item_of_another_subset_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (8, 8))
    items = replace(
        coco.instances,
        image_id=np.array([1, 1]),
        keypoints=coco.instances.keypoints + [[[0, 0, 0]], [[300, 0, 0]]],
        attributes={"scale": np.array([1, 3])},
    )
    coco = replace(coco, instances=items)
    results = replace(perfect(coco), score=np.array([0.4, 0.9]))
    scores = evaluate_subsets(coco, results, by="scale")
    np.testing.assert_allclose([scores["small"].AP, scores["large"].AP], 1)
    assert (scores["small"].num_images, scores["small"].num_items) == (1, 1)
    assert np.isnan(scores["moderate"].AP) and scores["moderate"].num_images == 0
    nowhere = replace(results, keypoints=results.keypoints + [[[0, 0, 0]], [[5000, 0, 0]]])
    np.testing.assert_allclose(evaluate_subsets(coco, nowhere, by="scale")["small"].AP, 0.5)


def test_visible_only_reaches_the_subsets() -> None:
    coco, results = random_case(6)
    scores = evaluate_subsets(coco, results, by="viewpoint", visible_only=True)
    expected = evaluate_subsets(coco.visible_only(), results, by="viewpoint")
    assert as_list(scores["frontal"]) == pytest.approx(as_list(expected["frontal"]), nan_ok=True)


def test_senseless_requests_are_refused(tmp_path: Path) -> None:
    coco = make_coco(tmp_path, (8,))
    with pytest.raises(InputError, match="scale, occlusion, zoom_in, viewpoint, source, but got 'colour'"):
        evaluate_subsets(coco, perfect(coco), by="colour")
    with pytest.raises(InputError, match="expected source to be known"):
        evaluate_subsets(coco, perfect(coco), by="source")
    unknown = replace(coco, instances=replace(coco.instances, attributes={"scale": np.array([0])}))
    with pytest.raises(InputError, match="expected scale to be known"):
        evaluate_subsets(unknown, perfect(coco), by="scale")
    with pytest.raises(InputError, match="image id 77"):
        evaluate_subsets(coco, replace(perfect(coco), image_id=np.array([77])), by="scale")
