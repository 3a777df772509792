"""Correlation clustering by contraction and local moves: a good partition in milliseconds.

A partition gains the weights of all pairs that it joins; pairs that may not join weigh `FORBIDDEN`. Letters:
n nodes, k clusters.
"""

from __future__ import annotations

import numpy as np

FORBIDDEN = -1e4
EPSILON = 1e-9  # gains below this are rounding


def gain(weights: np.ndarray, labels: np.ndarray) -> float:
    """Summed weight (n, n) of all pairs that labels (n,) join."""
    joined = np.triu(labels[:, None] == labels, 1)
    return float(weights[joined].sum())


def contract(weights: np.ndarray) -> np.ndarray:
    """Greedy additive edge contraction: from singletons, always join the two clusters that gain most."""
    return _merge_clusters(weights, np.arange(len(weights)))[0]


def improve(weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Take the best of moving a node, swapping two nodes and joining two clusters, until none gains.

    A swap is what the rules ask for: a cluster has room for one landmark of a category, so a better one comes
    in only as the other goes.
    """
    labels, merged = _compact(labels), True
    while merged:
        while _move_or_swap(weights, labels):
            labels = _compact(labels)
        labels, merged = _merge_clusters(weights, labels)
    return labels


def _compact(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1]


def _members(labels: np.ndarray) -> np.ndarray:
    """(n, k) 1.0 where a node is in a cluster."""
    return np.eye(labels.max() + 1)[labels]


def _merge_clusters(weights: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, bool]:
    """Join clusters while that gains; also whether any were."""
    members = _members(_compact(labels))
    between = members.T @ weights @ members
    np.fill_diagonal(between, FORBIDDEN)
    merged = False
    while between.max(initial=FORBIDDEN) > EPSILON:
        a, b = np.unravel_index(between.argmax(), between.shape)
        between[a] += between[b]
        between[:, a] += between[:, b]
        between[a, a] = between[b] = between[:, b] = FORBIDDEN
        members[:, a] += members[:, b]
        members[:, b] = 0
        merged = True
    return _compact(members.argmax(1)), merged


def _move_or_swap(weights: np.ndarray, labels: np.ndarray) -> bool:
    """Change `labels` by the best single move or swap, if one gains."""
    nodes = np.arange(len(labels))
    to_cluster = np.column_stack([weights @ _members(labels), np.zeros(len(labels))])  # the last one is empty
    own = to_cluster[nodes, labels]
    move = to_cluster - own[:, None]
    to_other = to_cluster[:, labels]  # (n, n): what a gains in b's cluster
    swap = to_other + to_other.T - 2 * weights - own[:, None] - own
    swap[labels[:, None] == labels] = 0
    if max(move.max(), swap.max()) <= EPSILON:
        return False
    if move.max() >= swap.max():
        node, cluster = np.unravel_index(move.argmax(), move.shape)
        labels[node] = cluster
    else:
        a, b = np.unravel_index(swap.argmax(), swap.shape)
        labels[a], labels[b] = labels[b], labels[a]
    return True
