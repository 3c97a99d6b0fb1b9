"""Dominance and hypervolume against their definitions."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelsieve.metrics.metrics import dominated_beyond, hypervolume, on_front

POINTS = st.lists(
    st.tuples(st.integers(0, 8).map(lambda i: i / 8), st.integers(0, 8).map(lambda i: 2.0**i)),
    min_size=1,
    max_size=12,
)


@given(POINTS)
def test_the_front_is_what_nothing_dominates(points: list[tuple[float, float]]) -> None:
    def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a[0] >= b[0] and a[1] <= b[1] and a != b

    expected = [not any(dominates(a, b) for a in points) for b in points]
    assert on_front(*np.array(points).T).tolist() == expected
    assert any(expected)


ANY_POINTS = st.lists(st.tuples(st.floats(-1, 2), st.floats(0.5, 1e7)), min_size=1, max_size=12)


@given(ANY_POINTS, st.randoms(use_true_random=False))
def test_the_order_of_points_changes_nothing(
    points: list[tuple[float, float]], random: Random
) -> None:
    quality, cost = np.array(points).T
    order = np.array(random.sample(range(len(points)), len(points)))
    front = on_front(quality, cost)
    assert on_front(quality[order], cost[order]).tolist() == front[order].tolist()
    box = ((0.0, 1.0), (1.0, 2.0**20))
    whole = hypervolume(quality, cost, *box)
    assert hypervolume(quality[order], cost[order], *box) == pytest.approx(whole, abs=1e-12)
    assert 0 <= whole <= 1
    fewer = hypervolume(quality[1:], cost[1:], *box) if len(points) > 1 else 0
    assert fewer <= whole + 1e-12
    assert hypervolume(quality[front], cost[front], *box) == pytest.approx(whole, abs=1e-12)


@given(ANY_POINTS, st.floats(0, 0.5))
def test_dominance_beyond_a_margin_is_its_definition(
    points: list[tuple[float, float]], margin: float
) -> None:
    (quality, cost), *others = points
    expected = any(c <= cost and q > quality + margin for q, c in others)
    rest = np.array(others).reshape(-1, 2).T
    assert dominated_beyond(margin, quality, cost, *rest) == expected


def test_weakly_dominated_points_are_not_on_the_front() -> None:
    quality, cost = np.array([0.9, 0.9, 0.8, 0.9]), np.array([10.0, 20.0, 10.0, 10.0])
    assert on_front(quality, cost).tolist() == [True, False, False, True]


@given(POINTS)
def test_the_hypervolume_is_the_dominated_share_of_the_box(
    points: list[tuple[float, float]],
) -> None:
    quality, cost = np.array(points).T
    # All points lie on corners of an 8 x 8 grid of cells (quality, log2 cost).
    middle = (np.arange(8) + 0.5) / 8
    better = [
        [any(q > y and np.log2(c) / 8 < x for q, c in points) for x in middle] for y in middle
    ]
    found = hypervolume(quality, cost, (0, 1), (1, 256))
    assert found == pytest.approx(np.mean(better))
    best = on_front(quality, cost)
    assert found == pytest.approx(hypervolume(quality[best], cost[best], (0, 1), (1, 256)))


@given(POINTS)
def test_the_hypervolume_is_optunas(points: list[tuple[float, float]]) -> None:
    from optuna._hypervolume import compute_hypervolume

    quality, cost = np.array(points).T
    losses = np.stack([1 - quality, np.log2(cost) / 8], axis=1)
    expected = compute_hypervolume(losses, np.ones(2))
    assert hypervolume(quality, cost, (0, 1), (1, 256)) == pytest.approx(expected)


def test_points_beyond_the_box() -> None:
    assert hypervolume(np.array([-1.0]), np.array([2.0]), (0, 1), (1, 4)) == 0
    assert hypervolume(np.array([0.5]), np.array([99.0]), (0, 1), (1, 4)) == 0
    assert hypervolume(np.array([2.0]), np.array([0.1]), (0, 1), (1, 4)) == 1
    assert hypervolume(np.array([0.5]), np.array([2.0]), (0, 1), (1, 4)) == pytest.approx(0.25)


def test_dominated_beyond_a_margin() -> None:
    others, costs = np.array([0.8, 0.9]), np.array([100.0, 1000.0])
    assert dominated_beyond(0.02, 0.7, 100, others, costs)
    assert not dominated_beyond(0.02, 0.7, 99, others, costs)
    assert not dominated_beyond(0.02, 0.79, 500, others, costs)
    assert dominated_beyond(0.02, 0.79, 1000, others, costs)
    assert not dominated_beyond(0.02, 0.1, 1, np.array([]), np.array([]))
