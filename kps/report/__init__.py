"""The report: the paper's tables with ours beside them, as data frames, Markdown and HTML."""

from kps.report.paper import beside_the_paper, paper_boxes, paper_landmarks
from kps.report.provenance import banner
from kps.report.render import markdown, markdown_tables, write_html
from kps.report.runs import STEPS, measure_steps, steps_table
from kps.report.score_tables import score_splits, score_table, scores_with_intervals
from kps.report.tables import PAPER, TITLES, build_tables, find_runs, submitted_run
