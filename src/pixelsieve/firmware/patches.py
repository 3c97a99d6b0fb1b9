"""Which numbers of its inputs each position of a convolution or of a pool takes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConfigError

__all__ = ["Patches"]


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
