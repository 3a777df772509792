"""kps.figures: figures of maps show what they were given."""

import numpy as np
import pandas as pd
import pytest
from builders import make_coco
from grouping_cases import noisy_distance
from matplotlib.colors import same_color

from kps import figures
from kps.aggregation import Aggregation
from kps.figures.maps import ALONE, DOUBT, matched_numbers
from kps.likeness.audit import audit_merges
from kps.likeness.grouping import Choice, collapse, derive_map, merge_tree
from kps.likeness.shapes import category_shapes
from kps.schema import CATEGORIES, LANDMARK_CATEGORY, NUM_LANDMARKS

HAND = Aggregation.named("hand81")
DISTANCE = noisy_distance(HAND, seed=0)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Mean shapes of a set with all categories but shorts."""
    kinds = tuple(item.id for item in CATEGORIES if item.id != 7)
    return category_shapes(make_coco(tmp_path_factory.mktemp("set"), kinds).instances)


def drawn(figure, tmp_path) -> int:
    figure.savefig(tmp_path / "figure.png")
    return (tmp_path / "figure.png").stat().st_size


def test_the_matrix_puts_groups_in_frames(tmp_path):
    figure = figures.distance_matrix(DISTANCE, HAND, title="by group")
    matrix = figure.axes[3]
    shown = matrix.images[0].get_array()
    assert shown.shape == (NUM_LANDMARKS,) * 2
    frames = matrix.collections[0].get_segments()
    assert len(frames) == (np.bincount(HAND.group) > 1).sum()
    low, high = (int(edge + 0.5) for edge in (frames[0].min(), frames[0].max()))
    assert shown[low:high, low:high].mean() > 0.6 > shown.mean()
    kinds = figure.axes[1].images[0].get_array()[0]
    assert sorted(kinds) == sorted(LANDMARK_CATEGORY)
    assert drawn(figure, tmp_path) > 10_000


def test_the_poster_numbers_shared_landmarks_by_the_first_map(shapes, tmp_path):
    other = derive_map(DISTANCE, 0.3)
    figure = figures.map_poster(shapes, {"hand": HAND, "other": other})
    assert len(figure.axes) == 2 * 14
    vest, shorts = figure.axes[4], figure.axes[6]
    shared = np.bincount(HAND.group) > 1
    wanted = [str(group + 1) for group in HAND.channels(5) if shared[group]]
    assert [text.get_text() for text in vest.texts] == wanted
    assert [text.get_text() for text in shorts.texts] == ["not in the data"]
    skirt = figure.axes[8]
    grey = sum(same_color(line.get_markerfacecolor(), ALONE) for line in skirt.lines)
    assert grey == (~shared[HAND.channels(9)]).sum()
    assert figure.axes[27].texts[0].get_text() == "other"
    assert drawn(figure, tmp_path) > 10_000


def test_a_later_map_takes_the_numbers_of_the_groups_it_overlaps():
    assert np.array_equal(matched_numbers(HAND, HAND), np.arange(1, 82))
    order = np.random.default_rng(0).permutation(81)
    assert np.array_equal(matched_numbers(Aggregation(order[HAND.group]), HAND)[order], np.arange(1, 82))
    identity = matched_numbers(Aggregation.named("identity"), HAND)
    assert len(set(identity)) == NUM_LANDMARKS and identity.max() == NUM_LANDMARKS


def test_the_dendrogram_names_its_groups(tmp_path):
    figure = figures.dendrogram(merge_tree(collapse(DISTANCE)), threshold=0.5, title="tree")
    axes, strip = figure.axes
    names = [label.get_text() for label in strip.get_xticklabels()]
    assert "short sleeve top 1" in names and "skirt 5" not in names
    assert len(names) == len(
        {group for group in HAND.group if (HAND.group == group).sum() > 1 and group <= HAND.flip_indices[group]}
    )
    assert axes.get_ylim()[0] == 0 and drawn(figure, tmp_path) > 10_000


def test_the_curve_marks_the_chosen_threshold(tmp_path):
    table = pd.DataFrame({"groups": [294, 100, 50], "hand map": [0, 0.5, 0.4]}, index=[0.1, 0.5, 0.9])
    stability = pd.DataFrame(
        {"threshold": [0.1, 0.5, 0.9], "stability": [np.nan, 0.8, 0.7], "standard_error": [np.nan, 0.1, 0.1]}
    )
    figure = figures.threshold_curve(table, choice=Choice(0.5, stability), reference_groups={"hand map": 81})
    left = figure.axes[0]
    assert left.lines[0].get_ydata().tolist() == [294, 100, 50]
    assert [line.get_xdata()[0] for line in left.lines if same_color(line.get_color(), DOUBT)] == [0.5, 0.5]
    texts = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert texts == {"hand map: 81", "chosen: 100 groups"}
    assert drawn(figure, tmp_path) > 10_000


def test_doubtful_pairs_mark_both_landmarks(shapes, tmp_path):
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
    assert drawn(figure, tmp_path) > 10_000
    assert drawn(figures.doubtful_pairs(table.head(0), shapes), tmp_path) > 100
