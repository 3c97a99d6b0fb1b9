"""Is one recipe better than another? Paired over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["PairedTest", "paired_test"]


@dataclass(frozen=True, slots=True)
class PairedTest:
    """`better` minus `than`, seed by seed.

    `difference` is the mean, `low` to `high` its 95 % interval, `p_value` that of the two-sided
    paired t-test (None for a single seed, where there is no test).
    """

    metric: str
    better: str
    than: str
    seeds: int
    difference: float
    low: float | None
    high: float | None
    p_value: float | None


def paired_test(
    metric: str, better: str, than: str, first: Sequence[float], second: Sequence[float]
) -> PairedTest:
    """Compare values of the same seeds (`first[i]` and `second[i]` share a seed)."""
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    mean = float(differences.mean())
    n = len(differences)
    if n < 2:  # noqa: PLR2004 (a spread needs two)
        return PairedTest(metric, better, than, n, mean, None, None, None)
    error = float(differences.std(ddof=1)) / np.sqrt(n)
    if error == 0.0:
        p_value = 1.0 if mean == 0.0 else 0.0
        return PairedTest(metric, better, than, n, mean, mean, mean, p_value)
    from scipy import stats

    half = float(stats.t.ppf(0.975, n - 1)) * error
    p_value = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    return PairedTest(metric, better, than, n, mean, mean - half, mean + half, p_value)
