"""How alike are two landmarks of different categories? Cues as distances in [0, 1], and their fusion.

The paper merges "similar landmarks" by eye (section 2.1); here likeness is measured:

- `position`: where a landmark sits on the garment;
- `sigma`: how precisely people place it;
- `contour`: what the outline does there and around;
- `appearance`: what photos show there;
- cross-prediction and a backbone's features need a trained model: `kps.models.landmark_features`.
"""

from kps.homogeneity.agreement import leave_one_out, resampled, separation, split_half
from kps.homogeneity.appearance import appearance_cue, compare
from kps.homogeneity.contour import contour_cue, counterparts
from kps.homogeneity.cue import CROSS_PAIRS, Cue, cue
from kps.homogeneity.descriptors import Descriptors, gradient_descriptors, sample_places
from kps.homogeneity.measured import WEIGHTS, Homogeneity, fuse, fused_of, measure
from kps.homogeneity.position import align, hellinger, position_cue, position_distance
from kps.homogeneity.shapes import Shapes, category_shapes
from kps.homogeneity.sigma import sigma_cue
