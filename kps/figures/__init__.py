"""Figures: one function a kind, each returns a matplotlib Figure."""

from kps.figures.charts import (
    category_imbalance,
    category_likeness,
    examples_per_channel,
    learning_curves,
    per_category_bars,
    similarity_matrices,
)
from kps.figures.crops import landmark_crops, training_samples
from kps.figures.errors import causes_of_loss, landmark_errors
from kps.figures.garments import (
    detection_grid,
    draw_instances,
    prediction_grid,
    showcase,
    truth_grid,
)
from kps.figures.map_curves import dendrogram, threshold_curve
from kps.figures.maps import distance_matrix, doubtful_pairs, map_poster
from kps.figures.outlines import mean_shapes
from kps.figures.score_bars import score_intervals, subset_bars
