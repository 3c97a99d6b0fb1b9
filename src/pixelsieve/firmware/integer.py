"""`IntegerNetwork`: a quantized network as an exact program on int64 codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConfigError
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.firmware.integer_layer import IntegerInput, IntegerLayer
from pixelsieve.fixed_point import LARGEST_SUM_BITS, Codes, FixedPoint, Quantizer, exact_grid
from pixelsieve.model_file import Model
from pixelsieve.networks import Dense
from pixelsieve.precision import MixedPrecision, Precision

__all__ = [
    "IntegerNetwork",
    "IntegerRun",
    "LayerCounters",
    "from_model",
]

_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class LayerCounters:
    """What became of a layer's sums: `values` in all, of which `saturated` are too large.

    Those were cut at the largest code, or wrapped where the layer wraps. `below` were cut at zero
    (relu). `sum_bits` hold every sum that could occur, sign included, so the sum itself never
    overflows.
    """

    layer: str
    values: int
    saturated: int
    below: int
    sum_bits: int


@dataclass(frozen=True, slots=True)
class IntegerRun:
    """Logit codes (n,), the output codes (n, units) of every layer, and their counters."""

    logits: Codes
    layers: dict[str, Codes]
    counters: tuple[LayerCounters, ...]


@dataclass(frozen=True, slots=True)
class IntegerNetwork:
    """A quantized network in integers: the one reference of the firmware.

    `inputs` are in the order of the network; `features` says how the values were scaled. Raises
    `ConfigError` for layers that do not fit together and sums beyond 62 bits.
    """

    name: str
    features: FeatureSet
    inputs: tuple[IntegerInput, ...]
    layers: tuple[IntegerLayer, ...]

    def __post_init__(self) -> None:
        widths = {i.name: (i.width, i.output_fraction_bits) for i in self.inputs}
        if not self.layers or not self.inputs:
            raise ConfigError(f"{self.name}: no {'layers' if self.inputs else 'inputs'}")  # noqa: EM102
        for layer in self.layers:
            unknown = [s for s in layer.inputs if s not in widths]
            fan_in = sum(widths[s][0] for s in layer.inputs if s not in unknown)
            fraction = max((widths[s][1] for s in layer.inputs if s not in unknown), default=0)
            if unknown or layer.kernel.shape != (fan_in, len(layer.bias)):
                msg = f"{self.name}: layer '{layer.name}' does not fit its inputs {layer.inputs}"
                raise ConfigError(msg)
            if layer.input_fraction_bits != fraction:
                msg = (
                    f"{self.name}: layer '{layer.name}': input_fraction_bits is "
                    f"{layer.input_fraction_bits}; expected {fraction}"
                )
                raise ConfigError(msg)
            if layer.activation is not None and len(layer.activation) != len(layer.bias):
                msg = f"{self.name}: layer '{layer.name}': its activation has other units"
                raise ConfigError(msg)
            widths[layer.name] = (len(layer.bias), layer.output_fraction_bits)
        last = self.layers[-1]
        if last.activation is not None or len(last.bias) != 1:
            msg = f"{self.name}: the last layer must be one logit without activation"
            raise ConfigError(msg)
        for name, bits in self.sum_bits().items():
            if bits > LARGEST_SUM_BITS:
                msg = f"{self.name}: sums of layer '{name}' need {bits} bits; at most 62 are exact"
                raise ConfigError(msg)

    @property
    def logit_fraction_bits(self) -> int:
        """Bits behind the binary point of the logit."""
        return self.layers[-1].sum_fraction_bits

    @property
    def logit_bits(self) -> int:
        """Width of the logit with its sign."""
        return self.sum_bits()[self.layers[-1].name]

    def sum_ranges(self) -> dict[str, tuple[int, int]]:
        """Smallest and largest sum that any input code can make, by layer."""
        spans: dict[str, tuple[NDArray[Any], NDArray[Any], int]] = {
            i.name: (*i.output_range(), i.output_fraction_bits) for i in self.inputs
        }
        ranges = {}
        for layer in self.layers:
            shifts = [1 << (layer.input_fraction_bits - spans[s][2]) for s in layer.inputs]
            low, high = (
                np.concatenate(
                    [spans[s][end] * f for s, f in zip(layer.inputs, shifts, strict=True)]
                )
                for end in (0, 1)
            )
            low, high = layer.sum_range(low, high)
            ranges[layer.name] = (int(low.min()), int(high.max()))
            if layer.activation is not None:
                low, high = layer.activation.lowest_codes, layer.activation.highest_codes
            spans[layer.name] = (low, high, layer.output_fraction_bits)
        return ranges

    def sum_bits(self) -> dict[str, int]:
        """Bits, sign included, that hold every sum of a layer, by layer."""
        return {
            name: 1 + max((-low - 1 if low < 0 else 0).bit_length(), max(high, 0).bit_length())
            for name, (low, high) in self.sum_ranges().items()
        }

    def input_codes(self, table: FeatureTable) -> dict[str, Codes]:
        """Codes (n, width) of scaled features; refuses features scaled another way."""
        table.require(self.features, self.name)
        return {i.name: i.grid.codes(table.inputs[i.name]) for i in self.inputs}

    def input_values(self, codes: Mapping[str, Codes]) -> FeatureTable:
        """The features (float32, exact) that have these codes; labels are zero."""
        values = {i.name: (codes[i.name] * i.grid.step).astype(np.float32) for i in self.inputs}
        n = len(next(iter(values.values())))
        return FeatureTable(self.features, values, np.zeros(n, np.float32))

    def run(self, codes: Mapping[str, Codes]) -> Codes:
        """Logit codes (n,) of input codes by feature name, each (n, width)."""
        n = len(codes[self.inputs[0].name])
        starts = range(0, max(n, 1), _CHUNK)
        parts = [
            self.trace({k: v[s : s + _CHUNK] for k, v in codes.items()}).logits for s in starts
        ]
        return np.concatenate(parts)

    def trace(self, codes: Mapping[str, Codes]) -> IntegerRun:
        """The same with every layer's output and counters; keeps all of it in memory.

        Raises `ConfigError` for missing features, other shapes, and codes out of their grid.
        """
        self._check(codes)
        values = {i.name: i.outputs(np.asarray(codes[i.name], np.int64)) for i in self.inputs}
        fractions = {i.name: i.output_fraction_bits for i in self.inputs}
        ranges, bits = self.sum_ranges(), self.sum_bits()
        outputs: dict[str, Codes] = {}
        counters = []
        for layer in self.layers:
            aligned = [
                values[s] << (layer.input_fraction_bits - fractions[s]) for s in layer.inputs
            ]
            largest = max(abs(end) for end in ranges[layer.name])
            sums = layer.sums(np.concatenate(aligned, axis=1), largest)
            above = below = 0
            if layer.activation is not None:
                below = int((sums < 0).sum())
                sums = np.maximum(sums, 0)
                above = int(layer.activation.above(sums, layer.sum_fraction_bits).sum())
                sums = layer.activation.codes(sums, layer.sum_fraction_bits)
            counters.append(LayerCounters(layer.name, sums.size, above, below, bits[layer.name]))
            values[layer.name] = outputs[layer.name] = sums
            fractions[layer.name] = layer.output_fraction_bits
        return IntegerRun(outputs[self.layers[-1].name][:, 0], outputs, tuple(counters))

    def _check(self, codes: Mapping[str, Codes]) -> None:
        lengths = set()
        for i in self.inputs:
            array = codes.get(i.name)
            if array is None or array.ndim != 2 or array.shape[1] != i.width:  # noqa: PLR2004
                got = "nothing" if array is None else f"shape {array.shape}"
                msg = f"{self.name}: input '{i.name}': {got}; expected codes (n, {i.width})"
                raise ConfigError(msg)
            lengths.add(len(array))
            low, high = i.grid.lowest_code, i.grid.highest_code
            if array.size and not (low <= array.min() and array.max() <= high):
                msg = f"{self.name}: input '{i.name}': codes outside {low} to {high}"
                raise ConfigError(msg)
        if len(lengths) > 1:
            msg = f"{self.name}: inputs of different lengths {sorted(lengths)}"
            raise ConfigError(msg)


def from_model(model: Model, name: str = "network") -> IntegerNetwork:
    """The integers of a quantized model. Raises `ConfigError` for a float one."""
    if model.precision is None:
        msg = f"{model.origin}: a float network; firmware needs a quantized one (train --bits N)"
        raise ConfigError(msg)
    precision, spec = model.precision, model.spec
    grid = precision.input()
    inputs = tuple(
        IntegerInput(
            f,
            spec.width(f),
            grid,
            precision.quantizer(f) if isinstance(precision, MixedPrecision) else None,
        )
        for f in spec.features
    )
    fractions = {i.name: i.output_fraction_bits for i in inputs}
    layers = []
    for layer in spec.layers:
        if not isinstance(layer, Dense):
            msg = f"{model.origin}: layer '{layer.name}': firmware builds dense layers only"
            raise ConfigError(msg)
        weights = model.weights[layer.name]
        kernel, bias = _weight_grids(precision, layer.name, weights)
        one = IntegerLayer(
            layer.name,
            layer.inputs,
            kernel.codes(weights["kernel"]),
            bias.codes(weights["bias"]),
            kernel,
            bias,
            _activation(precision, layer) if layer.relu else None,
            max(fractions[s] for s in layer.inputs),
        )
        fractions[layer.name] = one.output_fraction_bits
        layers.append(one)
    return IntegerNetwork(name, model.features, inputs, tuple(layers))


def _weight_grids(
    precision: Precision | MixedPrecision, layer: str, weights: Mapping[str, NDArray[Any]]
) -> tuple[FixedPoint, FixedPoint]:
    if isinstance(precision, Precision):
        return precision.kernel(layer), precision.bias(layer)
    return exact_grid(weights["kernel"]), exact_grid(weights["bias"])


def _activation(precision: Precision | MixedPrecision, layer: Dense) -> Quantizer:
    if isinstance(precision, Precision):
        return Quantizer.uniform(precision.activation(), layer.units)
    return precision.quantizer(layer.name)
