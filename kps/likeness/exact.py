"""Correlation clustering to proved optimality: an integer programme with inequalities added when needed.

x_ab = 1 joins nodes a and b. Two families of inequalities make x a partition with at most one node of a
category in a cluster (letters: n nodes, E edges that may be joined, C a category):

- a node joins at most one node of a category: sum over c in C of x_ac <= 1; all of them from the start;
- joining is transitive. If a and b are joined they have the same partner in C, so for every part S of C
  x_ab + sum over c in S of (x_ac - x_bc) <= 1. With one c in S this is the triangle inequality; the sum is
  stronger, since a has one partner in C at most. Only violated ones are added, the best S for each (a, b, C).

Cutting planes for multicut: Grötschel and Wakabayashi (1989); the solver is HiGHS through SciPy.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, vstack

from kps.likeness.local_search import FORBIDDEN, gain, improve

TOLERANCE = 1e-6
MAX_CUTS = 1500  # added at once, the most violated first


@dataclass(frozen=True)
class Solution:
    """A partition (n,), what it gains, and a bound that no partition exceeds."""

    labels: np.ndarray
    gain: float
    bound: float

    @property
    def proved_optimal(self) -> bool:
        """Whether the bound meets the gain."""
        return self.bound <= self.gain + TOLERANCE * max(1.0, abs(self.gain))


class _Programme:
    """The programme of one set of nodes, and the inequalities found so far."""

    def __init__(self, weights: np.ndarray, allowed: np.ndarray, category: np.ndarray) -> None:
        self.nodes, self.category = len(weights), category
        self.first, self.second = np.nonzero(np.triu(allowed, 1))
        self.edge = np.full((self.nodes, self.nodes), -1)
        self.edge[self.first, self.second] = np.arange(len(self.first))
        self.edge[self.second, self.first] = np.arange(len(self.first))
        self.cost = -weights[self.first, self.second]
        self.rows = self._one_of_a_category()

    def _one_of_a_category(self) -> coo_array:
        node, other = np.nonzero(self.edge >= 0)
        key = np.unique(node * 1000 + self.category[other], return_inverse=True)[1]
        ones = np.ones(len(node))
        return coo_array((ones, (key, self.edge[node, other])), shape=(key.max() + 1, len(self.cost)))

    def solve(self, *, integer: bool, seconds: float) -> tuple[np.ndarray | None, float]:
        """x as a matrix (n, n), None where time ran out, and an upper bound of the gain."""
        result = milp(
            self.cost,
            integrality=np.full(len(self.cost), int(integer)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(self.rows, -np.inf, 1),
            options={"time_limit": max(seconds, 0.1), "mip_rel_gap": 0.0},
        )
        bound = getattr(result, "mip_dual_bound", None) if integer else result.fun
        bound = np.inf if bound is None or (not integer and result.status != 0) else -bound
        if result.x is None or result.status != 0:
            return None, bound
        matrix = np.zeros((self.nodes, self.nodes))
        matrix[self.first, self.second] = matrix[self.second, self.first] = result.x
        return matrix, bound

    def add_violated(self, x: np.ndarray) -> int:
        """Add the most violated transitivity inequalities at x; how many there were."""
        found = [self._violated(x, kind) for kind in np.unique(self.category)]
        a, b, kind, excess = (np.concatenate(part) for part in zip(*found, strict=True))
        worst = np.argsort(-excess, kind="stable")[:MAX_CUTS]
        rows = [self._row(x, *cut) for cut in zip(a[worst], b[worst], kind[worst], strict=True)]
        if rows:
            columns = np.concatenate([column for column, _ in rows])
            values = np.concatenate([value for _, value in rows])
            row = np.repeat(np.arange(len(rows)), [len(value) for _, value in rows])
            added = coo_array((values, (row, columns)), shape=(len(rows), len(self.cost)))
            self.rows = vstack([self.rows, added])
        return len(rows)

    def _violated(self, x: np.ndarray, kind: int) -> tuple[np.ndarray, ...]:
        """(a, b, category, excess) of the violated inequalities with partners in one category."""
        partners = x[:, self.category == kind]
        surplus = np.maximum(partners[:, None] - partners[None], 0).sum(-1)
        excess = np.where(self.edge >= 0, x + surplus - 1, 0)
        outside = self.category != kind
        excess *= outside[:, None] & outside
        a, b = np.nonzero(excess > TOLERANCE)
        return a, b, np.full(len(a), kind), excess[a, b]

    def _row(self, x: np.ndarray, a: int, b: int, kind: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.flatnonzero((self.category == kind) & (x[a] > x[b] + TOLERANCE / 10))
        lost = self.edge[b, chosen]
        columns = np.concatenate([[self.edge[a, b]], self.edge[a, chosen], lost[lost >= 0]])
        return columns, np.concatenate([np.ones(1 + len(chosen)), -np.ones((lost >= 0).sum())])


def solve(weights: np.ndarray, category: np.ndarray, start: np.ndarray, *, seconds: float) -> Solution:
    """Find the partition that gains most, or the best one in the time given and how far it may be from it.

    The linear relaxation comes first and nearly always suffices: once its bound meets the start, that is
    proved. Where a gap remains, the same programme is solved in integers.

    Args:
        weights: (n, n) gain of joining two nodes; `local_search.FORBIDDEN` where they may not join.
        category: (n,) of each node; nodes of a category may never join.
        start: (n,) labels of a partition to begin with.
        seconds: limit of time.
    """
    deadline = time.monotonic() + seconds
    allowed = (weights > FORBIDDEN / 2) & ~np.eye(len(weights), dtype=bool)
    best = Solution(start, gain(weights, start), float(weights[np.triu(allowed, 1)].clip(0).sum()))
    if best.proved_optimal:
        return best
    programme = _Programme(weights, allowed, category)
    for integer in (False, True):
        while not best.proved_optimal and time.monotonic() < deadline:
            x, bound = programme.solve(integer=integer, seconds=deadline - time.monotonic())
            best = Solution(best.labels, best.gain, max(min(best.bound, bound), best.gain))
            if x is None:
                return best
            best = _better(best, improve(weights, _rounded(x, allowed)), weights)
            if programme.add_violated(x) == 0:
                break
    return best


def _rounded(x: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(n,) labels: nodes in turn join the first cluster whose nodes all have x more than half."""
    labels = np.arange(len(x))
    for node in range(len(x)):
        for founder in np.unique(labels[:node]):
            members = np.flatnonzero(labels[:node] == founder)
            if (x[node, members] > 0.5).all() and allowed[node, members].all():
                labels[node] = founder
                break
    return labels


def _better(best: Solution, labels: np.ndarray, weights: np.ndarray) -> Solution:
    value = gain(weights, labels)
    return Solution(labels, value, max(best.bound, value)) if value > best.gain else best
