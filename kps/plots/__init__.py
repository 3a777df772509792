"""Figures: one function a kind, each returns a matplotlib Figure."""

from kps.plots.charts import (
    category_imbalance,
    category_likeness,
    examples_per_channel,
    learning_curves,
    per_category_bars,
    similarity_matrices,
)
from kps.plots.photos import (
    detection_grid,
    draw_garment,
    draw_instances,
    prediction_grid,
    read_photo,
    showcase,
    truth_grid,
)
from kps.plots.shapes import mapping, mean_shapes

__all__ = [
    "category_imbalance",
    "category_likeness",
    "detection_grid",
    "draw_garment",
    "draw_instances",
    "examples_per_channel",
    "learning_curves",
    "mapping",
    "mean_shapes",
    "per_category_bars",
    "prediction_grid",
    "read_photo",
    "showcase",
    "similarity_matrices",
    "truth_grid",
]
