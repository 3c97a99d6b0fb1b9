"""Layers of HGQ2, whose bits stand in the file, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.importing.graph import Node
from pixelsieve.importing.layers import Variables
from pixelsieve.importing.quantizers import WeightGrid
from pixelsieve.importing.values import Settings, refused
from pixelsieve.networks.fixed_point import Overflow, Quantizer, Rounding, exact_grid
from pixelsieve.networks.layers import Shape

Place = Literal["iq", "kq", "bq", "oq"]
Array = NDArray[np.float32]

_ROUNDINGS: dict[str, Rounding] = {"RND": "RND", "RND_CONV": "RND_CONV", "TRN": "TRN"}
_OVERFLOWS = ("SAT", "SAT_SYM", "SYM", "WRAP")
_MOST_BITS = 32
_NAMES = {"iq": "inputs", "kq": "kernel", "bq": "bias", "oq": "outputs"}


@dataclass(frozen=True, slots=True)
class Elements:
    """A quantizer of HGQ2: sign, integer bits and bits behind the point of each element."""

    signed: NDArray[np.bool_]
    integers: NDArray[np.int64]
    fractions: NDArray[np.int64]
    rounding: Rounding
    overflow: str
    at: str

    @property
    def _alive(self) -> NDArray[np.bool_]:
        return np.asarray(self.signed + self.integers + self.fractions > 0)

    def weights(self, values: Array) -> tuple[Array, WeightGrid]:
        """Return the values that HGQ2 computes with, and a grid that holds them.

        Raise `ConfigError` where a weight would leave a range that wraps: HGQ2 wraps some and
        leaves others.
        """
        step = np.float32(2.0) ** -self.fractions.astype(np.float32)
        integers = np.maximum(self.integers, -self.fractions)
        most = np.float32(2.0) ** integers.astype(np.float32)
        low, high = np.where(self.signed, -most, 0), most - step
        if self.overflow in ("SAT_SYM", "SYM"):
            low = np.where(self.signed, -high, 0)
        scaled = (values if self.overflow == "WRAP" else np.clip(values, low, high)) / step
        up = np.floor(scaled + np.float32(0.5)) if self.rounding == "RND" else np.floor(scaled)
        codes = np.rint(scaled) if self.rounding == "RND_CONV" else up
        rounded = np.asarray(codes * step, np.float32)
        alive = np.where(self._alive, rounded, 0)
        if self.overflow == "WRAP" and not (
            np.array_equal(alive, rounded) and ((rounded >= low) & (rounded <= high)).all()
        ):
            raise refused(self.at, "a weight leaves its range, which wraps; expected none")
        kept = np.asarray(alive, np.float32)
        return kept, WeightGrid(exact_grid(kept), shared=False)

    def part(self, chosen: slice, *, behind_relu: bool) -> Quantizer:
        """Return our quantizer of those elements; behind a relu none needs a sign to saturate.

        Raise `ConfigError` for signed ones that saturate at -max.
        """
        alive = self._alive[chosen]
        signed = self.signed[chosen] & alive
        integers = np.where(alive, np.maximum(self.integers, -self.fractions)[chosen], 0)
        fractions = np.where(alive, self.fractions[chosen], 0)
        overflow: Overflow = "WRAP" if self.overflow == "WRAP" else "SAT"
        if behind_relu and overflow == "SAT":
            signed = signed & False
        elif self.overflow in ("SAT_SYM", "SYM") and signed.any():
            raise refused(self.at, f"signed values with {self.overflow}; expected SAT or WRAP")
        bits = np.where(alive, signed + integers + fractions, 0)
        try:
            return Quantizer(
                tuple(map(bool, signed & (bits > 0))),
                tuple(map(int, bits)),
                tuple(map(int, np.where(bits > 0, integers, 0))),
                self.rounding,
                overflow,
            )
        except ConfigError as error:
            raise refused(self.at, f"{error}") from error


def read_elements(node: Node, place: Place, shape: Shape, variables: Variables) -> Elements:
    """Return the quantizer at that place of a layer, for values of `shape`.

    Raise `ConfigError` for kinds that have no counterpart, and for bits that are no bits.
    """
    at = f"{variables.where}: layer '{node.name}': HGQ2's quantizer of its {_NAMES[place]}"
    config = _config(node.config.get(f"{place}_conf"), at)
    kind, overflow = config.get("q_type"), config.get("overflow_mode")
    if kind not in ("kbi", "kif"):
        raise refused(at, f"is of type {str(kind)[:20]!r}; expected fixed point, kbi or kif")
    for name in ("scaler", "affine", "qnoise_factor"):
        if config.get(name) is not None:
            raise refused(at, f"has a {name}; expected none")
    rounding = _ROUNDINGS.get(str(config.get("round_mode")).removeprefix("S_"))
    if rounding is None or overflow not in _OVERFLOWS:
        told = f"{str(config.get('round_mode'))[:20]}, {str(overflow)[:20]}"
        raise refused(at, f"{told}: expected RND, RND_CONV or TRN, and SAT or WRAP")
    names = ("k", "b", "i") if kind == "kbi" else ("k", "i", "f")
    found = {n: _whole(variables.take_spread(node, f"{place}/{n}", shape), at) for n in names}
    variables.pass_over(node, f"{place}/i_decay_speed", "a speed, for training")
    if not np.isin(found["k"], (0, 1)).all():
        raise refused(at, "has signs that are neither 0 nor 1; the file is damaged")
    fractions = found["f"] if kind == "kif" else found["b"] - found["i"]
    return Elements(found["k"] > 0, found["i"], fractions, rounding, str(overflow), at)


def _config(value: object, at: str) -> Settings:
    config = value.get("config") if isinstance(value, dict) else None
    if not isinstance(config, dict):
        raise refused(at, "is not in the settings; the file is damaged")
    return config


def _whole(values: Array, at: str) -> NDArray[np.int64]:
    if (np.abs(values) > _MOST_BITS).any():
        raise refused(at, f"has more than {_MOST_BITS} bits; expected fewer")
    return np.rint(values).astype(np.int64)
