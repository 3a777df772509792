"""kps.figures.charts: bars are the losses, circles the errors of landmarks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import make_coco
from evaluation_cases import perfect
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Wedge

from kps.evaluation.causes import CAUSES, MEAN, Causes, analyse_causes
from kps.figures import causes_of_loss, landmark_errors
from kps.figures.charts import CAUSE_COLOURS
from kps.files import InputError
from kps.results.predictions import empty_predictions


@pytest.fixture(scope="module")
def causes(tmp_path_factory: pytest.TempPathFactory) -> Causes:
    """Trousers and shorts; a quarter is missed, and landmark 3 of half of the trousers is far off."""
    coco = make_coco(tmp_path_factory.mktemp("garments"), (7, 8) * 8)
    results = perfect(coco).take(np.arange(16) % 8 < 6)
    results.keypoints[results.category_id == 8, 2, :2] += [[0], [5000]] * 3
    return analyse_causes(coco, results)


def drawn(figure: Figure, folder: Path) -> int:
    """Bytes of the figure as a picture; it must be drawable."""
    figure.savefig(folder / "figure.png")
    return (folder / "figure.png").stat().st_size


def test_every_colour_is_a_causes() -> None:
    assert set(CAUSE_COLOURS) == set(CAUSES) and len(set(CAUSE_COLOURS.values())) == len(CAUSES)


def test_bars_hold_ap_and_losses_and_reach_100(causes: Causes, tmp_path: Path) -> None:
    figure = causes_of_loss(causes)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mean of 2", "shorts", "trousers"]
    widths = {bars.get_label(): [bar.get_width() for bar in bars] for bars in axes.containers}
    np.testing.assert_allclose(widths["AP"], 100 * causes.AP[[MEAN, "shorts", "trousers"]])
    missed = 100 * causes.loss.loc["missed box", [MEAN, "shorts", "trousers"]].astype(float)
    np.testing.assert_allclose(widths["missed box"], missed, atol=1e-9)
    np.testing.assert_allclose(np.sum(list(widths.values()), axis=0), 100)
    assert missed[MEAN] > 20 and f"{missed[MEAN]:.1f}" in [text.get_text() for text in axes.texts]
    assert list(widths) == ["AP", *CAUSES] == [text.get_text() for text in figure.legends[0].texts]
    assert drawn(figure, tmp_path) > 10_000


def test_nothing_known_is_drawable(causes: Causes, tmp_path: Path) -> None:
    unknown = replace(causes, AP=causes.AP * np.nan, loss=causes.loss * np.nan)
    assert drawn(causes_of_loss(unknown), tmp_path) > 1000


def test_circles_and_bars_show_the_errors_of_each_landmark(causes: Causes, tmp_path: Path) -> None:
    figure = landmark_errors(causes, 8)
    garment, bars = figure.axes
    (pie,) = [part for part in garment.patches if isinstance(part, Wedge)]
    assert same_color(pie.get_facecolor(), CAUSE_COLOURS["miss"])
    np.testing.assert_allclose(pie.center, causes.shape[7, 2])
    dots = [part for part in garment.patches if isinstance(part, Circle) and part.get_fill()]
    assert len(dots) == 13  # the other landmarks are good
    assert [text.get_text() for text in garment.texts] == [str(number) for number in range(1, 15)]
    missed = [bar for bar in bars.patches if bar.get_width() > 0]
    assert [bar.get_width() for bar in missed] == [pytest.approx(50)] and missed[0].get_y() == pytest.approx(2.6)
    assert drawn(figure, tmp_path) > 10_000


def test_a_category_without_garments_says_so(causes: Causes, tmp_path: Path) -> None:
    figure = landmark_errors(causes, 1)
    assert [text.get_text() for text in figure.axes[0].texts] == ["not in the data"]
    assert figure.axes[1].texts[0].get_text().strip() == "never labelled"
    assert drawn(figure, tmp_path) > 1000
    with pytest.raises(InputError, match="category id from 1 to 13"):
        landmark_errors(causes, 14)


def test_without_results_the_garment_is_drawn_bare(tmp_path: Path) -> None:
    found = analyse_causes(make_coco(tmp_path, (8,)), empty_predictions())
    assert drawn(landmark_errors(found, 8), tmp_path) > 1000
    assert drawn(causes_of_loss(found), tmp_path) > 1000
