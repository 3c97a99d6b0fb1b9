"""A layer of an integer network: exact sums of int64 codes, and their rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.fixed_point import FixedPoint

__all__ = ["LARGEST_SUM_BITS", "Codes", "IntegerInput", "IntegerLayer", "round_half_even"]

Codes = NDArray[np.int64]

LARGEST_SUM_BITS = 62
"""Sums of at most this many bits are exact in int64 with room for rounding."""

_EXACT_IN_FLOAT64 = 2**53


@dataclass(frozen=True, slots=True)
class IntegerInput:
    """A feature: how many numbers, and the grid of their codes."""

    name: str
    width: int
    grid: FixedPoint


@dataclass(frozen=True, slots=True)
class IntegerLayer:
    """A dense layer in codes.

    The codes of `inputs`, aligned to the finest of their grids, times `kernel` (fan-in, units)
    plus `bias` (units,) give a sum with `sum_fraction_bits` behind the binary point. It is rounded
    half to even and saturated to `activation` (unsigned: this is the relu too); None keeps the
    exact sum. `input_fraction_bits` are those of the aligned inputs.
    """

    name: str
    inputs: tuple[str, ...]
    kernel: Codes
    bias: Codes
    kernel_grid: FixedPoint
    bias_grid: FixedPoint
    activation: FixedPoint | None
    input_fraction_bits: int

    @property
    def sum_fraction_bits(self) -> int:
        """Bits behind the binary point of the exact sum."""
        of_products = self.input_fraction_bits + self.kernel_grid.fraction_bits
        return max(of_products, self.bias_grid.fraction_bits)

    @property
    def output_fraction_bits(self) -> int:
        """Bits behind the binary point of what leaves the layer."""
        return self.activation.fraction_bits if self.activation else self.sum_fraction_bits

    @property
    def _shifts(self) -> tuple[int, int]:
        common = self.sum_fraction_bits
        of_products = self.input_fraction_bits + self.kernel_grid.fraction_bits
        return common - of_products, common - self.bias_grid.fraction_bits

    def sums(self, inputs: Codes, largest: int) -> Codes:
        """Exact sums (n, units) of aligned input codes (n, fan-in); none exceeds `largest`."""
        of_products, of_bias = self._shifts
        if largest < _EXACT_IN_FLOAT64:  # integers this small are exact in float64, and fast
            products = (inputs.astype(np.float64) @ self.kernel.astype(np.float64)).astype(np.int64)
        else:
            products = inputs @ self.kernel
        return np.asarray((products << of_products) + (self.bias << of_bias))

    def sum_range(self, low: NDArray[Any], high: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Smallest and largest sum of each unit for aligned inputs (fan-in,) in [low, high].

        Arrays of Python integers, which never overflow.
        """
        of_products, of_bias = self._shifts
        kernel, bias = self.kernel.astype(object), self.bias.astype(object)
        positive, negative = np.maximum(kernel, 0), np.minimum(kernel, 0)
        smallest = (low @ positive + high @ negative) * (1 << of_products) + bias * (1 << of_bias)
        largest = (high @ positive + low @ negative) * (1 << of_products) + bias * (1 << of_bias)
        return smallest, largest


def round_half_even(codes: Codes, shift: int) -> Codes:
    """`codes` / 2^shift, rounded half to even, in integers; |codes| < 2^62."""
    if shift <= 0:
        return codes << -shift
    if shift > LARGEST_SUM_BITS:
        return np.zeros_like(codes)
    half = np.int64(1) << np.int64(shift - 1)
    return np.asarray((codes + (half - 1) + ((codes >> shift) & 1)) >> shift)
