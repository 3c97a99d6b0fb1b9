"""Fixed-point numbers: `FixedPoint` grids, and `Quantizer`s with bits of their own per element."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pixelsieve.core.errors import ConfigError

Codes = NDArray[np.int64]

Rounding = Literal["RND_CONV", "RND", "TRN"]
"""To the nearest, half to even; to the nearest, half up; down."""

Overflow = Literal["SAT", "WRAP"]
"""At the end of the range: stay there, or go on at its other end (upper bits are dropped)."""

LARGEST_SUM_BITS = 62
"""Integers of at most this many bits can be rounded in int64."""

_LARGEST_EXPONENT = 512  # float64 holds every step and range up to here


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """A grid of fixed-point values.

    `bits` counts the sign; `integer_bits` does not and may be negative (a step finer than the
    bits alone give, i.e. a power-of-two scale). Values run from `minimum` to `maximum` in units
    of `step`. Signed, the grid equals QKeras `quantized_bits(bits, integer_bits, alpha=1)`,
    unsigned `quantized_relu(bits, integer_bits)` (golden grid of the tests). Raises `ConfigError`
    for bits that no grid has.
    """

    signed: bool
    bits: int
    integer_bits: int = 0

    def __post_init__(self) -> None:
        if self.bits - self.signed < 1:
            msg = f"bits is {self.bits}; expected at least {1 + self.signed}"
            raise ConfigError(msg)
        if self.bits > _LARGEST_EXPONENT:
            msg = f"bits is {self.bits}; expected at most {_LARGEST_EXPONENT}"
            raise ConfigError(msg)
        _check_integer_bits((self.integer_bits,))

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
        """Integer codes of `values`: round half to even, then saturate.

        Raises `ConfigError` for grids of more than 62 bits, whose codes int64 does not hold.
        """
        if self.bits > LARGEST_SUM_BITS:
            msg = f"a grid of {self.bits} bits; codes have at most {LARGEST_SUM_BITS}"
            raise ConfigError(msg)
        scaled = np.rint(np.asarray(values, dtype=np.float64) / self.step)
        codes = np.clip(scaled, self.lowest_code, self.highest_code).astype(np.int64)
        return np.minimum(codes, self.highest_code)  # above 53 bits float64 rounds the end up

    def quantize(self, values: ArrayLike) -> NDArray[np.float64]:
        """The nearest representable values (float64, exact)."""
        return np.asarray(self.codes(values) * self.step, dtype=np.float64)

    def saturates(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Return where rounding alone would leave the range."""
        scaled = np.rint(np.asarray(values, dtype=np.float64) / self.step)
        return np.asarray((scaled < self.lowest_code) | (scaled > self.highest_code))

    def __str__(self) -> str:
        kind = "fixed" if self.signed else "ufixed"
        return f"{kind}<{self.bits},{self.integer_bits + self.signed}>"


def _check_integer_bits(several: tuple[int, ...]) -> None:
    for integer_bits in several:
        if abs(integer_bits) > _LARGEST_EXPONENT:
            msg = f"integer_bits is {integer_bits}; expected at most {_LARGEST_EXPONENT} in size"
            raise ConfigError(msg)


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


def exact_grid(values: ArrayLike) -> FixedPoint:
    """The coarsest and smallest signed grid (2 bits or more) that holds all `values` exactly."""
    fractions = exact_fractions(values)[np.asarray(values) != 0]
    fraction_bits = int(fractions.max()) if fractions.size else 0
    largest = int(np.max(np.abs(np.asarray(values, np.float64)), initial=0) * 2.0**fraction_bits)
    bits = max(2, largest.bit_length() + 1)
    return FixedPoint(signed=True, bits=bits, integer_bits=bits - 1 - fraction_bits)


def exact_fractions(values: ArrayLike) -> NDArray[np.int64]:
    """Bits behind the binary point that each value needs; negative for multiples of 2, 0 for 0."""
    significand, exponent = np.frexp(np.asarray(values, np.float64))
    whole = (significand * 2.0**53).astype(np.int64)
    trailing = np.log2(np.where(whole == 0, 1, whole & -whole).astype(np.float64)).astype(np.int64)
    return np.asarray(np.where(whole == 0, 0, 53 - exponent - trailing), np.int64)


@dataclass(frozen=True, slots=True)
class Quantizer:
    """The way onto fixed-point grids that may differ from element to element of a vector.

    Element i has `bits[i]` (its sign included, 0: always zero) and `integer_bits[i]` (its sign not
    included, see `FixedPoint`). A code of the vector counts steps of its finest element. Raises
    `ConfigError` for lists of different lengths and bits that are negative or above 62.
    """

    signed: tuple[bool, ...]
    bits: tuple[int, ...]
    integer_bits: tuple[int, ...]
    rounding: Rounding = "RND_CONV"
    overflow: Overflow = "SAT"

    def __post_init__(self) -> None:
        lengths = {len(self.signed), len(self.bits), len(self.integer_bits)}
        if len(lengths) > 1 or not self.bits:
            msg = f"quantizer: lists of lengths {sorted(lengths)}; expected one number an element"
            raise ConfigError(msg)
        if min(self.bits) < 0:
            msg = f"quantizer: bits are {min(self.bits)}; expected 0 (always zero) or more"
            raise ConfigError(msg)
        if max(self.bits) > LARGEST_SUM_BITS:
            msg = f"quantizer: bits are {max(self.bits)}; expected at most {LARGEST_SUM_BITS}"
            raise ConfigError(msg)
        _check_integer_bits(self.integer_bits)

    @classmethod
    def uniform(cls, grid: FixedPoint, width: int) -> Quantizer:
        """The same grid for each of `width` elements; half to even, saturating."""
        return cls((grid.signed,) * width, (grid.bits,) * width, (grid.integer_bits,) * width)

    def __len__(self) -> int:
        return len(self.bits)

    @property
    def fractions(self) -> NDArray[np.int64]:
        """Bits behind the binary point of each element; those of the finest where it is zero."""
        bits, signed = np.array(self.bits), np.array(self.signed, np.int64)
        own = bits - signed - np.array(self.integer_bits)
        alive = bits > 0
        return np.asarray(np.where(alive, own, own[alive].max() if alive.any() else 0), np.int64)

    @property
    def fraction_bits(self) -> int:
        """Bits behind the binary point of the codes, those of the finest element."""
        return int(self.fractions.max())

    @property
    def lowest_codes(self) -> NDArray[Any]:
        """Smallest code of each element, as Python integers."""
        return np.asarray(self._ends[0].astype(object) << self._shifts)

    @property
    def highest_codes(self) -> NDArray[Any]:
        """Largest code of each element, as Python integers."""
        return np.asarray(self._ends[1].astype(object) << self._shifts)

    @property
    def _shifts(self) -> NDArray[Any]:
        return (self.fraction_bits - self.fractions).astype(object)

    def element(self, i: int) -> Quantizer:
        """The quantizer of element i alone."""
        one = slice(i, i + 1)
        return replace(
            self, signed=self.signed[one], bits=self.bits[one], integer_bits=self.integer_bits[one]
        )

    def without_bits(self) -> Quantizer:
        """As many elements, all of them zero."""
        none = (0,) * len(self)
        return replace(self, signed=(False,) * len(self), bits=none, integer_bits=none)

    def above(self, codes: Codes, fraction_bits: int) -> NDArray[np.bool_]:
        """Return where codes (n, elements) with `fraction_bits`, once rounded, exceed the range."""
        own = rounded(codes, fraction_bits - self.fractions, self.rounding)
        return np.asarray(own > self._ends[1])

    def codes_in_order(self, codes: Codes, fraction_bits: int) -> Codes:
        """Like `codes`, but where the range wraps the upper bits are kept: larger is never less.

        Equal values for the ends of a range of inputs say that the output is constant.
        """
        own = rounded(codes, fraction_bits - self.fractions, self.rounding)
        low, high = self._ends
        if self.overflow == "SAT":
            own = np.clip(own, low, high)
        return np.asarray(
            np.where(np.array(self.bits) > 0, own, 0) << self._shifts.astype(np.int64)
        )

    def codes(self, codes: Codes, fraction_bits: int) -> Codes:
        """Codes of this quantizer for codes (n, elements) with `fraction_bits`, |code| < 2^61."""
        own = rounded(codes, fraction_bits - self.fractions, self.rounding)
        low, high = self._ends
        wraps = self.overflow == "WRAP"
        own = low + ((own - low) & (high - low)) if wraps else np.clip(own, low, high)
        return np.asarray(own << (self.fraction_bits - self.fractions))

    @property
    def _ends(self) -> tuple[Codes, Codes]:
        signed, bits = np.array(self.signed, np.int64), np.array(self.bits, np.int64)
        alive = bits > 0
        one = np.int64(1)
        low = np.where(alive & (signed > 0), -(one << np.maximum(bits - 1, 0)), 0)
        high = np.where(alive, (one << np.maximum(bits - signed, 0)) - 1, 0)
        return low, high


def rounded(codes: Codes, shift: int | NDArray[np.int64], rounding: Rounding = "RND_CONV") -> Codes:
    """`codes` / 2^`shift` in integers, |codes| < 2^61; `shift` may differ from column to column."""
    shift = np.asarray(shift, np.int64)
    up = np.maximum(-shift, 0)
    down = np.clip(shift, 0, LARGEST_SUM_BITS)
    if rounding == "TRN":
        return np.asarray((codes >> down) << up)
    half = (np.int64(1) << down) >> 1
    if rounding == "RND":
        return np.asarray(((codes + half) >> down) << up)
    even = (codes + half - (down > 0) + ((codes >> down) & (down > 0))) >> down
    return np.asarray(even << up)
