"""The report: tables and figures as Markdown and as one self-contained HTML file."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from itertools import chain
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from kps.data.coco import Coco
from kps.evaluation.intervals import Intervals, paired_bootstrap
from kps.files import InputError, atomic_path, sha256
from kps.report.tables import NOT_RUN, TITLES, banner, build_tables
from kps.results.predictions import Predictions
from kps.workspace import Record, Workspace

PROSE = ("how", "settings", "hardware")  # columns set flush left
STYLE = """
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:#22262b;max-width:1180px;
margin:2.5rem auto;padding:0 1.2rem}
h1{font-size:1.7rem;margin-bottom:.2rem} h2{font-size:1.1rem;margin:2.4rem 0 .6rem}
.scroll{overflow-x:auto} table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:.28rem .7rem;border-bottom:1px solid #e3e7eb;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left} thead th{border-bottom:2px solid #8a9199;vertical-align:bottom}
tbody tr:hover{background:#f4f7fa} .wide td{white-space:normal;text-align:left} .missing{color:#9aa1a9}
.banner{background:#fff4d6;border-left:4px solid #e0a100;padding:.7rem 1rem;margin:1rem 0}
figure{margin:1rem 0} img{max-width:100%} figcaption{color:#5b636b;font-size:.86rem}
"""


def text_of(value: Any) -> str:
    """A cell as text: three decimals for a fraction, one for a larger number, separators for thousands."""
    if isinstance(value, Integral):
        return f"{value:,}"
    if isinstance(value, Real):
        return f"{value:.3f}" if abs(value) <= 1 else f"{value:,.1f}"
    return str(value)


def markdown(table: pd.DataFrame) -> str:
    """One table in Markdown; two header levels become one."""
    names = [" ".join(map(str, column)) if isinstance(column, tuple) else str(column) for column in table.columns]
    rows = zip(table.index, table.to_numpy(object), strict=True)
    rule = ["---", *("---" if column in PROSE else "---:" for column in table.columns)]
    cells = [["", *names], rule, *([str(index), *map(text_of, row)] for index, row in rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def write_html(
    path: Path, records: Mapping[str, Record], figures: Mapping[str, Figure] | None = None, *, title: str = "Report"
) -> None:
    """Write the report as one file, pictures inside; `figures` maps a caption to a figure."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    if note := banner(records):
        parts.append(f'<p class="banner">{html.escape(note)}</p>')
    for name, table in build_tables(records).items():
        parts.append(f"<h2>{html.escape(TITLES[name])}</h2>")
        classes = ["wide"] if name == "provenance" else None
        cells = table.map(text_of).to_html(border=0, classes=classes, na_rep="") if table.size else ""
        cells = cells.replace(f"<td>{NOT_RUN}</td>", f'<td class="missing">{NOT_RUN}</td>')
        parts.append(f'<div class="scroll">{cells}</div>' if cells else f"<p>{NOT_RUN}</p>")
    parts += ["<h2>Figures</h2>"] if figures else []
    for caption, figure in (figures or {}).items():
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=110)
        image = f'<img alt="" src="data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}">'
        parts.append(f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>")
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    text = f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


class PaperStep(NamedTuple):
    """A step of the paper, the runs without and with it, and the points of AP that the paper gives it."""

    name: str
    without: str
    with_: str
    paper: float


STEPS = (
    PaperStep("aggregation, 294 to 81", "cascade_identity", "cascade_hand81", 0.559 - 0.556),
    PaperStep("HTC instead of Cascade R-CNN", "cascade_hand81", "universal_no_flip_test", 0.579 - 0.559),
    PaperStep("flip test", "universal_no_flip_test", "universal", 0.584 - 0.579),
    PaperStep("finetuning", "universal", "finetune_plain", 0.612 - 0.584),
    PaperStep("flip training", "finetune_plain", "finetune_flip", 0.614 - 0.612),
    PaperStep("ensemble", "finetune_flip", "ensemble", 0.615 - 0.614),
)


def measure_steps(works: Sequence[Workspace], truth: Coco, *, samples: int = 1000) -> dict[str, Intervals]:
    """The gain of each step whose runs are there, on the validation photos `truth` of workspaces, one a seed.

    InputError: a workspace's photos are others.
    """
    for other in (work.coco("validation") for work in works[1:]):
        if sha256(other) != sha256(works[0].coco("validation")):
            raise InputError(f"{other}: expected the photos of {works[0].root}, but it is another file")
    found = {}
    for step in STEPS:
        paths = [[work.predictions(run, "validation") for work in works] for run in (step.without, step.with_)]
        if all(path.exists() for path in chain(*paths)):
            first, second = ([Predictions.load(path) for path in each] for each in paths)
            found[step.name] = paired_bootstrap(truth, first, second, samples=samples)
    return found


def steps_table(gains: dict[str, Intervals]) -> pd.DataFrame:
    """A row for each step: the paper's gain in AP_kps, ours with its paired interval, and the direction."""
    rows = {}
    for step in STEPS:
        ours = (NOT_RUN, "-", "-")
        if step.name in gains:
            gain = gains[step.name].AP
            direction = "up" if gain.low > 0 else "down" if gain.high < 0 else "undecided"
            ours = (f"{gain.estimate:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}", direction)
        rows[step.name] = (f"{step.paper:+.3f}", *ours)
    columns = ["AP_kps, paper", "AP_kps, ours", "95 % interval", "direction here"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)
