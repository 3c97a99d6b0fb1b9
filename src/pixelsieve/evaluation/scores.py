"""All figures of merit of one classifier, alone and over seeds, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import DataError
from pixelsieve.evaluation.metrics import (
    EFFICIENCIES,
    accuracy,
    auc_of,
    rank,
    rejection_at,
    rejection_of,
    roc_auc,
    tie_loss_at,
)

__all__ = ["METRICS", "Interval", "bootstrap", "mean_and_spread", "score", "summarize"]

_CHUNK = 25

METRICS = ("accuracy", "auc", *(f"rejection_{100 * e:.0f}" for e in EFFICIENCIES))
"""Names of the figures of merit: `accuracy`, `auc`, `rejection_90`, ... `rejection_99`."""


def score(scores: NDArray[Any], labels: NDArray[Any], threshold: float = 0.0) -> dict[str, float]:
    """Every figure of merit of `METRICS`, and at each rejection `efficiency_NN` and `tie_loss_NN`.

    `scores` (n,) are logits (or anything that grows with the likeness to signal); `threshold`
    is that of the accuracy. The efficiency is the one achieved, the loss what ties cost of the
    rejection (`metrics.tie_loss_at`).
    """
    figures = {
        "accuracy": accuracy(scores, labels, threshold),
        "auc": roc_auc(scores, labels),
    }
    for efficiency in EFFICIENCIES:
        rejection, achieved, _ = rejection_at(scores, labels, efficiency)
        figures[f"rejection_{100 * efficiency:.0f}"] = rejection
        figures[f"efficiency_{100 * efficiency:.0f}"] = achieved
        figures[f"tie_loss_{100 * efficiency:.0f}"] = tie_loss_at(scores, labels, efficiency)
    return figures


def summarize(figures: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and spread (sample standard deviation, 0 for one seed) over seeds, by metric."""
    return {name: mean_and_spread([f[name] for f in figures]) for name in METRICS}


def mean_and_spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and sample standard deviation (0 for a single value)."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "spread": spread}


@dataclass(frozen=True, slots=True)
class Interval:
    """A central 68 % interval."""

    low: float
    high: float


def bootstrap(
    scores: Sequence[NDArray[Any]],
    labels: NDArray[Any],
    groups: NDArray[Any],
    *,
    resamples: int = 200,
    seed: int = 0,
    threshold: float = 0.0,
) -> dict[str, Interval]:
    """Central 68 % intervals of the mean over classifiers, from resampling the test clusters.

    Whole particle groups (`groups`, (n,)) are drawn with replacement, since clusters of one
    particle are not independent. All classifiers see the same draws; draws that lack a class are
    left out. Raises `DataError` where none is left.
    """
    rng = np.random.default_rng(seed)
    _, members = np.unique(groups, return_inverse=True)
    n_groups = int(members.max()) + 1
    shares = np.full(n_groups, 1 / n_groups)
    ranked = [rank(one, labels) for one in scores]
    right = [(one >= threshold) == (labels > 0) for one in scores]
    values: dict[str, list[NDArray[np.float64]]] = {name: [] for name in METRICS}
    for first in range(0, resamples, _CHUNK):
        draws = rng.multinomial(n_groups, shares, size=min(_CHUNK, resamples - first))
        weights = draws[:, members].astype(np.float64)
        signal = weights[:, labels > 0].sum(axis=1)
        # Small sets have draws without one of the classes; they have no rejection.
        weights = weights[(signal > 0) & (signal < weights.sum(axis=1))]
        totals = {name: np.zeros(len(weights)) for name in METRICS}
        for one, its_right in zip(ranked, right, strict=True):
            kept_signal, kept_bib = one.kept(weights)
            totals["accuracy"] += weights @ its_right / weights.sum(axis=1)
            totals["auc"] += auc_of(kept_signal, kept_bib)
            for efficiency in EFFICIENCIES:
                name = f"rejection_{100 * efficiency:.0f}"
                totals[name] += rejection_of(kept_signal, kept_bib, efficiency)[0]
        for name, total in totals.items():
            values[name].append(total / len(scores))
    intervals = {}
    for name, parts in values.items():
        every = np.concatenate(parts)
        if not len(every):
            msg = "bootstrap: too few clusters; no resample holds both classes"
            raise DataError(msg)
        low, high = np.quantile(every, (0.16, 0.84))
        intervals[name] = Interval(float(low), float(high))
    return intervals
