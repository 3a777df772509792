"""kps.figures: every figure shows what it was given."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from builders import make_coco, make_detections, make_predictions
from evaluation_cases import perfect
from garment_photos import write_photos
from grouping_cases import noisy_distance
from matplotlib.collections import LineCollection
from matplotlib.colors import same_color

from kps import figures
from kps.aggregation import Aggregation
from kps.data.coco import load_coco
from kps.evaluation.causes import CAUSES, MEAN, Causes, analyse_causes
from kps.evaluation.intervals import bootstrap
from kps.evaluation.scores import evaluate_subsets, mean_shape, mean_shape_predictions
from kps.figures.charts import CAUSE_COLOURS
from kps.figures.garments import _draw_garments
from kps.figures.maps import ALONE, DOUBT, matched_numbers
from kps.figures.style import CATEGORY_COLOURS, new_figure
from kps.likeness.audit import audit_merges
from kps.likeness.grouping import Choice, derive_map
from kps.likeness.shapes import category_shapes
from kps.results.detections import ground_truth_detections
from kps.schema import CATEGORIES, LANDMARK_CATEGORY, NUM_LANDMARKS

HAND = Aggregation.named("hand81")
DISTANCE = noisy_distance(HAND, seed=0)


@pytest.fixture
def photos(tmp_path):
    """A COCO set with photos, and their folder."""
    return load_coco(write_photos(tmp_path / "set", count=4)), tmp_path / "set" / "image"


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.fixture(autouse=True)
def _every_figure_can_be_drawn(monkeypatch):
    made, subplots = [], plt.subplots
    monkeypatch.setattr(plt, "subplots", lambda *args, **options: made.append(subplots(*args, **options)) or made[-1])
    yield
    for figure, _ in made:
        figure.canvas.draw()


@pytest.mark.parametrize(
    "draw",
    [
        lambda unknown: figures.per_category_bars({}, ylabel="AP"),
        lambda unknown: figures.learning_curves({}),
        lambda unknown: figures.learning_curves({"none": pd.DataFrame(columns=["iteration", "loss"])}),
        lambda unknown: figures.likeness_matrices({"all": unknown}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_nothing_to_show_is_no_failure(draw):
    assert draw(np.full((NUM_LANDMARKS, NUM_LANDMARKS), np.nan)).axes


def test_garments_are_drawn_with_visibility_and_category(tmp_path):
    items = make_coco(tmp_path, (7, 12)).instances
    _, ((axes,),) = new_figure(1, 1, (4, 6))
    _draw_garments(axes, items.keypoints, items.category_id, None, items.keypoints[..., 2] == 1)
    assert texts(axes) == ["shorts", "vest dress"]
    filled, hollow = axes.lines[:2]
    visible = items.keypoints[0, :10, 2] == 2
    assert filled.get_xydata().tolist() == items.keypoints[0, :10][visible, :2].tolist()
    assert len(hollow.get_xydata()) == (~visible).sum()
    assert same_color(filled.get_markerfacecolor(), CATEGORY_COLOURS[7])
    outlines = [part for part in axes.collections if isinstance(part, LineCollection)]
    assert len(outlines[0].get_segments()) == len(CATEGORIES[6].outline_links)


def test_unlabelled_landmarks_and_padding_are_not_drawn(tmp_path):
    items = make_coco(tmp_path, (9,)).instances
    keypoints = items.keypoints.copy()
    keypoints[0, 0] = 0
    keypoints[0, 8:, 2] = 1  # a prediction may hold anything there
    _, ((axes,),) = new_figure(1, 1, (4, 4))
    _draw_garments(axes, keypoints, items.category_id, None, np.zeros(keypoints.shape[:2], bool))
    assert sum(len(line.get_xydata()) for line in axes.lines) == 7
    assert axes.texts[0].get_position() == pytest.approx(keypoints[0, 1:8, :2].mean(0))
    links = [link for link in CATEGORIES[8].outline_links if 1 not in link]
    assert len(axes.collections[0].get_segments()) == len(links)


@pytest.mark.parametrize(
    ("size", "shown"), [((900, 600), (900, 600)), ((60, 30), (640, 320)), ((9000, 90), (8192, 82))]
)
def test_a_picture_is_the_photo_where_nothing_is_drawn(tmp_path, size, shown):
    items, photo = make_coco(tmp_path, (9,)).instances, np.full((*size, 3), 77, np.uint8)
    keypoints = items.keypoints.copy()
    keypoints[0, :8, :2] = np.array([0.2, 0.3]) * size[::-1] + 0.3 * np.random.default_rng(0).random((8, 2)) * min(size)
    picture = figures.draw_instances(photo, keypoints, items.category_id, score=np.array([0.5]))
    assert picture.shape == (*shown, 3) and picture.dtype == np.uint8
    assert (picture[-20:] == 77).all() and (picture != 77).any(2).mean() > 0.01
    assert (figures.draw_instances(photo, keypoints[:0], items.category_id[:0]) == 77).all()


def test_a_contact_sheet_holds_every_picture():
    pictures = [np.full((90, 30 * number, 3), number, np.uint8) for number in (1, 2, 3, 4, 5)]
    sheet = figures.contact_sheet(pictures, side=60)
    assert sheet.shape == (2 * 68, 3 * 68, 3)
    assert set(np.unique(sheet)) == {1, 2, 3, 4, 5, 255}


def test_showcase_covers_categories_first(tmp_path):
    coco = make_coco(tmp_path, (1, 1, 1, 2, 13))
    assert set(coco.instances.category_id[np.isin(coco.instances.image_id, figures.showcase(coco, 3))]) == {1, 2, 13}
    assert sorted(figures.showcase(coco, 99)) == [1, 2, 3, 4, 5]


def test_grids_show_one_photo_a_panel(photos):
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


def test_lines_to_the_truth_only_on_its_boxes(photos):
    coco, folder = photos
    predictions = mean_shape_predictions(mean_shape(coco), ground_truth_detections(coco))
    moved = replace(predictions, bbox_xywh=predictions.bbox_xywh + 5)
    grids = [figures.prediction_grid(coco, folder, found, [1]) for found in (predictions, moved)]
    on_truth, elsewhere = (len(grid.axes[0].collections) for grid in grids)
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
    for scores, shown in (([0.1, 0.2, 0.05, 0.9], 1), ([0.1, 0.4, 0.05, 0.9], 2), ([0.1, 0.2, 0.05, 0.2], 1)):
        boxes = make_detections(4, image_id=np.ones(4, int), score=np.array(scores))
        assert len(figures.detection_grid(coco, folder, boxes, [1]).axes[0].texts) == shown


def test_imbalance_shows_shares_and_counts():
    (axes,) = figures.category_imbalance({"ours": [1] * 12 + [8], "paper": [10] * 13}).axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights[12] == pytest.approx(40) and heights[13] == pytest.approx(100 / 13)
    assert texts(axes)[12] == "8"


def test_curves_and_confusions_of_boxes_and_landmarks(tmp_path):
    coco = make_coco(tmp_path, (1, 2, 2))
    for results in (perfect(coco), ground_truth_detections(coco)):
        left, right = figures.curves_and_confusions(coco, results).axes
        assert left.get_legend().get_texts()[0].get_text() == "0.5: 1.00"
        assert {text.get_position() for text in right.texts} == {(0, 0), (1, 1)}
        assert right.get_yticklabels()[1].get_text() == "long sleeve top (2)"
    figures.curves_and_confusions(coco, perfect(coco).take(np.zeros(0, int)))


def test_per_category_bars_take_ids_texts_and_gaps():
    values = {"a": {1: 0.5, 2: float("nan")}, "b": {"1": 0.25, "13": None}}
    (axes,) = figures.per_category_bars(values, ylabel="AP").axes
    assert axes.patches[0].get_height() == 0.5 and axes.patches[13].get_height() == 0.25
    assert texts(axes).count("-") == 26 - 2 and {"0.50", "0.25"} < set(texts(axes))
    assert axes.lines[0].get_ydata()[0] == 0.5


def test_learning_curves_have_a_line_a_run():
    history = pd.DataFrame({"iteration": [10, 20], "loss": [50.0, 1.0], "learning_rate": [1e-3, 0.0]})
    loss, rate = figures.learning_curves({"plain": history, "flip": history}).axes
    assert len(loss.lines) == 2 and loss.lines[0].get_xdata().tolist() == [10, 20]
    assert loss.get_yscale() == "log" and rate.get_yscale() == "linear"


def test_mean_shapes_say_what_is_not_in_the_data(tmp_path):
    axes = figures.mean_shapes(category_shapes(make_coco(tmp_path, (7, 7)).instances)).axes
    assert axes[6].get_title() == "shorts  (n = 2)" and len(axes[6].patches) == 10
    assert texts(axes[0]) == ["not in the data"]


def test_intervals_and_subsets_are_drawn(tmp_path):
    truth = make_coco(tmp_path, (1, 8))
    found = mean_shape_predictions(mean_shape(truth), ground_truth_detections(truth))
    (axes,) = figures.score_intervals({"mean shape": bootstrap(truth, found, samples=5)}, xlabel="AP_kps").axes
    assert len(axes.get_yticklabels()) == 14 and axes.get_xlabel() == "AP_kps"
    assert np.isfinite(axes.lines[0].get_xdata()[[0, 1, 8]]).all()
    subsets = {"scale": evaluate_subsets(truth, found, by="scale")}
    (panel,) = figures.subset_bars(subsets).axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["small\n0", "moderate\n2", "large\n0"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Mean shapes of a set with all categories but shorts."""
    kinds = tuple(item.id for item in CATEGORIES if item.id != 7)
    return category_shapes(make_coco(tmp_path_factory.mktemp("set"), kinds).instances)


def test_matrices_order_landmarks_by_category_or_group():
    two = {"first": DISTANCE, "second": 1 - np.eye(NUM_LANDMARKS)}
    axes = figures.likeness_matrices(two).axes
    assert len(axes) == 9 and len((matrix := axes[5]).collections[0].get_segments()) == len(CATEGORIES)
    assert np.allclose(matrix.images[0].get_array(), 1 - DISTANCE, equal_nan=True)
    figure = figures.likeness_matrices({"by group": DISTANCE}, HAND)
    above, matrix = figure.axes[1], figure.axes[3]
    shown, frames = matrix.images[0].get_array(), matrix.collections[0].get_segments()
    assert len(frames) == (np.bincount(HAND.group) > 1).sum()
    low, high = (int(edge + 0.5) for edge in (frames[0].min(), frames[0].max()))
    assert shown[low:high, low:high].mean() > 0.6 > shown.mean()
    assert sorted(above.images[0].get_array()[0]) == sorted(LANDMARK_CATEGORY)


def test_the_poster_numbers_shared_landmarks_by_the_first_map(shapes):
    other = derive_map(DISTANCE, 0.3)
    figure = figures.map_poster(shapes, {"hand": HAND, "other": other})
    assert len(figure.axes) == 2 * 14
    vest, shorts = figure.axes[4], figure.axes[6]
    shared = np.bincount(HAND.group) > 1
    assert texts(vest) == [str(group + 1) for group in HAND.channels(5) if shared[group]]
    assert texts(shorts) == ["not in the data"]
    skirt = figure.axes[8]
    grey = sum(same_color(line.get_markerfacecolor(), ALONE) for line in skirt.lines)
    assert grey == (~shared[HAND.channels(9)]).sum()
    assert figure.axes[27].texts[0].get_text() == "other"


def test_a_later_map_takes_the_numbers_of_the_groups_it_overlaps():
    assert np.array_equal(matched_numbers(HAND, HAND), np.arange(1, 82))
    order = np.random.default_rng(0).permutation(81)
    assert np.array_equal(matched_numbers(Aggregation(order[HAND.group]), HAND)[order], np.arange(1, 82))
    identity = matched_numbers(Aggregation.named("identity"), HAND)
    assert len(set(identity)) == NUM_LANDMARKS and identity.max() == NUM_LANDMARKS


def test_the_curve_marks_the_chosen_threshold():
    table = pd.DataFrame({"groups": [294, 100, 50], "hand map": [0, 0.5, 0.4]}, index=[0.1, 0.5, 0.9])
    stability = pd.DataFrame(
        {"threshold": [0.1, 0.5, 0.9], "stability": [np.nan, 0.8, 0.7], "standard_error": [np.nan, 0.1, 0.1]}
    )
    left, right = figures.threshold_curve(table, choice=Choice(0.5, stability), reference_groups={"hand map": 81}).axes
    assert left.lines[0].get_ydata().tolist() == [294, 100, 50]
    assert [line.get_xdata()[0] for line in left.lines if same_color(line.get_color(), DOUBT)] == [0.5, 0.5]
    assert {*texts(left), *texts(right)} == {"hand map: 81", "chosen: 100 groups"}


@pytest.mark.parametrize(("diagonal", "places", "scale"), [(False, [9, 300], "log"), (True, [0.01, 0.9], "linear")])
def test_points_stand_at_their_places_with_their_names(diagonal, places, scale):
    table = pd.DataFrame({"place": places, "estimate": [0.1, 0.3], "low": [0, 0.2], "high": [0.2, 0.4]}, ["a", "b"])
    (axes,) = figures.points_with_intervals(table, "place", ylabel="y", diagonal=diagonal).axes
    assert axes.lines[0].get_xydata().tolist() == [[places[0], 0.1], [places[1], 0.3]]
    assert [line[:, 1].tolist() for line in axes.collections[0].get_segments()] == [[0, 0.2], [0.2, 0.4]]
    assert axes.get_xscale() == scale and axes.get_xlabel() == "place" and texts(axes) == ["a", "b"]


def test_doubtful_pairs_mark_both_landmarks(shapes):
    table = audit_merges(DISTANCE, HAND).head(5)
    crops = {int(table["index"][0]): np.zeros((20, 20, 3), np.uint8)}
    figure = figures.doubtful_pairs(table, shapes, crops=crops)
    panels = np.array(figure.axes).reshape(4, 12)
    for place, row in enumerate(table.itertuples()):
        top, first = place // 4 * 2, place % 4 * 3
        titles = [panels[top, first + side].get_title().strip() for side in (0, 1)]
        assert titles == [row.landmark, row.other]
        assert f"{row.distance:.2f}" in panels[top, first].texts[0].get_text()
    assert len(panels[1, 0].images) == 1 and not panels[1, 1].images
    figures.doubtful_pairs(table.head(0), shapes)


@pytest.fixture(scope="module")
def causes(tmp_path_factory) -> Causes:
    """Trousers and shorts; a quarter is missed, and landmark 3 of half of the trousers is far off."""
    coco = make_coco(tmp_path_factory.mktemp("garments"), (7, 8) * 8)
    results = perfect(coco).take(np.arange(16) % 8 < 6)
    results.keypoints[results.category_id == 8, 2, :2] += [[0], [5000]] * 3
    return analyse_causes(coco, results)


def test_bars_hold_ap_and_losses_and_reach_100(causes: Causes) -> None:
    figure = figures.causes_of_loss(causes)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mean of 2", "shorts", "trousers"]
    widths = {bars.get_label(): [bar.get_width() for bar in bars] for bars in axes.containers}
    np.testing.assert_allclose(widths["AP"], 100 * causes.AP[[MEAN, "shorts", "trousers"]])
    missed = 100 * causes.loss.loc["missed box", [MEAN, "shorts", "trousers"]].astype(float)
    np.testing.assert_allclose(widths["missed box"], missed, atol=1e-9)
    np.testing.assert_allclose(np.sum(list(widths.values()), axis=0), 100)
    assert missed[MEAN] > 20 and f"{missed[MEAN]:.1f}" in texts(axes)
    assert set(CAUSE_COLOURS) == set(CAUSES) and len(set(CAUSE_COLOURS.values())) == len(CAUSES)
    assert list(widths) == ["AP", *CAUSES] == [text.get_text() for text in figure.legends[0].texts]


def test_without_results_all_is_missed_and_unknown_causes_are_not_drawn(causes: Causes, tmp_path) -> None:
    found = analyse_causes(make_coco(tmp_path, (8,)), make_predictions(0))
    assert texts(figures.causes_of_loss(found).axes[0])[-1] == "100.0"
    unknown = replace(causes, AP=causes.AP * np.nan, loss=causes.loss * np.nan)
    assert not texts(figures.causes_of_loss(unknown).axes[0])
