"""Inputs and layers of an integer network: exact sums of int64 codes, and their rounding."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.networks.fixed_point import Codes, FixedPoint, Quantizer


@dataclass(frozen=True, slots=True)
class Patches:
    """Patches of `size` (rows, columns) that move over images by `step`.

    The images of the inputs have `rows` x `columns` pixels, `channels` numbers each by input, and
    come as vectors: row by row, in it column by column, in it the channels. `same` adds zeros
    around them so that there are as many positions as pixels (step 1 only; the odd one goes below
    and to the right); `valid` takes only patches that lie inside. Raises `ConfigError` for sizes
    that do not go together.
    """

    rows: int
    columns: int
    channels: tuple[int, ...]
    size: tuple[int, int]
    step: tuple[int, int] = (1, 1)
    padding: Literal["same", "valid"] = "valid"

    def __post_init__(self) -> None:
        pairs = (self.size, self.step)
        fits = all(min(pair) >= 1 for pair in pairs)
        fits = fits and self.size[0] <= self.rows and self.size[1] <= self.columns
        if not fits or not self.channels or min(self.channels) < 1:
            msg = (
                f"patches of {list(self.size)}, step {list(self.step)}, do not fit images of "
                f"{self.rows} x {self.columns} with {list(self.channels)} channels"
            )
            raise ConfigError(msg)
        if self.padding == "same" and self.step != (1, 1):
            msg = f"patches: padding 'same' with step {list(self.step)}; expected step [1, 1]"
            raise ConfigError(msg)

    @property
    def width(self) -> int:
        """Numbers of all inputs together."""
        return self.rows * self.columns * sum(self.channels)

    @property
    def fan_in(self) -> int:
        """Numbers in a patch."""
        return prod(self.size) * sum(self.channels)

    @property
    def positions(self) -> tuple[int, int]:
        """Rows and columns of positions."""
        if self.padding == "same":
            return self.rows, self.columns
        (high, wide), (down, across) = self.size, self.step
        return (self.rows - high) // down + 1, (self.columns - wide) // across + 1

    def table(self) -> NDArray[np.int64]:
        """Index of each number of each patch, (positions, fan-in), in the inputs end to end.

        Positions row by row; in a patch row by row, in it column by column, in it the channels.
        Numbers outside of the images have the index `width`.
        """
        starts = np.cumsum([0, *self.channels[:-1]]) * self.rows * self.columns
        pixels = np.arange(self.rows * self.columns)[:, None]
        index = np.concatenate(
            [
                start + pixels * count + np.arange(count)
                for start, count in zip(starts, self.channels, strict=True)
            ],
            axis=1,
        ).reshape(self.rows, self.columns, -1)
        if self.padding == "same":
            (high, wide), outside = self.size, self.width
            around = (((high - 1) // 2, high // 2), ((wide - 1) // 2, wide // 2), (0, 0))
            index = np.pad(index, around, constant_values=outside)
        moves = np.lib.stride_tricks.sliding_window_view(index, self.size, axis=(0, 1))
        moves = moves[:: self.step[0], :: self.step[1]].transpose(0, 1, 3, 4, 2)
        return np.ascontiguousarray(moves.reshape(prod(self.positions), self.fan_in), np.int64)


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
        """Return what enters the layers for codes (n, width) of the grid."""
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
    """A dense layer in codes, or with `patches` a convolution: the same layer at each position.

    The codes of `inputs`, aligned to the finest of their grids, times `kernel` (fan-in, units)
    plus `bias` (units,) give a sum with `sum_fraction_bits` behind the binary point. A negative
    sum is set to zero (relu), then `activation` rounds it, one element per unit; None keeps the
    exact sum. `input_fraction_bits` are those of the aligned inputs. Outputs come by position.
    """

    name: str
    inputs: tuple[str, ...]
    kernel: Codes
    bias: Codes
    kernel_grid: FixedPoint
    bias_grid: FixedPoint
    activation: Quantizer | None
    input_fraction_bits: int
    patches: Patches | None = None

    @property
    def input_width(self) -> int | None:
        """Number of values that it takes; None if the kernel does not fit its patches."""
        fan_in = int(self.kernel.shape[0])
        if self.patches is None:
            return fan_in
        return self.patches.width if self.patches.fan_in == fan_in else None

    @property
    def width(self) -> int:
        """Number of values that it gives."""
        return len(self.bias) * (prod(self.patches.positions) if self.patches else 1)

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
        """Exact sums (n, width) of aligned input codes (n, input_width); none exceeds `largest`."""
        of_products, of_bias = self._shifts
        kind = np.float64 if largest < _EXACT_IN_FLOAT64 else np.int64  # exact then, and fast
        taken = self.taken(inputs.astype(kind))
        products = (taken @ self.kernel.astype(kind)).astype(np.int64)
        sums = (products << of_products) + (self.bias << of_bias)
        return np.asarray(sums.reshape(len(inputs), self.width))

    def taken(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values (..., input_width) as the kernel takes them, with patches by position."""
        return values if self.patches is None else in_patches(values, self.patches)

    def activated(self, sums: Codes) -> tuple[Codes, int, int]:
        """Outputs for sums (n, width), and how many were too large and how many negative."""
        if self.activation is None:
            return sums, 0, 0
        by_unit = sums.reshape(-1, len(self.bias))
        below = int((by_unit < 0).sum())
        by_unit = np.maximum(by_unit, 0)
        above = int(self.activation.above(by_unit, self.sum_fraction_bits).sum())
        outputs = self.activation.codes(by_unit, self.sum_fraction_bits)
        return outputs.reshape(sums.shape), above, below

    def sum_range(self, low: NDArray[Any], high: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Smallest and largest sums (width,) for aligned inputs (input_width,) in [low, high].

        Arrays of Python integers, which never overflow.
        """
        of_products, of_bias = self._shifts
        low, high = self.taken(low), self.taken(high)
        kernel, bias = self.kernel.astype(object), self.bias.astype(object)
        positive, negative = np.maximum(kernel, 0), np.minimum(kernel, 0)
        smallest = (low @ positive + high @ negative) * (1 << of_products) + bias * (1 << of_bias)
        largest = (high @ positive + low @ negative) * (1 << of_products) + bias * (1 << of_bias)
        return smallest.reshape(self.width), largest.reshape(self.width)

    def output_range(
        self, smallest: NDArray[Any], largest: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Smallest and largest outputs for sums in that range."""
        if self.activation is None:
            return smallest, largest
        positions = self.width // len(self.bias)
        ends = (self.activation.lowest_codes, self.activation.highest_codes)
        return np.tile(ends[0], positions), np.tile(ends[1], positions)


@dataclass(frozen=True, slots=True)
class IntegerPool:
    """The largest code of every patch in each channel; inputs are aligned as in `IntegerLayer`."""

    name: str
    inputs: tuple[str, ...]
    patches: Patches
    input_fraction_bits: int
    kind: Literal["max_pool"] = field(default="max_pool", kw_only=True)

    @property
    def input_width(self) -> int:
        """Number of values that it takes."""
        return self.patches.width

    @property
    def width(self) -> int:
        """Number of values that it gives."""
        return prod(self.patches.positions) * sum(self.patches.channels)

    @property
    def output_fraction_bits(self) -> int:
        """Bits behind the binary point of what leaves the pool."""
        return self.input_fraction_bits

    def largest(self, values: NDArray[Any]) -> NDArray[Any]:
        """The largest values (..., width) of aligned ones (..., input_width)."""
        pixels = (prod(self.patches.positions), prod(self.patches.size), -1)
        by_patch = in_patches(values, self.patches).reshape(*values.shape[:-1], *pixels)
        return np.asarray(by_patch.max(axis=-2).reshape(*values.shape[:-1], self.width))


def in_patches(values: NDArray[Any], patches: Patches) -> NDArray[Any]:
    """Values (..., width) as (..., positions, fan-in); zero outside of the images."""
    outside = np.zeros((*values.shape[:-1], 1), values.dtype)
    return np.asarray(np.concatenate([values, outside], axis=-1)[..., patches.table()])
