"""Figures: one function a kind, each returns a matplotlib Figure."""

from kps.figures.charts import (
    category_imbalance,
    causes_of_loss,
    curves_and_confusions,
    learning_curves,
    per_category_bars,
    points_with_intervals,
    score_intervals,
    subset_bars,
)
from kps.figures.garments import (
    contact_sheet,
    detection_grid,
    draw_instances,
    landmark_crops,
    mean_shapes,
    prediction_grid,
    showcase,
    training_samples,
    truth_grid,
)
from kps.figures.maps import doubtful_pairs, likeness_matrices, map_poster, threshold_curve
