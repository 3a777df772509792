"""What is written and read back is what there was, for every format and for inputs that nobody thought of."""

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from builders import iter_results, make_image_row, make_predictions, plain, save_coco
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kps.data.coco import ATTRIBUTES, Coco, coco_annotation, load_coco, visible_only_annotation
from kps.files import read_json, write_json
from kps.results.detections import Detections, load_detections, save_detections
from kps.results.predictions import Predictions, load_results
from kps.results.submission import validate_submission, write_submission
from kps.schema import CATEGORIES, MAX_LANDMARKS, category, full_from_own, own_landmark_mask

# Pixels as annotators and models write them: whole, or with up to three digits, also outside the photo.
PIXELS = st.integers(-500, 5000) | st.integers(-500_000, 5_000_000).map(lambda value: value / 1000)
SIDES = st.integers(1, 4000)  # of a box
ROUNDING = 0.005 + 1e-9  # px, of the public formats

in_folder = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@st.composite
def items(draw: st.DrawFn) -> dict[str, Any]:
    """A raw item: any category, visibilities, attributes, and any number of polygons."""
    kind = draw(st.sampled_from(CATEGORIES))
    landmarks = []
    for visibility in draw(st.lists(st.integers(0, 2), min_size=kind.num_landmarks, max_size=kind.num_landmarks)):
        landmarks += [draw(PIXELS), draw(PIXELS), visibility]
    (x1, y1), (width, height) = ((draw(values), draw(values)) for values in (PIXELS, SIDES))
    x2, y2 = x1 + width, y1 + height
    polygons = draw(st.lists(st.lists(PIXELS, max_size=8), max_size=3))
    attributes = {name: draw(st.integers(0, 2**62)) for name in draw(st.sets(st.sampled_from(ATTRIBUTES)))}
    return {
        "category_id": kind.id, "bounding_box": [x1, y1, x2, y2], "landmarks": landmarks,
        "segmentation": polygons, **attributes,
    }  # fmt: skip


def random_predictions(seed: int, count: int) -> Predictions:
    """Predictions with several on an image and category, landmarks inside and outside the photo."""
    rng = np.random.default_rng(seed)
    usual = make_predictions(count, seed=seed)
    mask = own_landmark_mask()[usual.category_id - 1][:, :, None]
    return replace(
        usual,
        detection_id=rng.permutation(count) + 1,
        image_id=rng.integers(0, 4, count),
        bbox_xywh=rng.uniform(1, 500, (count, 4)),
        keypoints=rng.normal(200, 300, (count, MAX_LANDMARKS, 3)) * mask,
    )


PREDICTIONS = st.builds(random_predictions, st.integers(0, 2**32), st.integers(1, 40))


def save_items(path: Path, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write a photo for each item; return the annotations."""
    rows = [
        coco_annotation(item, annotation_id=100 - number, image_id=number, where="test")
        for number, item in enumerate(found, start=1)
    ]
    save_coco(path, [make_image_row(number) for number in range(1, len(found) + 1)], rows)
    return rows


def assert_same(got: object, expected: object, *names: str) -> None:
    """The arrays of the given names are equal."""
    for name in names:
        assert np.array_equal(getattr(got, name), getattr(expected, name)), name


def assert_equal(got: Coco, expected: Coco) -> None:
    assert got.images == expected.images
    assert_same(got.instances, expected.instances, *vars(expected.instances).keys() - {"attributes", "segmentation"})
    for name, value in expected.instances.attributes.items():
        assert np.array_equal(got.instances.attributes[name], value), name
    for ours, theirs in zip(got.instances.segmentation, expected.instances.segmentation, strict=True):
        assert plain(ours) == plain(theirs)


@in_folder
@given(st.lists(items(), min_size=1, max_size=4))
def test_raw_items_survive_conversion_and_reading(tmp_path: Path, found: list[dict[str, Any]]) -> None:
    rows = save_items(tmp_path / "coco.json", found)
    got = load_coco(tmp_path / "coco.json").instances
    full = full_from_own(got.category_id, got.keypoints)
    for row, item in enumerate(found):
        garment = category(item["category_id"])
        landmarks = np.array(item["landmarks"]).reshape(-1, 3)
        start = 3 * garment.first_index
        assert rows[row]["keypoints"][start : start + landmarks.size] == item["landmarks"]
        assert np.array_equal(full[row, garment.slice], landmarks)
        assert not np.delete(full[row], np.r_[garment.slice], axis=0).any()
        x, y, width, height = got.bbox_xywh[row]
        assert np.allclose([x, y, x + width, y + height], item["bounding_box"], atol=1e-3)
        assert got.area[row] == pytest.approx(width * height, abs=20)  # both sides are rounded to 0.001 px
        assert got.num_keypoints[row] == (landmarks[:, 2] > 0).sum()
        assert plain(got.segmentation[row]) == item["segmentation"]
        for name in ATTRIBUTES:
            assert got.attributes[name][row] == item.get(name, 0)


@in_folder
@given(st.lists(items(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_a_file_is_the_same_in_any_order_of_its_keys(tmp_path: Path, found: list[dict], random: Any) -> None:
    save_items(tmp_path / "coco.json", found)
    value = read_json(tmp_path / "coco.json")
    keys = [*value, "extra"]
    random.shuffle(keys)
    indent = orjson.OPT_INDENT_2 if random.random() < 0.5 else None
    text = orjson.dumps({key: value.get(key, [{"a": [{}, {}]}, {}]) for key in keys}, option=indent)
    (tmp_path / "shuffled.json").write_bytes(text)
    assert_equal(load_coco(tmp_path / "shuffled.json"), load_coco(tmp_path / "coco.json"))


@in_folder
@given(st.lists(items(), min_size=1, max_size=4), st.data())
def test_rows_taken_from_a_file_are_those_of_a_file_with_these_rows(
    tmp_path: Path, found: list[dict[str, Any]], data: st.DataObject
) -> None:
    rows = save_items(tmp_path / "coco.json", found)
    chosen = data.draw(st.lists(st.integers(0, len(found) - 1), unique=True))
    images = read_json(tmp_path / "coco.json")["images"]
    save_coco(tmp_path / "part.json", images, [rows[i] for i in chosen])
    whole, part = load_coco(tmp_path / "coco.json"), load_coco(tmp_path / "part.json")
    assert_equal(Coco(whole.path, whole.images, whole.instances.take(np.array(chosen, int))), part)


@in_folder
@given(st.lists(items(), min_size=1, max_size=4))
def test_visible_only_means_the_same_in_files_and_in_memory(tmp_path: Path, found: list[dict]) -> None:
    rows = save_items(tmp_path / "coco.json", found)
    images = read_json(tmp_path / "coco.json")["images"]
    save_coco(tmp_path / "visible.json", images, [visible_only_annotation(row) for row in rows])
    expected = load_coco(tmp_path / "visible.json").instances
    got = load_coco(tmp_path / "coco.json").visible_only().instances
    assert np.array_equal(got.num_keypoints, expected.num_keypoints)
    labelled = expected.keypoints[:, :, 2:] > 0
    assert np.array_equal(got.keypoints * labelled, expected.keypoints * labelled)


@in_folder
@given(PREDICTIONS)
def test_predictions_survive_the_result_list(tmp_path: Path, predictions: Predictions) -> None:
    write_json(tmp_path / "results.json", list(iter_results(predictions)))
    got = load_results(tmp_path / "results.json")
    assert_same(got, predictions, "image_id", "category_id", "score")
    assert np.abs(got.keypoints[:, :, :2] - predictions.keypoints[:, :, :2]).max() <= ROUNDING
    low, high = got.bbox_xywh[:, None, :2], (got.bbox_xywh[:, :2] + got.bbox_xywh[:, 2:])[:, None]
    own = own_landmark_mask()[got.category_id - 1]
    inside = (got.keypoints[:, :, :2] >= low) & (got.keypoints[:, :, :2] <= high + 1e-6)
    assert inside[own].all()


@in_folder
@given(PREDICTIONS)
def test_predictions_survive_their_own_file(tmp_path: Path, predictions: Predictions) -> None:
    predictions.save(tmp_path / "run.npz")
    assert_same(Predictions.load(tmp_path / "run.npz"), predictions, *vars(predictions))


@in_folder
@given(PREDICTIONS)
def test_predictions_survive_the_submission(tmp_path: Path, predictions: Predictions) -> None:
    count = write_submission(predictions, tmp_path / "s.zip", name_in_zip="mine.json")
    summary = validate_submission(tmp_path / "s.zip")
    assert summary.num_rows == count == len(predictions)  # at most 40 on 4 images x 13 categories: none beyond 20
    assert summary.num_images == len(np.unique(predictions.image_id))
    assert list(summary.per_category.values()) == np.bincount(predictions.category_id, minlength=14)[1:].tolist()
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        archive.extract("mine.json", tmp_path)
    got = load_results(tmp_path / "mine.json")
    expected = predictions.take(np.argsort(predictions.image_id, kind="stable"))
    assert_same(got, expected, "image_id", "category_id", "score")
    assert np.abs(got.keypoints[:, :, :2] - expected.keypoints[:, :, :2]).max() <= ROUNDING
    assert (got.keypoints[:, :, 2] == own_landmark_mask()[got.category_id - 1]).all()


@in_folder
@given(PREDICTIONS)
def test_boxes_survive_the_box_file(tmp_path: Path, predictions: Predictions) -> None:
    names = ("detection_id", "image_id", "category_id", "bbox_xywh", "score")
    boxes = Detections(*(getattr(predictions, name) for name in names))
    save_detections(tmp_path / "boxes.json", boxes)
    got = load_detections(tmp_path / "boxes.json")
    assert_same(got, boxes, "detection_id", "image_id", "category_id", "score")
    assert np.abs(got.bbox_xywh - boxes.bbox_xywh).max() <= ROUNDING
