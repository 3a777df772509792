"""kps.report: every number in its own place, nothing that was not run."""

import re

import numpy as np
import pandas as pd
import pytest
from builders import make_coco, make_predictions

from kps import figures, report
from kps.files import InputError
from kps.schema import CATEGORIES
from kps.workspace import Record

ITEMS = {"train": {str(i): 10 * i for i in range(1, 14)}, "validation": {str(i): i for i in range(1, 14)}}


def make_record(step: str, *, parameters: dict | None = None, metrics: dict | None = None, **changes) -> Record:
    """A record as a step would leave it."""
    values = {
        "step": step,
        "parameters": {"workspace": "w", "config": "hrnet_demo", "seed": 0, **(parameters or {})},
        "inputs": {},
        "outputs": {},
        "metrics": metrics or {},
        "seconds": 90.0,
        "finished": "2021-01-02T03:04:05+00:00",
        "versions": {},
        "hardware": "a machine",
    }
    return Record(**{**values, **changes})


def make_scores(value: float | None) -> dict:
    """Scores as in JSON: the mean, and value - id / 1000 for each category."""
    per_category = {str(i): None if value is None else round(value - i / 1000, 3) for i in range(1, 14)}
    return {"AP": value, "AP50": value, "AP75": value, "AR": value, "per_category": per_category}


def make_run(
    run: str, value: float, *, boxes: str = "htc", visible: float = 0.99, interval=None, **parameters
) -> Record:
    scores = {"visible_and_occluded": make_scores(value), "visible_only": make_scores(visible)}
    if interval:
        scores["visible_and_occluded"]["interval"] = interval
    given = {"run": run, "boxes": boxes, "aggregation": "hand81", "flip_test": True, **parameters}
    step = f"07_predict_landmarks_{run}"
    return make_record(step, parameters=given, metrics={"boxes": boxes, "validation": scores})


def make_records() -> dict[str, Record]:
    """Records of a whole demo, every score another number."""
    ensemble = {"visible_and_occluded": make_scores(0.47), "visible_only": make_scores(0.57)}
    records = [
        make_record("01_prepare_data", metrics={"source": "built-in", "items": ITEMS}),
        make_record("04_train_detector_htc", parameters={"detector": "htc"}, metrics={"validation": make_scores(0.6)}),
        make_run("plain_test", 0.41, visible=0.51, model="universal", flip_test=False),
        make_run("universal", 0.42, visible=0.52, model="universal"),
        make_run("finetune_plain", 0.43, visible=0.53, model="finetune_plain", interval=[0.4, 0.46]),
        make_run("finetune_flip", 0.44, visible=0.54, model="finetune_flip"),
        make_run("universal_gt", 0.71, visible=0.81, model="universal", boxes="ground_truth"),
        make_record(
            "08_ensemble_ensemble",
            parameters={"run": "ensemble", "runs": ["a", "b"]},
            metrics={"boxes": "htc", "validation": ensemble},
        ),
        make_record("09_submission", parameters={"run": "ensemble"}),
    ]
    return {record.step: record for record in records}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """The tables of a whole demo."""
    return report.build_tables(make_records())


def test_without_records_all_of_ours_was_not_run_and_the_papers_numbers_are_there(tmp_path):
    tables = report.build_tables({})
    assert tables["table1"].loc["This run: ensemble", "validation"] == "not run"
    assert "95 % interval" not in tables["table2"].index
    assert (tables["table2"].loc["AP_kps, ours"] == "not run").all() and tables["table2"].shape[1] == 7
    ours = tables["table3"].xs("ours", axis=1, level=1)
    assert (ours == "not run").all(axis=None) and len(ours) == 14
    assert tables["table2"].loc["AP_kps, paper"].tolist() == [0.556, 0.559, 0.579, 0.584, 0.612, 0.614, 0.652]
    assert tables["table2"].loc["finetune"].tolist() == ["", "", "", "", "✓", "✓", ""]
    paper = tables["table3"].xs("paper", axis=1, level=1)
    assert paper.loc["sling dress"].tolist() == [6492, 1149, 0.773, 0.586, 0.686]
    assert paper["#train"].iloc[1:].sum() == paper.loc["all", "#train"] == 312_186
    assert paper["AP_kps w/ ft"].iloc[1:].mean() == pytest.approx(0.612, abs=0.001)
    report.write_html(tmp_path / "report.html", {})
    assert "not run" in (tmp_path / "report.html").read_text()


def test_table2_finds_runs_by_their_settings_and_has_others_after_the_papers(tables):
    table = tables["table2"]
    assert table.loc["our run"].tolist() == [
        "-", "-", "plain_test", "universal", "finetune_plain", "finetune_flip", "-", "universal_gt", "ensemble",
    ]  # fmt: skip
    assert table.loc["AP_kps, ours", 3:6].tolist() == [0.41, 0.42, 0.43, 0.44]
    assert table.loc["AP_box, ours", 1:4].tolist() == ["not run", "not run", 0.6, 0.6]
    assert table.loc["95 % interval", 5] == "0.400 to 0.460"
    assert table[8].loc[["det model", "hflip test", "AP_kps, paper", "AP_kps, ours"]].tolist() == [
        "Ground-truth", "✓", "-", 0.71,
    ]  # fmt: skip


def test_crops_of_several_sizes_are_no_row_of_the_papers():
    run = make_run("a", 0.5, model="finetune_flip", crop_scales=[1.0, 0.84])
    table = report.build_tables({run.step: run} | make_records())["table2"]
    assert table.loc["our run", 6] == "finetune_flip" and table.loc["our run", 8:].tolist().count("a") == 1


def test_a_run_without_aggregation_is_no_aggregated_row_and_a_category_without_items_a_dash():
    records = make_records()
    changed = make_run("universal", 0.3, model="universal", aggregation="identity")
    records["04_train_detector_htc"].metrics["validation"]["per_category"]["3"] = None
    tables = report.build_tables({**records, changed.step: changed})
    assert tables["table2"].loc["AP_kps, ours", 4] == "not run"
    assert tables["table2"].loc[["aggregation", "our run"], 8].tolist() == ["", "universal"]
    assert tables["table3"].loc["short sleeve outwear", ("AP_box", "ours")] == "-"


def test_table1_shows_the_submitted_ensemble():
    records = make_records()
    table = report.build_tables(records)["table1"]
    assert table.loc["This run: ensemble", ["validation", "test"]].tolist() == [0.47, "no annotations"]
    assert "procedural data, HTC boxes" in table.loc["This run: ensemble", "how"]
    assert report.submitted_run(records) == "ensemble"
    records["08_ensemble_ensemble"].parameters["splits"] = ["validation"]
    assert report.build_tables(records)["table1"].loc["This run: ensemble", "test"] == "not run"
    del records["09_submission"], records["08_ensemble_ensemble"]
    assert report.submitted_run(records) == "universal_gt"
    with pytest.raises(InputError, match="at least one scored"):
        report.submitted_run({})


def test_table3_holds_detected_boxes_only(tables):
    ours = tables["table3"].xs("ours", axis=1, level=1)
    assert ours.loc["all"].tolist() == [910, 91, 0.6, 0.42, 0.43]
    assert ours.loc["vest"].tolist() == [50, 5, 0.595, 0.415, 0.425]


def test_kinds_of_numbers_never_share_a_column(tables):
    truth = tables["ground_truth_boxes"]
    assert list(truth) == ["#val", "universal_gt"] and truth.loc["all", "universal_gt"] == 0.71
    visible = tables["visible_only"]
    assert visible.loc["universal_gt"].tolist() == ["-", 0.81]
    assert visible.loc["finetune_flip"].tolist() == [0.54, "-"]
    detected = tables["table3"].xs("ours", axis=1, level=1).to_numpy().ravel().tolist()
    detected.append(tables["table1"].loc["This run: ensemble", "validation"])
    assert not {0.71, 0.81, 0.51, 0.52, 0.53, 0.54, 0.57} & set(detected)


def test_provenance_tells_data_seed_time_and_machine(tables):
    row = tables["provenance"].loc["07_predict_landmarks_universal_gt"]
    assert row[["boxes", "data", "config", "seed", "minutes", "hardware"]].tolist() == [
        "ground_truth", "procedural", "hrnet_demo", 0, "1.5", "a machine",
    ]  # fmt: skip
    assert "flip_test=True" in row["settings"]


def test_finetunings_share_a_row_unless_they_differ():
    def finetuning(category_id: int, **parameters) -> Record:
        step = f"06_finetune_category_hand81_plain_{category_id:02d}"
        return make_record(step, parameters={"category_id": category_id, **parameters})

    records = {record.step: record for record in (finetuning(1), finetuning(2), finetuning(3, epochs=9))}
    table = report.build_tables(records)["provenance"]
    assert table.index.tolist() == ["06_finetune_category_hand81_plain"] * 2
    assert table[["runs", "minutes"]].to_numpy().tolist() == [[2, "3.0"], [1, "1.5"]]


def test_banner_warns_of_procedural_data_and_small_sizes():
    def banner(**parameters: str) -> str:
        step = "01_prepare_data"
        return report.banner({step: make_record(step, parameters=parameters, metrics={"source": "/data/df2"})})

    assert "cannot be compared" in report.banner(make_records())
    assert "Other models (hrnet_demo)" in banner()
    assert "same few photos" in banner(coco_file="a.json")
    assert banner(config="hrnet_w48") == ""


def test_markdown_has_every_row_with_as_many_cells(tables):
    blocks = [report.markdown(tables[name]).splitlines() for name in ("table1", "table2", "table3")]
    assert [len(rows) for rows in blocks] == [9, 13, 16]
    assert all(len({row.count("|") for row in rows}) == 1 for rows in blocks)
    assert any(row.startswith("| sling dress | 6,492 | 130 | 1,149 | 13 | 0.773 | 0.587 |") for row in blocks[2])


def test_html_is_one_readable_file(tmp_path):
    figure = figures.per_category_bars({"a": {"1": 0.5}}, ylabel="AP")
    report.write_html(tmp_path / "report.html", make_records(), {"A <caption>": figure}, title="T & t")
    text = (tmp_path / "report.html").read_text()
    assert "T &amp; t" in text and "A &lt;caption&gt;" in text and "data:image/png;base64," in text
    assert not re.search(r"(src|href)=.?http", text)
    assert text.count("<table") == 6 and text.count("<h2>") == 7
    assert "Procedural data" in text and '<td class="missing">not run</td>' in text


def test_scores_of_splits_leave_out_those_without_annotations(tmp_path):
    coco = make_coco(tmp_path, (1, 2))
    bare = coco.subset(image_ids=[])
    predictions = make_predictions(2, category_id=np.array([1, 2]))
    scores = report.score_splits({"validation": coco, "test": bare}, {"validation": predictions, "test": predictions})
    assert list(scores) == ["validation"] and set(scores["validation"]) == {"visible_and_occluded", "visible_only"}
    table = report.score_table(scores["validation"])
    assert list(table) == ["AP", "AP50", "AP75", "AR", "items", "results"]
    assert table.loc["visible_only", "results"] == 2 and len(CATEGORIES) == 13
