"""Which networks nothing beats: dominance, the front, its hypervolume."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def on_front(quality: NDArray[Any], cost: NDArray[Any]) -> NDArray[np.bool_]:
    """Which points (n,) no other dominates: higher `quality` is better, lower `cost` is better.

    A point dominates another where it is at least as good in both and better in one, so equal
    points do not dominate each other and are all on the front.
    """
    q, c = np.asarray(quality, np.float64), np.asarray(cost, np.float64)
    as_good = (q[:, None] >= q) & (c[:, None] <= c)
    better = (q[:, None] > q) | (c[:, None] < c)
    return np.asarray(~(as_good & better).any(axis=0))


def dominated_beyond(
    margin: float, quality: float, cost: float, others: ArrayLike, other_costs: ArrayLike
) -> bool:
    """Whether another point costs no more and is better by more than `margin` in quality."""
    return bool(np.any((np.asarray(other_costs) <= cost) & (np.asarray(others) > quality + margin)))


def hypervolume(
    quality: NDArray[Any],
    cost: NDArray[Any],
    quality_range: tuple[float, float],
    cost_range: tuple[float, float],
) -> float:
    """Share, 0 to 1, of the box that the points dominate; never falls as points are added.

    The box spans `quality_range` linearly and `cost_range` in the logarithm; points beyond its
    bad ends count nothing, points beyond its good ends count as on them.
    """
    low, high = quality_range
    cheap, dear = np.log(cost_range)
    q = (np.clip(np.asarray(quality, np.float64), low, high) - low) / (high - low)
    c = np.log(np.clip(np.asarray(cost, np.float64), *cost_range))
    saved = (dear - c) / (dear - cheap)
    order = np.argsort(-saved, kind="stable")
    best = np.maximum.accumulate(q[order])
    widths = saved[order] - np.append(saved[order][1:], 0.0)
    return float(widths @ best)
