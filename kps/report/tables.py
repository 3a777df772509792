"""The paper's tables beside ours, where each number comes from, and "not run" where there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from kps.data.coco import Coco
from kps.evaluation.intervals import bootstrap
from kps.evaluation.scores import Scores, evaluate
from kps.files import InputError
from kps.results.predictions import Predictions
from kps.schema import CATEGORIES, package_data
from kps.workspace import BUILT_IN, GROUND_TRUTH, Record

NAMES = [item.name for item in CATEGORIES]
ROWS = ["all", *NAMES]
NOTHING = "-"
PAPER = orjson.loads(package_data("report/paper_tables.json"))
NOT_RUN = "not run"
PAPER_MODELS, PAPER_MAPS = ("universal", "finetune_plain", "finetune_flip"), ("identity", "hand81")
SETTINGS = ("detector", "aggregation", "finetune", "hflip_train", "hflip_test")  # what Table 2 tells apart
DETECTORS = {"htc": "HTC", "cascade": "Cascade", GROUND_TRUTH: "Ground-truth"}
TITLES = {
    "table1": "Table 1. Comparison: AP_kps, detected boxes, visible and occluded landmarks",
    "table2": "Table 2. Ablation: AP_kps on validation, visible and occluded landmarks; a column is one run",
    "table3": "Table 3. Per category, detected boxes, visible and occluded landmarks, with flip test",
    "ground_truth_boxes": "Ground-truth boxes (ours only): AP_kps, visible and occluded landmarks",
    "visible_only": "Visible landmarks only (ours only): AP_kps",
    "provenance": "How each number was obtained",
}


def paper_boxes(detector: str) -> dict[str, float]:
    """AP_box of a detector: "all", and of HTC each category by name (Tables 2 and 3)."""
    found = {row["AP_box"] for row in PAPER["table2"] if row["detector"] == DETECTORS.get(detector)}
    by_category = dict(zip(NAMES, PAPER["table3"]["ap_box"], strict=True)) if detector == "htc" else {}
    return {"all": found.pop(), **by_category} if found else {}


def paper_landmarks(*, boxes: str, model: str, aggregation: str, flip_test: bool) -> dict[str, float]:
    """AP_kps of a prediction run: "all" (Table 2), and each category where Table 3 has it."""
    wanted = _settings(boxes, model, aggregation, flip_test)
    known = model in PAPER_MODELS and aggregation in PAPER_MAPS
    rows = [row for row in PAPER["table2"] if known and wanted.items() <= row.items()]
    found = {"all": rows[0]["AP_kps"]} if rows else {}
    if found and wanted["detector"] == "HTC" and flip_test and model != "finetune_flip":
        column = "ap_kps_with_finetuning" if wanted["finetune"] else "ap_kps_without_finetuning"
        found |= zip(NAMES, PAPER["table3"][column], strict=True)
    return found


def _settings(boxes: str, model: str, aggregation: str, flip_test: bool) -> dict[str, Any]:
    values = (aggregation != "identity", model.startswith("finetune"), model == "finetune_flip", flip_test)
    return dict(zip(SETTINGS, (DETECTORS.get(boxes, boxes), *values), strict=True))


def beside_the_paper(scores: Scores, paper: Mapping[str, float]) -> pd.DataFrame:
    """AP of the mean and of each category, ours and the paper's."""
    ours = dict(zip(ROWS, (scores.AP, *scores.per_category.values()), strict=True))
    table = pd.DataFrame({"ours": ours, "paper": paper}, index=ROWS, dtype=float)
    return table.map(lambda value: NOTHING if value != value else f"{value:.3f}").T


@dataclass(frozen=True)
class Run:
    """One scored prediction run; `scores` maps "visible_and_occluded" and "visible_only" to its scores."""

    name: str
    model: str
    boxes: str
    aggregation: str
    flip_test: bool
    scores: dict[str, Any]
    record: Record

    @property
    def settings(self) -> dict[str, Any]:
        """What Table 2 tells apart, by the names of SETTINGS; of an ensemble the detector alone."""
        values = _settings(self.boxes, self.model, self.aggregation, self.flip_test)
        return values | dict.fromkeys(SETTINGS[1:], NOTHING) if self.model == "ensemble" else values

    @property
    def of_the_paper(self) -> bool:
        """Whether maps, finetuning and crops are the paper's: no ablation, derived map, ensemble or several crops."""
        one_crop = self.record.parameters.get("crop_scales", [1.0]) == [1.0]
        return one_crop and self.model in PAPER_MODELS and self.aggregation in PAPER_MAPS


def find_runs(records: Mapping[str, Record]) -> list[Run]:
    """Prediction runs and ensembles with a validation score, in the order of the records."""
    runs = []
    for step, record in records.items():
        if step.startswith(("07_", "08_")) and record.metrics.get("validation"):
            given = {"model": "ensemble", "aggregation": "", "flip_test": True} | record.parameters
            values = {name: given[name] for name in ("model", "aggregation", "flip_test")}
            measured = {"boxes": record.metrics["boxes"], "scores": record.metrics["validation"]}
            runs.append(Run(name=given["run"], record=record, **values, **measured))
    return runs


def build_tables(records: Mapping[str, Record]) -> dict[str, pd.DataFrame]:
    """All tables of the report by the names of TITLES; a cell is a number, a text or "not run"."""
    runs = find_runs(records)
    on_truth = {run.name: _by_category(_scores(run)) for run in runs if run.boxes == GROUND_TRUTH}
    return {
        "table1": _table1(records, runs),
        "table2": _table2(records, runs),
        "table3": _table3(records, runs),
        "ground_truth_boxes": pd.DataFrame({"#val": _counts(records, "validation"), **on_truth}, index=ROWS),
        "visible_only": _visible_only(runs),
        "provenance": provenance(records),
    }


def _scores(run: Run | None) -> dict[str, Any] | None:
    return run and run.scores["visible_and_occluded"]


def _ap(scores: dict[str, Any] | None, category_id: int | None = None) -> Any:
    """AP of the mean, or of a category; a dash where validation has no item of it."""
    value = scores and (scores["per_category"][str(category_id)] if category_id else scores["AP"])
    return NOT_RUN if scores is None else NOTHING if value is None else value


def _interval(scores: dict[str, Any] | None) -> str:
    interval = (scores or {}).get("interval") or [None]
    return NOTHING if None in interval else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _find(runs: list[Run], wanted: Mapping[str, Any]) -> Run | None:
    """The paper's run with these settings."""
    return next((run for run in runs if run.of_the_paper and run.settings.items() <= wanted.items()), None)


def _ensemble(records: Mapping[str, Record], runs: list[Run]) -> Run | None:
    """The ensemble on detected boxes; of several, the one that was submitted."""
    found = [run for run in runs if run.model == "ensemble" and run.boxes != GROUND_TRUTH]
    return next((run for run in found if run.name == _submitted(records)), found[0] if found else None)


def _submitted(records: Mapping[str, Record]) -> str | None:
    return records["09_submission"].parameters["run"] if "09_submission" in records else None


def _table1(records: Mapping[str, Record], runs: list[Run]) -> pd.DataFrame:
    published = ((row["method"], row["validation"], row["test"]) for row in PAPER["table1"])
    rows = [(method, validation or NOTHING, test or NOTHING, "published") for method, validation, test in published]
    run, how, on_test = _ensemble(records, runs), "no ensemble was run", NOT_RUN
    if run is not None:
        how = f"run {run.name}: {data_kind(records)} data, {run.settings['detector']} boxes"
        if test := run.record.metrics.get("test"):
            on_test = _ap(test["visible_and_occluded"])
        elif "test" in run.record.parameters.get("splits", ("test",)):
            on_test = "no annotations"
    rows.append(("This run: ensemble", _ap(_scores(run)), on_test, how))
    if (interval := _interval(_scores(run))) != NOTHING:
        rows.append(("  its 95 % interval", interval, NOTHING, "over photos, by random halves"))
    return pd.DataFrame(rows, columns=["method", "validation", "test", "how"]).set_index("method")


def submitted_run(records: Mapping[str, Record]) -> str:
    """Name of the run to show: the one that was submitted, else the last one that was scored.

    InputError: no run was scored.
    """
    names = [run.name for run in find_runs(records)]
    if not names:
        raise InputError("expected at least one scored prediction run among the records, but there is none")
    submitted = _submitted(records)
    return submitted if submitted in names else names[-1]


def _table2(records: Mapping[str, Record], runs: list[Run]) -> pd.DataFrame:
    """The paper's columns first, then ours that the paper does not have."""
    found = [_find(runs, row) for row in PAPER["table2"]]
    columns = [_column(records, row, row, run) for row, run in zip(PAPER["table2"], found, strict=True)]
    columns += [_column(records, run.settings, {}, run) for run in runs if run not in found]
    table = pd.DataFrame(dict(enumerate(columns, 1)))
    return table.drop(index="95 % interval") if (table.loc["95 % interval"] == NOTHING).all() else table


def _column(
    records: Mapping[str, Record], settings: Mapping[str, Any], paper: Mapping[str, Any], run: Run | None
) -> dict[str, Any]:
    detector, marks = settings["detector"], {True: "✓", False: "", NOTHING: NOTHING}
    return {
        "det model": detector,
        "AP_box, paper": paper.get("AP_box", NOTHING),
        "AP_box, ours": 1.0 if detector == DETECTORS[GROUND_TRUTH] else _ap(_box_scores(records, detector)),
        **{name.replace("_", " "): marks[settings[name]] for name in SETTINGS[1:]},
        "AP_kps, paper": paper.get("AP_kps", NOTHING),
        "AP_kps, ours": _ap(_scores(run)),
        "95 % interval": _interval(_scores(run)),
        "our run": run.name if run else NOTHING,
    }


def _box_scores(records: Mapping[str, Record], label: str) -> dict[str, Any] | None:
    """Validation scores of the detector that the paper's tables call `label`."""
    for step, record in records.items():
        detector = record.parameters.get("detector", "")
        if step.startswith("04_") and DETECTORS.get(detector, detector) == label:
            return record.metrics["validation"]
    return None


def _table3(records: Mapping[str, Record], runs: list[Run]) -> pd.DataFrame:
    wanted = _settings("htc", "universal", "hand81", True)
    without, with_ = (_find(runs, wanted | {"finetune": finetuned}) for finetuned in (False, True))
    ours = {
        ("#train", "num_train"): _counts(records, "train"),
        ("#val", "num_val"): _counts(records, "validation"),
        ("AP_box", "ap_box"): _by_category(_box_scores(records, "HTC")),
        ("AP_kps w/o ft", "ap_kps_without_finetuning"): _by_category(_scores(without)),
        ("AP_kps w/ ft", "ap_kps_with_finetuning"): _by_category(_scores(with_)),
    }
    columns = {}
    for (name, key), values in ours.items():
        columns[name, "paper"] = [PAPER["table3"]["all"][key], *PAPER["table3"][key]]
        columns[name, "ours"] = values
    return pd.DataFrame(columns, index=ROWS)


def _counts(records: Mapping[str, Record], split: str) -> list[Any]:
    record = records.get("01_prepare_data")
    if record is None:
        return [NOT_RUN] * len(ROWS)
    counts = [record.metrics["items"][split][str(item.id)] for item in CATEGORIES]
    return [sum(counts), *counts]


def _by_category(scores: dict[str, Any] | None) -> list[Any]:
    """The mean and the 13 values of a score."""
    return [_ap(scores), *(_ap(scores, item.id) for item in CATEGORIES)]


def _visible_only(runs: list[Run]) -> pd.DataFrame:
    rows = {}
    for run in runs:
        value = _ap(run.scores["visible_only"])
        rows[run.name] = (NOTHING, value) if run.boxes == GROUND_TRUTH else (value, NOTHING)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["detected boxes", "ground-truth boxes"])


FIGURES = ["AP", "AP50", "AP75", "AR", "num_items", "num_results"]
KINDS = {"visible_and_occluded": False, "visible_only": True}  # of scores: whether occluded landmarks are left out


def score_splits(truth: Mapping[str, Coco], predictions: Mapping[str, Predictions]) -> dict[str, dict[str, Scores]]:
    """Landmark scores of each split that has annotations, by KINDS."""
    return {
        split: {kind: evaluate(coco, predictions[split], visible_only=only) for kind, only in KINDS.items()}
        for split, coco in truth.items()
        if len(coco.instances)
    }


def scores_with_intervals(
    scores: Mapping[str, Mapping[str, Scores]], truth: Mapping[str, Coco], predictions: Mapping[str, Predictions]
) -> dict[str, dict[str, Any]]:
    """What a record holds of `score_splits`: by split and kind, with the "interval" of AP over photos."""
    values: dict[str, dict[str, Any]] = {}
    for split, kinds in scores.items():
        for kind, score in kinds.items():
            ap = bootstrap(truth[split], predictions[split], visible_only=KINDS[kind]).to_json()["AP"]
            values.setdefault(split, {})[kind] = score.to_json() | {"interval": [ap["low"], ap["high"]]}
    return values


def score_table(scores: Mapping[str, Scores]) -> pd.DataFrame:
    """One row of AP, AP50, AP75, AR and counts for each of the named scores."""
    rows = {label: vars(score) for label, score in scores.items()}
    table = pd.DataFrame.from_dict(rows, orient="index")[FIGURES].round(3)
    return table.rename(columns=lambda name: name.removeprefix("num_"))


PAPERS = ("htc_x101", "cascade_x101", "hrnet_w48")  # configurations of the paper's own models


def provenance(records: Mapping[str, Record]) -> pd.DataFrame:
    """A row a step; the finetunings that differ in nothing but their category share one."""
    columns = ["step", "settings", "boxes", "data", "config", "seed", "hardware"]
    rows = []
    for step, record in records.items():
        given = record.parameters
        hidden = ("workspace", "config", "seed", "category_id")
        settings = [f"{name}={value}" for name, value in given.items() if name not in hidden and value is not None]
        base = step.removesuffix(f"_{given['category_id']:02d}") if "category_id" in given else step
        known = (base, ", ".join(settings), record.metrics.get("boxes", NOTHING), data_kind(records))
        key = (*known, given.get("config", NOTHING), given.get("seed", NOTHING), record.hardware)
        rows.append((*key, record.seconds / 60, record.finished.replace("T", " ")[:16]))
    groups = pd.DataFrame(rows, columns=[*columns, "minutes", "finished"]).groupby(columns, sort=False)
    table = groups.agg(runs=("minutes", "size"), minutes=("minutes", "sum"), finished=("finished", "max"))
    return table.assign(minutes=table["minutes"].map("{:.1f}".format)).reset_index().set_index("step")


def data_kind(records: Mapping[str, Record]) -> str:
    """ "procedural", "real (name of the folder or file)", or "unknown" before any data were prepared."""
    if "01_prepare_data" not in records:
        return "unknown"
    source = records["01_prepare_data"].metrics["source"]
    return "procedural" if source == BUILT_IN else f"real ({Path(source).name})"


def banner(records: Mapping[str, Record]) -> str:
    """What a reader must know before reading a number; empty where nothing stands in the way."""
    if data_kind(records) == "procedural":
        return (
            "Procedural data: our numbers are on photos drawn by the project itself. They show that every "
            "stage works and learns; they cannot be compared with the paper's on DeepFashion2."
        )
    if "01_prepare_data" in records and records["01_prepare_data"].parameters.get("coco_file"):
        return (
            "The same few photos serve for training and validation: the numbers show that the flow takes "
            "real photos, nothing else."
        )
    others = {record.parameters.get("config") for record in records.values()} - {*PAPERS, None}
    if others:
        return f"Other models ({', '.join(sorted(others))}): smaller models and shorter training than the paper's."
    return ""
