"""Inputs and layers of an integer network: exact sums of int64 codes, and their rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConfigError
from pixelsieve.fixed_point import Codes, FixedPoint, Quantizer

__all__ = ["IntegerInput", "IntegerLayer"]

_EXACT_IN_FLOAT64 = 2**53


@dataclass(frozen=True, slots=True)
class IntegerInput:
    """A feature: how many numbers, the grid of their codes, and what the network takes of them.

    `quantizer` (None: the codes as they are) wraps or saturates each element onto its own bits.
    """

    name: str
    width: int
    grid: FixedPoint
    quantizer: Quantizer | None = None

    def __post_init__(self) -> None:
        if self.quantizer is not None and len(self.quantizer) != self.width:
            elements = len(self.quantizer)
            msg = f"input '{self.name}': a quantizer of {elements} elements; expected {self.width}"
            raise ConfigError(msg)

    @property
    def output_fraction_bits(self) -> int:
        """Bits behind the binary point of what enters the layers."""
        return (self.quantizer or self.grid).fraction_bits

    def outputs(self, codes: Codes) -> Codes:
        """What enters the layers for codes (n, width) of the grid."""
        if self.quantizer is None:
            return codes
        return self.quantizer.codes(codes, self.grid.fraction_bits)

    def output_range(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Smallest and largest code of each element that enters the layers, Python integers."""
        if self.quantizer is not None:
            return self.quantizer.lowest_codes, self.quantizer.highest_codes
        low, high = self.grid.lowest_code, self.grid.highest_code
        return np.full(self.width, low, dtype=object), np.full(self.width, high, dtype=object)


@dataclass(frozen=True, slots=True)
class IntegerLayer:
    """A dense layer in codes.

    The codes of `inputs`, aligned to the finest of their grids, times `kernel` (fan-in, units)
    plus `bias` (units,) give a sum with `sum_fraction_bits` behind the binary point. A negative
    sum is set to zero (relu), then `activation` rounds it; None keeps the exact sum.
    `input_fraction_bits` are those of the aligned inputs.
    """

    name: str
    inputs: tuple[str, ...]
    kernel: Codes
    bias: Codes
    kernel_grid: FixedPoint
    bias_grid: FixedPoint
    activation: Quantizer | None
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
