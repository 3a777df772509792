"""Figures: one function a kind, each returns a matplotlib Figure."""

from kps.plots.charts import (
    category_imbalance,
    category_likeness,
    examples_per_channel,
    learning_curves,
    per_category_bars,
    similarity_matrices,
)
from kps.plots.crops import landmark_crops
from kps.plots.errors import causes_of_loss, landmark_errors
from kps.plots.grouping import distance_matrix, doubtful_pairs, map_poster
from kps.plots.grouping_curves import dendrogram, threshold_curve
from kps.plots.photos import (
    detection_grid,
    draw_instances,
    prediction_grid,
    showcase,
    truth_grid,
)
from kps.plots.scores import score_intervals, subset_bars
from kps.plots.shapes import mean_shapes
