"""Figures of merit over seeds: bootstrap intervals, and paired tests between recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.metrics.metrics import (
    EFFICIENCIES,
    accuracy,
    auc_of,
    rank,
    rejection_at,
    rejection_of,
    roc_auc,
    tie_loss_at,
)

_CHUNK = 25

METRICS = ("accuracy", "auc", *(f"rejection_{100 * e:.0f}" for e in EFFICIENCIES))
"""Names of the figures of merit: `accuracy`, `auc`, `rejection_90`, ... `rejection_99`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures of merit of one network, by attribute or by name.

    `rejection_NN` is the background rejection at NN % signal efficiency, `efficiency_NN` the
    signal efficiency achieved there, `tie_loss_NN` what ties cost of it (`metrics.tie_loss_at`;
    0 if an older version, which did not tell, wrote them).
    """

    accuracy: float
    auc: float
    rejection_90: float
    efficiency_90: float
    tie_loss_90: float = 0.0
    rejection_95: float
    efficiency_95: float
    tie_loss_95: float = 0.0
    rejection_98: float
    efficiency_98: float
    tie_loss_98: float = 0.0
    rejection_99: float
    efficiency_99: float
    tie_loss_99: float = 0.0

    def __getitem__(self, name: str) -> float:
        return float(getattr(self, name))


def score(scores: NDArray[Any], labels: NDArray[Any], threshold: float = 0.0) -> Metrics:
    """Return every figure of merit of one network.

    `scores` (n,) are logits (or anything that grows with the likeness to signal); `threshold`
    is that of the accuracy.
    """
    figures = {}
    for efficiency in EFFICIENCIES:
        rejection, achieved, _ = rejection_at(scores, labels, efficiency)
        figures[f"rejection_{100 * efficiency:.0f}"] = rejection
        figures[f"efficiency_{100 * efficiency:.0f}"] = achieved
        figures[f"tie_loss_{100 * efficiency:.0f}"] = tie_loss_at(scores, labels, efficiency)
    return Metrics(
        accuracy=accuracy(scores, labels, threshold), auc=roc_auc(scores, labels), **figures
    )


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean and the sample standard deviation, which is 0 for a single value."""

    mean: float
    spread: float


def summarize(figures: Sequence[Metrics]) -> dict[str, Mean]:
    """Return mean and spread over seeds by the name of each figure of merit of `METRICS`."""
    return {name: mean_and_spread([f[name] for f in figures]) for name in METRICS}


def mean_and_spread(values: Sequence[float]) -> Mean:
    """Return the mean and the sample standard deviation."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Mean(float(np.mean(values)), spread)


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
    left out. Raise `DataError` if none is left.
    """
    drawn = _resampled(scores, labels, groups, resamples, seed, threshold)
    return {name: _interval(np.mean(each, axis=0)) for name, each in drawn.items()}


@dataclass(frozen=True, slots=True)
class PairedInterval:
    """A difference on all clusters, and its central 68 % interval from resampling them."""

    difference: float
    low: float
    high: float


def paired_bootstrap(
    first: NDArray[Any],
    second: NDArray[Any],
    labels: NDArray[Any],
    groups: NDArray[Any],
    *,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, PairedInterval]:
    """Return figures of merit of the first minus those of the second classifier.

    Both see the same draws of whole particle groups, as in `bootstrap`.
    """
    drawn = _resampled([first, second], labels, groups, resamples, seed, 0.0)
    ours, theirs = score(first, labels), score(second, labels)
    found = {}
    for name, (one, other) in drawn.items():
        interval = _interval(one - other)
        found[name] = PairedInterval(ours[name] - theirs[name], interval.low, interval.high)
    return found


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, (0.16, 0.84))
    return Interval(float(low), float(high))


def _resampled(
    scores: Sequence[NDArray[Any]],
    labels: NDArray[Any],
    groups: NDArray[Any],
    resamples: int,
    seed: int,
    threshold: float,
) -> dict[str, list[NDArray[np.float64]]]:
    """Return each figure of merit on each draw that has both classes, by classifier."""
    rng = np.random.default_rng(seed)
    _, members = np.unique(groups, return_inverse=True)
    n_groups = int(members.max()) + 1
    shares = np.full(n_groups, 1 / n_groups)
    ranked = [rank(one, labels) for one in scores]
    right = [(one >= threshold) == (labels > 0) for one in scores]
    parts: dict[str, list[list[NDArray[np.float64]]]] = {n: [[] for _ in scores] for n in METRICS}
    for first in range(0, resamples, _CHUNK):
        draws = rng.multinomial(n_groups, shares, size=min(_CHUNK, resamples - first))
        weights = draws[:, members].astype(np.float64)
        signal = weights[:, labels > 0].sum(axis=1)
        # Small sets have draws without one of the classes; they have no rejection.
        weights = weights[(signal > 0) & (signal < weights.sum(axis=1))]
        for i, (one, its_right) in enumerate(zip(ranked, right, strict=True)):
            kept_signal, kept_bib = one.kept(weights)
            parts["accuracy"][i].append(weights @ its_right / weights.sum(axis=1))
            parts["auc"][i].append(auc_of(kept_signal, kept_bib))
            for efficiency in EFFICIENCIES:
                name = f"rejection_{100 * efficiency:.0f}"
                parts[name][i].append(rejection_of(kept_signal, kept_bib, efficiency)[0])
    found = {name: [np.concatenate(one) for one in each] for name, each in parts.items()}
    if not len(found["auc"][0]):
        msg = "bootstrap: too few clusters; no resample holds both classes"
        raise DataError(msg)
    return found


@dataclass(frozen=True, slots=True)
class PairedTest:
    """`better`, the one with the higher mean, minus `than`, seed by seed.

    `difference` is the mean, `low` to `high` its 95 % interval, `p_value` that of the two-sided
    paired t-test, `p_corrected` the same corrected for all tests of this metric. All but
    the difference are None if the seeds tell no spread: a single one, or equal differences.
    """

    metric: str
    better: str
    than: str
    seeds: int
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    p_corrected: float | None = None


def paired_test(
    metric: str, better: str, than: str, first: Sequence[float], second: Sequence[float]
) -> PairedTest:
    """Compare values of the same seeds (`first[i]` and `second[i]` share a seed)."""
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    n, mean = len(differences), float(differences.mean())
    # Differences that are equal but for their last bits tell no spread either.
    if n < 2 or np.ptp(differences) <= 1e-12 * np.abs([first, second]).max():  # noqa: PLR2004
        return PairedTest(metric, better, than, n, mean, None, None, None)
    from scipy import stats

    test = stats.ttest_rel(first, second)
    low, high = test.confidence_interval(0.95)
    return PairedTest(metric, better, than, n, mean, float(low), float(high), float(test.pvalue))


def corrected(tests: Sequence[PairedTest]) -> list[PairedTest]:
    """Return the tests with `p_corrected` by Holm's method, for all that have a p-value.

    The smallest of m p-values counts m times, the next m - 1 times, and so on, none less than the
    one before it: the chance that any of the tests is called sure without reason stays that of
    one test (Holm, Scand. J. Stat. 6 (1979) 65).
    """
    order = sorted(
        (i for i, t in enumerate(tests) if t.p_value is not None), key=lambda i: _p(tests[i])
    )
    found, largest = list(tests), 0.0
    for done, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - done) * _p(tests[i])))
        found[i] = replace(tests[i], p_corrected=largest)
    return found


def _p(test: PairedTest) -> float:
    return 1.0 if test.p_value is None else test.p_value
