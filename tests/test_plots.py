"""kps.figures: every figure shows what it was given."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import make_coco, make_detections, make_predictions
from garment_photos import write_photos
from matplotlib.collections import LineCollection
from matplotlib.colors import same_color

from kps import figures, likeness
from kps.data.coco import load_coco
from kps.evaluation.intervals import bootstrap
from kps.evaluation.scores import evaluate_subsets, mean_shape, mean_shape_predictions
from kps.figures.garments import _draw_garments
from kps.figures.style import CATEGORY_COLOURS, new_figure
from kps.results.detections import ground_truth_detections
from kps.schema import CATEGORIES, NUM_LANDMARKS


@pytest.fixture
def photos(tmp_path):
    """A COCO set with photos, and their folder."""
    return load_coco(write_photos(tmp_path / "set", count=4)), tmp_path / "set" / "image"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Homogeneity of a set with two garments of each category."""
    kinds = tuple(item.id for item in CATEGORIES) * 2
    return likeness.measure(make_coco(tmp_path_factory.mktemp("set"), kinds).instances)


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def drawn(figure, tmp_path) -> int:
    """Bytes of the figure as a picture; it must be drawable."""
    figure.savefig(tmp_path / "figure.png")
    return (tmp_path / "figure.png").stat().st_size


@pytest.mark.parametrize(
    "draw",
    [
        lambda unknown: figures.per_category_bars({}, ylabel="AP"),
        lambda unknown: figures.learning_curves({"none": pd.DataFrame(columns=["iteration", "loss"])}),
        lambda unknown: figures.similarity_matrices({"all": unknown}),
        lambda unknown: figures.similarity_matrices({"none": unknown, "all": np.zeros((294, 294))}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_nothing_to_show_is_no_failure(draw, tmp_path):
    assert drawn(draw(np.full((NUM_LANDMARKS, NUM_LANDMARKS), np.nan)), tmp_path)


def test_garments_are_drawn_with_visibility_and_category(tmp_path):
    items = make_coco(tmp_path, (7, 12)).instances
    figure, ((axes,),) = new_figure(1, 1, (4, 6))
    _draw_garments(axes, items.keypoints, items.category_id, None, occluded=True)
    assert texts(axes) == ["shorts", "vest dress"]
    filled, hollow = axes.lines[:2]
    visible = items.keypoints[0, :10, 2] == 2
    assert filled.get_xydata().tolist() == items.keypoints[0, :10][visible, :2].tolist()
    assert len(hollow.get_xydata()) == (~visible).sum()
    assert same_color(filled.get_markerfacecolor(), CATEGORY_COLOURS[7])
    outlines = [part for part in axes.collections if isinstance(part, LineCollection)]
    assert len(outlines[0].get_segments()) == len(CATEGORIES[6].outline_links)
    assert drawn(figure, tmp_path) > 1000


def test_unlabelled_landmarks_and_padding_are_not_drawn(tmp_path):
    items = make_coco(tmp_path, (9,)).instances
    keypoints = items.keypoints.copy()
    keypoints[0, 0] = 0
    keypoints[0, 8:, 2] = 1  # a prediction may hold anything there
    (axes,) = figures.draw_instances(np.zeros((400, 400, 3), np.uint8), keypoints, items.category_id).axes
    assert sum(len(line.get_xydata()) for line in axes.lines) == 7
    links = [link for link in CATEGORIES[8].outline_links if 1 not in link]
    assert len(axes.collections[0].get_segments()) == len(links)


def test_showcase_covers_categories_first(tmp_path):
    coco = make_coco(tmp_path, (1, 1, 1, 2, 13))
    assert set(coco.instances.category_id[np.isin(coco.instances.image_id, figures.showcase(coco, 3))]) == {1, 2, 13}
    assert sorted(figures.showcase(coco, 99)) == [1, 2, 3, 4, 5]


def test_grids_show_one_photo_a_panel(photos, tmp_path):
    coco, folder = photos
    ids = figures.showcase(coco, 3)
    truth = figures.truth_grid(coco, folder, ids)
    assert [axes.get_title() for axes in truth.axes] == [f"image {number}" for number in ids] + [""]
    boxes = ground_truth_detections(coco)
    found = figures.detection_grid(coco, folder, boxes, ids)
    assert len(found.axes[0].patches) == 2  # the truth and the detection
    predictions = mean_shape_predictions(mean_shape(coco), boxes)
    predicted = figures.prediction_grid(coco, folder, predictions, ids)
    assert texts(predicted.axes[0])[0].endswith(" 1.00")
    assert min(drawn(figure, tmp_path) for figure in (truth, found, predicted)) > 10_000


def test_lines_to_the_truth_only_on_its_boxes(photos):
    coco, folder = photos
    predictions = mean_shape_predictions(mean_shape(coco), ground_truth_detections(coco))
    moved = replace(predictions, bbox_xywh=predictions.bbox_xywh + 5)
    on_truth, elsewhere = (
        len(figures.prediction_grid(coco, folder, found, [1]).axes[0].collections) for found in (predictions, moved)
    )
    assert on_truth == elsewhere + 1


def test_a_photo_without_results_is_shown_bare(photos):
    coco, folder = photos
    nothing = make_predictions(1).take(np.zeros(1, bool))
    assert not figures.prediction_grid(coco, folder, nothing, [1]).axes[0].texts
    assert not figures.prediction_grid(coco, folder, nothing, []).axes[0].images
    no_box = make_detections(1).take(np.zeros(1, bool))
    assert len(figures.detection_grid(coco, folder, no_box, [1]).axes[0].patches) == 1


def test_weak_boxes_give_way_but_the_best_one_stays(photos):
    coco, folder = photos
    boxes = make_detections(4, image_id=np.ones(4, int), score=np.array([0.1, 0.2, 0.05, 0.9]))
    assert len(figures.detection_grid(coco, folder, boxes, [1]).axes[0].texts) == 1
    for scores, shown in (([0.1, 0.4, 0.05, 0.9], 2), ([0.1, 0.2, 0.05, 0.2], 1)):
        figure = figures.detection_grid(coco, folder, replace(boxes, score=np.array(scores)), [1])
        assert len(figure.axes[0].texts) == shown


def test_imbalance_shows_shares_and_counts(tmp_path):
    figure = figures.category_imbalance({"ours": [1] * 12 + [8], "paper": [10] * 13})
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights[12] == pytest.approx(40) and heights[13] == pytest.approx(100 / 13)
    assert texts(axes)[12] == "8" and drawn(figure, tmp_path) > 1000


def test_per_category_bars_take_ids_texts_and_gaps(tmp_path):
    figure = figures.per_category_bars({"a": {1: 0.5, 2: float("nan")}, "b": {"1": 0.25, "13": None}}, ylabel="AP")
    (axes,) = figure.axes
    assert axes.patches[0].get_height() == 0.5 and axes.patches[13].get_height() == 0.25
    assert texts(axes).count("-") == 26 - 2 and {"0.50", "0.25"} < set(texts(axes))
    assert axes.lines[0].get_ydata()[0] == 0.5
    assert drawn(figure, tmp_path) > 1000


def test_learning_curves_have_a_line_a_run(tmp_path):
    history = pd.DataFrame({"iteration": [10, 20], "loss": [50.0, 1.0], "learning_rate": [1e-3, 0.0]})
    figure = figures.learning_curves({"plain": history, "flip": history})
    loss, rate = figure.axes
    assert len(loss.lines) == 2 and loss.lines[0].get_xdata().tolist() == [10, 20]
    assert loss.get_yscale() == "log" and rate.get_yscale() == "linear"
    assert drawn(figures.learning_curves({}), tmp_path) > 1000


def test_examples_per_channel_go_from_rich_to_poor():
    (axes,) = figures.examples_per_channel({"two": np.array([3, 7])}).axes
    assert axes.lines[0].get_ydata().tolist() == [7, 3]


def test_matrices_order_landmarks_by_category(measured, tmp_path):
    by_category = figures.similarity_matrices({"position": measured.cues["position"].distance, "fused": measured.fused})
    shown = by_category.axes[0].images[0].get_array()
    assert shown.shape == (NUM_LANDMARKS,) * 2 and np.allclose(shown, 1 - measured.cues["position"].distance)
    assert drawn(by_category, tmp_path) > 10_000


def test_landmarks_that_no_photo_shows_are_left_out(measured):
    unknown = measured.fused.copy()
    unknown[:25], unknown[:, :25] = np.nan, np.nan
    shown = figures.similarity_matrices({"fused": unknown}).axes[0].images[0].get_array()
    assert shown.shape == (NUM_LANDMARKS - 25,) * 2
    likeness = figures.category_likeness(unknown).axes[0]
    assert texts(likeness)[0] == "" and texts(likeness)[14] == "100"


def test_mean_shapes_say_what_is_not_in_the_data(tmp_path):
    shapes = likeness.category_shapes(make_coco(tmp_path, (7, 7)).instances)
    figure = figures.mean_shapes(shapes)
    assert figure.axes[6].get_title() == "shorts  (n = 2)" and len(figure.axes[6].patches) == 10
    assert texts(figure.axes[0]) == ["not in the data"]


def test_intervals_and_subsets_are_drawn(tmp_path):
    truth = make_coco(tmp_path, (1, 8))
    found = mean_shape_predictions(mean_shape(truth), ground_truth_detections(truth))
    figure = figures.score_intervals({"mean shape": bootstrap(truth, found, samples=5)}, xlabel="AP_kps")
    (axes,) = figure.axes
    assert len(axes.get_yticklabels()) == 14 and axes.get_xlabel() == "AP_kps"
    assert np.isfinite(axes.lines[0].get_xdata()[[0, 1, 8]]).all()
    subsets = {"scale": evaluate_subsets(truth, found, by="scale")}
    (panel,) = figures.subset_bars(subsets).axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["small\n0", "moderate\n2", "large\n0"]
