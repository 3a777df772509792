"""How alike are two landmarks of different categories, and which should share a channel?

The paper merges "similar landmarks" by eye (section 2.1); here likeness is measured: where a landmark sits on the
garment, how precisely people place it, and what the outline does there. From a distance (294, 294) in [0, 1] follow a
map of groups, its scores beside a hand map's, and an audit of that.
"""

from kps.likeness.audit import audit_merges, audit_missed
from kps.likeness.grouping import (
    THRESHOLDS,
    Choice,
    adjusted_rand,
    choose_threshold,
    derive_map,
    pairwise_rand,
    placed,
    random_map,
    same_number,
    score_table,
)
from kps.likeness.homogeneity import Homogeneity, leave_one_out, measure, resampled, separation, split_half
from kps.likeness.shapes import Shapes
