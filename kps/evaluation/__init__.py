"""Scores of results against ground truth: the challenge's protocol, its uncertainty, and what costs points."""
