"""Fixed-point numbers: `fixed<signed, total bits, integer bits>`, half to even, saturating."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pixelsieve.errors import ConfigError

__all__ = ["FixedPoint", "best_integer_bits"]


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """A grid of fixed-point values.

    `bits` counts the sign; `integer_bits` does not and may be negative (a step finer than the
    bits alone give, i.e. a power-of-two scale). Values run from `minimum` to `maximum` in units
    of `step`. Signed, the grid equals QKeras `quantized_bits(bits, integer_bits, alpha=1)`,
    unsigned `quantized_relu(bits, integer_bits)` (golden grid of the tests).
    """

    signed: bool
    bits: int
    integer_bits: int = 0

    def __post_init__(self) -> None:
        if self.bits - self.signed < 1:
            msg = f"bits is {self.bits}; expected at least {1 + self.signed}"
            raise ConfigError(msg)

    @property
    def fraction_bits(self) -> int:
        """Bits behind the binary point (may exceed `bits`, may be negative)."""
        return self.bits - self.signed - self.integer_bits

    @property
    def step(self) -> float:
        """Distance of two neighbouring values."""
        return float(2.0**-self.fraction_bits)

    @property
    def lowest_code(self) -> int:
        """Smallest integer code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest_code(self) -> int:
        """Largest integer code."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def minimum(self) -> float:
        """Smallest value."""
        return self.lowest_code * self.step

    @property
    def maximum(self) -> float:
        """Largest value."""
        return self.highest_code * self.step

    def codes(self, values: ArrayLike) -> NDArray[np.int64]:
        """Integer codes of `values`: round half to even, then saturate."""
        scaled = np.rint(np.asarray(values, dtype=np.float64) / self.step)
        return np.clip(scaled, self.lowest_code, self.highest_code).astype(np.int64)

    def quantize(self, values: ArrayLike) -> NDArray[np.float64]:
        """The nearest representable values (float64, exact)."""
        return np.asarray(self.codes(values) * self.step, dtype=np.float64)

    def saturates(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Where rounding alone would leave the range."""
        scaled = np.rint(np.asarray(values, dtype=np.float64) / self.step)
        return np.asarray((scaled < self.lowest_code) | (scaled > self.highest_code))

    def __str__(self) -> str:
        kind = "fixed" if self.signed else "ufixed"
        return f"{kind}<{self.bits},{self.integer_bits + self.signed}>"


def best_integer_bits(
    values: NDArray[Any], *, signed: bool, bits: int, lowest: int = -8, highest: int = 8
) -> int:
    """Integer bits whose grid has the smallest mean squared error on `values`.

    The scale is a power of two, hence a free shift in hardware. Ties and all-zero input give the
    value nearest to 0.
    """
    flat = np.asarray(values, dtype=np.float64).reshape(-1)

    def error(integer_bits: int) -> tuple[float, int]:
        grid = FixedPoint(signed, bits, integer_bits)
        return float(np.mean((grid.quantize(flat) - flat) ** 2)), abs(integer_bits)

    return min(range(lowest, highest + 1), key=error)
