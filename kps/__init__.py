"""Clothes landmark detection on DeepFashion2 by aggregation and finetuning."""

__version__ = "0.1.0"
