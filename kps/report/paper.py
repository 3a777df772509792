"""The paper's numbers for one detector or one prediction run, beside ours; a dash where it has none."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from kps.evaluation.metrics import Scores
from kps.report.provenance import NOTHING
from kps.report.tables import DETECTORS, PAPER, PAPER_MODELS
from kps.schema import CATEGORIES

NAMES = [item.name for item in CATEGORIES]


def paper_boxes(detector: str) -> dict[str, float]:
    """AP_box of a detector: "all", and of HTC each category by name (Tables 2 and 3)."""
    found = {row["AP_box"] for row in PAPER["table2"] if row["detector"] == DETECTORS.get(detector)}
    by_category = dict(zip(NAMES, PAPER["table3"]["ap_box"], strict=True)) if detector == "htc" else {}
    return {"all": found.pop(), **by_category} if found else {}


def paper_landmarks(*, boxes: str, model: str, aggregation: str, flip_test: bool) -> dict[str, float]:
    """AP_kps of a prediction run: "all" (Table 2), and each category where Table 3 has it."""
    if model not in PAPER_MODELS:
        return {}
    wanted = {
        "detector": DETECTORS.get(boxes),
        "aggregation": aggregation == "hand81",
        "finetune": model.startswith("finetune"),
        "hflip_train": model == "finetune_flip",
        "hflip_test": flip_test,
    }
    known = aggregation in ("hand81", "identity")
    found = [row["AP_kps"] for row in PAPER["table2"] if known and wanted.items() <= row.items()]
    in_table3 = wanted["detector"] == "HTC" and flip_test and model != "finetune_flip"
    if not found or not in_table3:
        return {"all": found[0]} if found else {}
    column = "ap_kps_with_finetuning" if wanted["finetune"] else "ap_kps_without_finetuning"
    return {"all": found[0], **dict(zip(NAMES, PAPER["table3"][column], strict=True))}


def beside_the_paper(scores: Scores, paper: Mapping[str, float]) -> pd.DataFrame:
    """AP of the mean and of each category, ours and the paper's."""
    ours = {"all": scores.AP, **{item.name: scores.per_category[item.id] for item in CATEGORIES}}
    rows = {name: (_text(value), _text(paper.get(name))) for name, value in ours.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["ours", "paper"]).T


def _text(value: float | None) -> str:
    return NOTHING if value is None or value != value else f"{value:.3f}"
