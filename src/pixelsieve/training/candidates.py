"""Networks on the way down while bits are learned: which are kept, how they become final."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.networks.fixed_point import Overflow, Quantizer, Rounding
from pixelsieve.networks.precision import LearnedPrecision, MixedPrecision, NamedQuantizer
from pixelsieve.networks.spec import NetworkSpec, Weights
from pixelsieve.training.engine import TrainedNetwork
from pixelsieve.training.learned_program import INPUTS, learning_layers

_SLICE = 0.05
"""One candidate is kept per monitor and slice of this width in log(EBOPs)."""

Variables = dict[str, dict[str, NDArray[Any]]]
"""All that training moves: weights, and bits behind the binary point of everything."""


@dataclass(frozen=True, slots=True)
class MixedNetwork(TrainedNetwork):
    """A network on the way down to the budget, its bits final.

    `ebops` and `merits` (monitors on the validation set) are those of training; exact ones come
    from its integers. Ranges are calibrated on the training set. `variables` are those of
    training, from which it can be trained further.
    """

    ebops: float
    merits: dict[str, float]
    variables: Variables


@dataclass(slots=True)
class Snapshot:
    """The network after an epoch of training."""

    epoch: int
    ebops: float
    merits: dict[str, float]
    variables: Variables

    def beats(self, other: Snapshot) -> bool:
        """Return whether it is as good in everything."""
        return self.ebops <= other.ebops and all(
            value >= other.merits[name] for name, value in self.merits.items()
        )


def keep_unbeaten(archive: list[Snapshot], new: Snapshot) -> None:
    """Put a copy of `new` into the archive of those that nothing beats, unless something does."""
    import jax

    if any(one.beats(new) for one in archive):
        return
    new.variables = jax.tree.map(np.array, new.variables)
    archive[:] = [one for one in archive if not new.beats(one)] + [new]


def thinned(archive: Iterable[Snapshot]) -> list[Snapshot]:
    """Return the best in each monitor of each slice of EBOPs, largest first."""
    best: dict[tuple[str, int], Snapshot] = {}
    for one in archive:
        for name, value in one.merits.items():
            key = (name, int(log(one.ebops) / _SLICE))
            if key not in best or value > best[key].merits[name]:
                best[key] = one
    return sorted({id(one): one for one in best.values()}.values(), key=lambda one: -one.ebops)


def final(
    spec: NetworkSpec,
    precision: LearnedPrecision,
    snapshot: Snapshot,
    ends: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
) -> MixedNetwork:
    """Return the network with weights on their grids, and quantizers that hold all values.

    `ends` are the smallest and largest values of the training set, by feature and layer.
    """
    variables = snapshot.variables

    def named(name: str, fractions: NDArray[Any]) -> NamedQuantizer:
        low, high = (end.astype(np.float64) for end in ends[name])
        return NamedQuantizer(
            name, _covering(low, high, fractions, precision.rounding, precision.overflow)
        )

    layers = learning_layers(spec)
    weights: Weights = {
        layer.name: {name: _on_grid(variables[layer.name], name) for name in ("kernel", "bias")}
        for layer in layers
    }
    mixed = MixedPrecision(
        tuple(named(n, variables[INPUTS][n]) for n in spec.features),
        tuple(
            named(layer.name, variables[layer.name]["activation_bits"])
            for layer in layers
            if layer.relu
        ),
        precision.input_bits,
    )
    return MixedNetwork(snapshot.epoch, weights, mixed, snapshot.ebops, snapshot.merits, variables)


def _on_grid(variables: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    scale = np.exp2(np.rint(variables[f"{name}_bits"])).astype(np.float32)
    whole = np.floor(variables[name] * scale + np.float32(0.5))
    return np.asarray(whole / scale, np.float32)


def _covering(
    low: NDArray[Any],
    high: NDArray[Any],
    fractions: NDArray[Any],
    rounding: Rounding,
    overflow: Overflow,
) -> Quantizer:
    """Return the quantizer whose elements have these fractions and just hold `low` to `high`."""
    places = np.rint(fractions).astype(np.int64)
    top = np.rint(high * 2.0**places).astype(np.int64).tolist()
    bottom = np.rint(low * 2.0**places).astype(np.int64).tolist()
    signed = [b < 0 for b in bottom]
    sizes = [
        max(t.bit_length(), (-b - 1).bit_length() if b < 0 else 0)
        for t, b in zip(top, bottom, strict=True)
    ]
    bits = [n + s for n, s in zip(sizes, signed, strict=True)]
    integer = [n - int(f) if b else 0 for n, f, b in zip(sizes, places, bits, strict=True)]
    return Quantizer(tuple(signed), tuple(bits), tuple(integer), rounding, overflow)
