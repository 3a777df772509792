"""The report: the paper's tables with ours beside them, as data frames, Markdown and HTML."""

from kps.report.page import STEPS, banner, markdown, measure_steps, steps_table, write_html
from kps.report.tables import (
    PAPER,
    TITLES,
    beside_the_paper,
    build_tables,
    find_runs,
    paper_boxes,
    paper_landmarks,
    score_splits,
    score_table,
    scores_with_intervals,
    submitted_run,
)
