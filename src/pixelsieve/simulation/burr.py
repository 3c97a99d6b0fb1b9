"""The Burr law (type XII): a positive quantity with power laws at both ends, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import require_above_0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Burr:
    """Scale (in the quantity's unit), power `rise` near 0 and power `rise * tail` far out.

    The cumulative distribution is 1 - (1 + (x/scale)^rise)^-tail (Burr 1942; Singh and Maddala
    1976). Raise `ConfigError` unless all three are above 0.
    """

    scale: float
    rise: float
    tail: float

    def __post_init__(self) -> None:
        require_above_0(self, "scale", "rise", "tail")

    def quantile(self, u: Floats) -> Floats:
        """The value below which the share `u` lies, any shape."""
        return burr_quantile(u, self.scale, self.rise, self.tail)

    def cut_quantile(self, u: Floats, limit: Floats | float) -> Floats:
        """The same for the law cut off at `limit`."""
        return cut_burr_quantile(u, limit, self.scale, self.rise, self.tail)


def burr_quantile(
    u: Floats, scale: Floats | float, rise: Floats | float, tail: Floats | float
) -> Floats:
    """Inverse of the cumulative distribution at `u` in [0, 1); the arguments broadcast."""
    result: Floats = scale * np.expm1(-np.log1p(-u) / tail) ** (1 / rise)
    return result


def cut_burr_quantile(
    u: Floats,
    limit: Floats | float,
    scale: Floats | float,
    rise: Floats | float,
    tail: Floats | float,
) -> Floats:
    """`burr_quantile` of the law cut off at `limit` and scaled up to a share of 1 below it."""
    below = burr_cumulative(np.asarray(limit), scale, rise, tail)
    return burr_quantile(u * below, scale, rise, tail)


def burr_cumulative(
    x: Floats, scale: Floats | float, rise: Floats | float, tail: Floats | float
) -> Floats:
    """Share of the distribution below `x` >= 0; the arguments broadcast."""
    result: Floats = -np.expm1(-tail * np.log1p((x / scale) ** rise))
    return result
