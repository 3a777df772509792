"""The paper's numbers find the run that they belong to."""

import pytest

from kps.evaluation.scores import Scores
from kps.flow.run import shipped
from kps.report.tables import beside_the_paper, paper_boxes, paper_landmarks


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cascade_identity", 0.556),
        ("cascade_hand81", 0.559),
        ("universal_no_flip_test", 0.579),
        ("universal", 0.584),
        ("finetune_plain", 0.612),
        ("finetune_flip", 0.614),
        ("universal_gt_no_flip_test", 0.652),
        ("universal_gt", None),
        ("finetune_lr_1e-3", None),
    ],
)
def test_each_experiment_has_its_column_or_none(name, value):
    given = {"aggregation": "hand81", "flip_test": True, **shipped()["experiments"][name]}
    given.pop("splits", None)
    assert paper_landmarks(**given).get("all") == value


def test_a_derived_map_has_no_column():
    given = {"boxes": "htc", "model": "universal", "flip_test": True}
    assert paper_landmarks(aggregation="derived", **given) == {}
    assert len(paper_landmarks(aggregation="hand81", **given)) == 14


def test_ours_and_the_papers_stand_side_by_side():
    assert paper_boxes("htc")["all"] == 0.764 and paper_boxes("cascade") == {"all": 0.707}
    assert paper_boxes("other") == {}
    per_category = {number: float("nan") if number == 3 else 0.5 for number in range(1, 14)}
    scores = Scores(0.4, 0.5, 0.3, 0.6, per_category, 1, 1, 1)
    table = beside_the_paper(scores, {"all": 0.612})
    assert table["all"].tolist() == ["0.400", "0.612"]
    assert table["short sleeve outwear"].tolist() == ["-", "-"] and table["vest"].tolist() == ["0.500", "-"]
