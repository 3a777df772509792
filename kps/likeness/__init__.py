"""How alike are two landmarks of different categories? Cues as distances in [0, 1], and their fusion.

The paper merges "similar landmarks" by eye (section 2.1); here likeness is measured:

- `position`: where a landmark sits on the garment;
- `sigma`: how precisely people place it;
- `contour`: what the outline does there and around;
- `appearance`: what photos show there;
- cross-prediction and a backbone's features need a trained model: `kps.models.landmark_features`.
"""

from kps.likeness.agreement import leave_one_out, resampled, separation, split_half
from kps.likeness.appearance import appearance_cue, compare
from kps.likeness.audit import audit_merges, audit_missed, audit_short_sleeve_outwear
from kps.likeness.average_link import MergeTree, merge_tree
from kps.likeness.contour import contour_cue, counterparts
from kps.likeness.controls import random_map, same_number
from kps.likeness.cue import CROSS_PAIRS, Cue, cue
from kps.likeness.derive import METHODS, THRESHOLDS, Choice, Derived, choose_threshold, derive_map, family
from kps.likeness.descriptors import Descriptors, gradient_descriptors, sample_places
from kps.likeness.map_scores import Scores, Stability, adjusted_rand, score, score_table, stability
from kps.likeness.measured import WEIGHTS, Homogeneity, fuse, fused_of, measure
from kps.likeness.names import placed
from kps.likeness.orbits import OrbitDistances, collapse
from kps.likeness.position import align, hellinger, position_cue, position_distance
from kps.likeness.shapes import Shapes, category_shapes
from kps.likeness.sigma import sigma_cue
