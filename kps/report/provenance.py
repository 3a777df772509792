"""Where the numbers come from: data, settings, seed, time and machine of every step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from kps.data.prepare import BUILT_IN
from kps.workspace import Record

NOTHING = "-"
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
