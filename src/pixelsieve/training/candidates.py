"""Networks met while bits are learned: which are kept, and how they become final."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.features import FeatureSet
from pixelsieve.networks.fixed_point import Overflow, Quantizer, Rounding
from pixelsieve.networks.model_file import Model
from pixelsieve.networks.precision import LearnedPrecision, MixedPrecision, NamedQuantizer
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.networks.weights import Weights
from pixelsieve.training.learned_program import INPUTS, learning_layers

__all__ = ["Candidate", "Met", "Variables", "final", "meet", "thinned"]

_SLICE = 0.05
"""One candidate is kept a monitor and slice of so much in log(EBOPs)."""

Variables = dict[str, dict[str, NDArray[Any]]]
"""What training moves: weights, and bits behind the binary point of everything."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network met on the way down to the budget, its bits final.

    `ebops` and `merits` (monitors on the validation set) are those of training; exact ones come
    from its integers. Ranges are calibrated on the training set. `variables` are those of
    training, from which it can be trained further.
    """

    epoch: int
    ebops: float
    merits: dict[str, float]
    weights: Weights
    precision: MixedPrecision
    variables: Variables

    def model(self, spec: NetworkSpec, features: FeatureSet, card: dict[str, Any]) -> Model:
        """A model to save, evaluate and put into firmware."""
        return Model(spec, self.precision, self.weights, features, card)


@dataclass(slots=True)
class Met:
    """The network after an epoch of training."""

    epoch: int
    ebops: float
    merits: dict[str, float]
    variables: Variables

    def beats(self, other: Met) -> bool:
        """Whether it is as good in everything."""
        return self.ebops <= other.ebops and all(
            value >= other.merits[name] for name, value in self.merits.items()
        )


def meet(archive: list[Met], met: Met) -> None:
    """Put a copy of it into the archive of those that nothing beats, unless something does."""
    import jax

    if any(one.beats(met) for one in archive):
        return
    met.variables = jax.tree.map(np.array, met.variables)
    archive[:] = [one for one in archive if not met.beats(one)] + [met]


def thinned(archive: Iterable[Met]) -> list[Met]:
    """The best in each monitor of each slice of EBOPs, largest first."""
    best: dict[tuple[str, int], Met] = {}
    for met in archive:
        for name, value in met.merits.items():
            key = (name, int(log(met.ebops) / _SLICE))
            if key not in best or value > best[key].merits[name]:
                best[key] = met
    return sorted({id(met): met for met in best.values()}.values(), key=lambda met: -met.ebops)


def final(
    spec: NetworkSpec, precision: LearnedPrecision, met: Met, ends: Mapping[str, Any]
) -> Candidate:
    """Weights on their grids, and quantizers that hold all values of the training set.

    `ends` are the smallest and largest values there, by feature and layer.
    """

    def named(name: str, fractions: NDArray[Any]) -> NamedQuantizer:
        low, high = (np.asarray(end, np.float64) for end in ends[name])
        return NamedQuantizer(
            name, _covering(low, high, fractions, precision.rounding, precision.overflow)
        )

    layers = learning_layers(spec)
    weights: Weights = {
        layer.name: {name: _on_grid(met.variables[layer.name], name) for name in ("kernel", "bias")}
        for layer in layers
    }
    mixed = MixedPrecision(
        tuple(named(n, met.variables[INPUTS][n]) for n in spec.features),
        tuple(
            named(layer.name, met.variables[layer.name]["activation_bits"])
            for layer in layers
            if layer.relu
        ),
        precision.input_bits,
    )
    return Candidate(met.epoch, met.ebops, met.merits, weights, mixed, met.variables)


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
    """The quantizer whose elements have these fractions and just hold `low` to `high`."""
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
