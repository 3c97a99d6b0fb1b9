"""Is one recipe better than another? Paired over seeds, corrected for the number of tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["PairedTest", "corrected", "paired_test"]


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
