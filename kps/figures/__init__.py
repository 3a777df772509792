"""Figures: one function a kind, each returns a matplotlib Figure."""

from kps.figures.charts import (
    category_imbalance,
    category_likeness,
    causes_of_loss,
    examples_per_channel,
    landmark_errors,
    learning_curves,
    per_category_bars,
    score_intervals,
    similarity_matrices,
    subset_bars,
)
from kps.figures.garments import (
    detection_grid,
    draw_instances,
    landmark_crops,
    mean_shapes,
    prediction_grid,
    showcase,
    training_samples,
    truth_grid,
)
from kps.figures.maps import dendrogram, distance_matrix, doubtful_pairs, map_poster, threshold_curve
