"""Figures of merit of scores against labels (ties count against us), and what nothing beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pixelsieve.core.errors import DataError

EFFICIENCIES = (0.90, 0.95, 0.98, 0.99)
"""Signal efficiencies at which background rejection is quoted."""

EFFICIENCY = 0.98
"""The one at which a threshold is set where no other is asked for."""

LARGEST_TIE_LOSS = 0.01
"""A network whose ties at the threshold cost more rejection than this has coarse logits."""


def accuracy(scores: NDArray[Any], labels: NDArray[Any], threshold: float = 0.0) -> float:
    """Return the fraction of clusters on the right side.

    A logit of exactly the threshold counts as signal, as the keep bit has it.
    """
    return float(np.mean((scores >= threshold) == (labels > 0)))


@dataclass(frozen=True, slots=True)
class RankedScores:
    """Distinct scores from high to low, and where each cluster ranks among them.

    `order` sorts the clusters by falling score; `last` is the position in that order of the last
    cluster of each distinct score.
    """

    distinct: NDArray[Any]
    order: NDArray[np.intp]
    last: NDArray[np.intp]
    signal: NDArray[np.bool_]

    def kept(
        self, weights: NDArray[Any] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Signal and BIB weight kept at each distinct threshold, shapes (..., distinct).

        `weights` (..., n) count each cluster, one by default.
        """
        w = np.ones(len(self.order)) if weights is None else np.asarray(weights, np.float64)
        w = w[..., self.order]
        of_signal = np.cumsum(w * self.signal, axis=-1)[..., self.last]
        return of_signal, np.cumsum(w * ~self.signal, axis=-1)[..., self.last]


def rank(scores: NDArray[Any], labels: NDArray[Any]) -> RankedScores:
    """Sort once for every figure of merit. Raise `DataError` on NaN or a missing class."""
    if not np.all(np.isfinite(scores)):
        msg = "scores: not all are finite numbers; the network has diverged"
        raise DataError(msg)
    signal = labels > 0
    if signal.all() or not signal.any():
        msg = "labels: only one class; signal and BIB are both needed"
        raise DataError(msg)
    order = np.argsort(scores, kind="stable")[::-1]
    falling = scores[order]
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
    return RankedScores(falling[last], order, last, signal[order])


def auc_of(kept_signal: NDArray[Any], kept_bib: NDArray[Any]) -> NDArray[np.float64]:
    """Area under the ROC curve from kept weights, last axis thresholds (trapezia: ties half)."""
    zero = np.zeros((*kept_signal.shape[:-1], 1))
    x = np.concatenate([zero, kept_bib], axis=-1) / kept_bib[..., -1:]
    y = np.concatenate([zero, kept_signal], axis=-1) / kept_signal[..., -1:]
    return np.asarray(np.trapezoid(y, x, axis=-1))


def rejection_of(
    kept_signal: NDArray[Any], kept_bib: NDArray[Any], efficiency: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Rejection at `efficiency`, and the index of its threshold, from kept weights."""
    # A relative 1e-12 keeps 0.95 * 20 = 19.000000000000004 from asking for a 20th cluster.
    enough = kept_signal >= efficiency * kept_signal[..., -1:] * (1 - 1e-12)
    index = np.argmax(enough, axis=-1)
    kept = np.take_along_axis(kept_bib, index[..., None], axis=-1)[..., 0]
    return 1 - kept / kept_bib[..., -1], index


def roc_auc(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Area under the ROC curve; a tie between signal and BIB counts one half."""
    return float(auc_of(*rank(scores, labels).kept()))


def rejection_at(
    scores: NDArray[Any], labels: NDArray[Any], efficiency: float
) -> tuple[float, float, float]:
    """Background rejection, achieved signal efficiency (>= `efficiency`) and threshold."""
    ranked = rank(scores, labels)
    kept_signal, kept_bib = ranked.kept()
    rejection, index = rejection_of(kept_signal, kept_bib, efficiency)
    achieved = kept_signal[index] / kept_signal[-1]
    return float(rejection), float(achieved), float(ranked.distinct[index])


def tie_loss_at(scores: NDArray[Any], labels: NDArray[Any], efficiency: float) -> float:
    """Return the background rejection that ties at the threshold cost, 0 to 1.

    That is how much more of the BIB would be dropped if the clusters of that one score could be
    split at random, so that exactly `efficiency` of the signal is kept: a straight line between
    two points of the ROC curve. Coarse logits, of few distinct values, lose much.
    """
    ranked = rank(scores, labels)
    kept_signal, kept_bib = ranked.kept()
    index = int(rejection_of(kept_signal, kept_bib, efficiency)[1])
    before = (0.0, 0.0) if index == 0 else (kept_signal[index - 1], kept_bib[index - 1])
    signal, bib = kept_signal[index] - before[0], kept_bib[index] - before[1]
    spare = max(kept_signal[index] - efficiency * kept_signal[-1], 0.0)
    return float(bib * spare / signal / kept_bib[-1])


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Shares of signal and of BIB kept, from the highest threshold to the lowest."""

    signal_efficiency: NDArray[np.float64]
    bib_kept: NDArray[np.float64]


def roc_curve(scores: NDArray[Any], labels: NDArray[Any]) -> RocCurve:
    """The ROC curve, one point a distinct score."""
    kept_signal, kept_bib = rank(scores, labels).kept()
    return RocCurve(kept_signal / kept_signal[-1], kept_bib / kept_bib[-1])


_BINS = 50
_INSIDE = (0.001, 0.999)


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    """Clusters by score: `edges` (bins + 1), counts of `signal` and of `bib`, all seeds together.

    The first and the last bin also count what lies beyond them.
    """

    edges: list[float]
    signal: list[int]
    bib: list[int]


def score_histogram(scores: Sequence[NDArray[Any]], labels: NDArray[Any]) -> ScoreHistogram:
    """Histogram of the scores (n,) of several networks on the same clusters.

    The edges span 99.8 % of the scores.
    """
    every = np.stack(scores).astype(np.float64)
    low, high = np.quantile(every, _INSIDE)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    clipped = every.clip(low, high)
    signal, bib = (np.histogram(clipped[:, labels == kind], edges)[0] for kind in (1, 0))
    return ScoreHistogram(edges.tolist(), signal.tolist(), bib.tolist())


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
