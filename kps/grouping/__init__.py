"""Which landmarks should share a group? Maps derived from distances, their scores, an audit of a hand map.

A distance (294, 294) in [0, 1] comes in (`kps.homogeneity` measures one), a valid `Aggregation` goes out.
"""

from kps.grouping.audit import audit_merges, audit_missed, audit_short_sleeve_outwear
from kps.grouping.average_link import MergeTree, merge_tree
from kps.grouping.controls import random_map, same_number
from kps.grouping.derive import METHODS, THRESHOLDS, Choice, Derived, choose_threshold, derive_map, family
from kps.grouping.names import placed
from kps.grouping.orbits import OrbitDistances, collapse
from kps.grouping.scores import Scores, Stability, adjusted_rand, score, score_table, stability
