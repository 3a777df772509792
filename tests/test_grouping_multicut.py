"""The multicut: matches as good as SciPy's, and a solver that agrees with trying every partition."""

from itertools import product

import numpy as np
import pytest
from grouping_cases import noisy_distance, random_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from kps.aggregation import Aggregation
from kps.likeness import exact, local_search
from kps.likeness.multicut import _ordered_matches, assign, multicut, pair_weights
from kps.likeness.orbits import NUM_ORBITS, ORBIT_CATEGORY, collapse


def partitions(count: int):
    """Labels (count,) of every partition, as restricted growth strings."""
    for rest in product(*(range(index + 1) for index in range(count))):
        if all(label <= max(rest[:index], default=-1) + 1 for index, label in enumerate(rest)):
            yield np.array(rest)


LIMIT = 600.0  # seconds, more than any machine needs


def tiny_weights(seed: int, count: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n, n) and categories (n,) of a small problem with forbidden and unknown pairs."""
    rng = np.random.default_rng(seed)
    category = rng.integers(0, 4, count)
    weights = np.triu(rng.normal(0.05, 0.5, (count, count)), 1)
    weights[rng.random(weights.shape) < 0.1] = local_search.FORBIDDEN
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    weights[category[:, None] == category] = local_search.FORBIDDEN
    np.fill_diagonal(weights, 0)
    return weights, category


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_the_exact_solver_agrees_with_brute_force(seed):
    weights, category = tiny_weights(seed)
    best = max(local_search.gain(weights, labels) for labels in partitions(len(weights)))
    found = exact.solve(weights, category, np.arange(len(weights)), seconds=LIMIT)
    assert found.proved_optimal
    assert found.gain == pytest.approx(best, abs=1e-6)
    assert local_search.gain(weights, found.labels) == found.gain


def test_a_fractional_relaxation_is_settled_in_integers():
    # An odd wheel: the relaxation joins every rim node to the hub by half and is too optimistic.
    weights = np.full((6, 6), -1.0)
    weights[0] = weights[:, 0] = 1.0
    np.fill_diagonal(weights, 0)
    programme = exact._Programme(weights, ~np.eye(6, dtype=bool), np.arange(6))
    bound = np.inf
    while True:
        x, bound = programme.solve(integer=False, seconds=LIMIT)
        if not programme.add_violated(x):
            break
    best = max(local_search.gain(weights, labels) for labels in partitions(6))
    assert bound > best + 0.1
    found = exact.solve(weights, np.arange(6), np.arange(6), seconds=LIMIT)
    assert found.proved_optimal and found.gain == pytest.approx(best)


def test_without_time_the_bound_still_holds_and_nothing_is_claimed():
    weights, category = tiny_weights(2)
    found = exact.solve(weights, category, np.arange(7), seconds=0)
    best = max(local_search.gain(weights, labels) for labels in partitions(7))
    assert found.bound >= best > found.gain and not found.proved_optimal


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_local_search_never_loses_and_never_joins_the_forbidden(seed):
    weights, _ = tiny_weights(seed, count=12)
    start = local_search.contract(weights)
    found = local_search.improve(weights, start)
    assert local_search.gain(weights, found) >= local_search.gain(weights, start) >= 0


def test_a_swap_gets_out_where_no_single_move_does():
    a, b, c, d = range(4)  # a and b are of one category, as are c and d; a belongs to d, b to c
    weights = np.zeros((4, 4))
    for (first, second), weight in {(a, c): 1.0, (b, d): 1.0, (a, d): 2.0, (b, c): 2.0}.items():
        weights[first, second] = weights[second, first] = weight
    for first, second in ((a, b), (c, d)):
        weights[first, second] = weights[second, first] = local_search.FORBIDDEN
    found = local_search.improve(weights, np.array([0, 1, 0, 1]))
    assert found[a] == found[d] != found[b] == found[c]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 100_000), rows=st.integers(1, 5), columns=st.integers(1, 5))
def test_ordered_matches_save_most_of_all_rising_ones(seed, rows, columns):
    saved = np.random.default_rng(seed).random((rows, columns)).round(1)
    row, column = _ordered_matches(saved)
    assert (np.diff(row) > 0).all() and (np.diff(column) > 0).all()

    def best(i: int, j: int) -> float:
        if i == rows or j == columns:
            return 0.0
        return max(saved[i, j] + best(i + 1, j + 1), best(i + 1, j), best(i, j + 1))

    assert saved[row, column].sum() == pytest.approx(best(0, 0))
    free = saved[linear_sum_assignment(saved, maximize=True)].sum()
    assert saved[row, column].sum() <= free + 1e-12


def test_an_assignment_is_one_to_one_and_nearer_than_the_threshold():
    orbits = collapse(random_distance(5, unknown=0.1))
    matched = assign(orbits, 0.4)
    assert np.array_equal(matched, matched.T) and matched.any()
    assert (orbits.distance[matched] < 0.4).all()
    for kind in range(1, 14):
        assert matched[:, kind == ORBIT_CATEGORY].sum(1).max() <= 1


def test_what_the_assignment_leaves_apart_attracts_nobody():
    orbits = collapse(random_distance(6))
    weights = pair_weights(orbits, 0.5)
    matched = assign(orbits, 0.5)
    assert (weights[matched] > 0).all() and (weights[~matched] <= 0).all()
    assert (weights[~orbits.known & ~np.eye(NUM_ORBITS, dtype=bool)] == local_search.FORBIDDEN).all()


def test_parts_that_nothing_connects_are_solved_one_by_one():
    hand = Aggregation.named("hand81")
    weights = pair_weights(collapse(noisy_distance(hand, seed=0, noise=0.05)), 0.5)
    found = multicut(weights, np.arange(NUM_ORBITS), seconds=LIMIT)
    assert found.proved_optimal and found.gain == pytest.approx(found.bound)
    assert local_search.gain(weights, found.labels) == found.gain
