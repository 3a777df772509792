"""Scores of results against ground truth: the challenge's protocol, its doubt, and what costs points."""
