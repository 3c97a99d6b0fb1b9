"""`IntegerNetwork`: a quantized network as an exact program on int64 codes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.data.clusters import Clusters
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.integer.layers import IntegerInput, IntegerLayer, IntegerPool, Patches
from pixelsieve.networks.fixed_point import (
    LARGEST_SUM_BITS,
    Codes,
    Quantizer,
    exact_grid,
)
from pixelsieve.networks.layers import Conv, Dense, Flatten, Layer, MaxPool, Shape
from pixelsieve.networks.model_file import Model
from pixelsieve.networks.precision import MixedPrecision, Precision

_CHUNK = 65_536
_CHUNK_VALUES = 2**24
"""Clusters at a time: at most this many, and this many numbers of the widest layer."""


@dataclass(frozen=True, slots=True)
class LayerCounters:
    """Counts of a layer's sums: `values` in all, of which `saturated` are too large.

    Those were cut at the largest code, or wrapped if the layer wraps. `below` were cut at zero
    (relu). `sum_bits` hold every sum that could occur, sign included, so the sum itself never
    overflows.
    """

    layer: str
    values: int
    saturated: int
    below: int
    sum_bits: int

    def plus(self, other: LayerCounters) -> LayerCounters:
        """Of both together."""
        values, saturated = self.values + other.values, self.saturated + other.saturated
        return replace(self, values=values, saturated=saturated, below=self.below + other.below)


@dataclass(frozen=True, slots=True)
class IntegerRun:
    """Logit codes (n,), the output codes (n, width) of every layer, and their counters."""

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
    layers: tuple[IntegerLayer | IntegerPool, ...]

    def __post_init__(self) -> None:
        widths = {i.name: (i.width, i.output_fraction_bits) for i in self.inputs}
        if not self.layers or not self.inputs:
            raise ConfigError(f"{self.name}: no {'layers' if self.inputs else 'inputs'}")  # noqa: EM102
        for layer in self.layers:
            unknown = [s for s in layer.inputs if s not in widths]
            fan_in = sum(widths[s][0] for s in layer.inputs if s not in unknown)
            fraction = max((widths[s][1] for s in layer.inputs if s not in unknown), default=0)
            if unknown or layer.input_width != fan_in:
                msg = f"{self.name}: layer '{layer.name}' does not fit its inputs {layer.inputs}"
                raise ConfigError(msg)
            if layer.input_fraction_bits != fraction:
                msg = (
                    f"{self.name}: layer '{layer.name}': input_fraction_bits is "
                    f"{layer.input_fraction_bits}; expected {fraction}"
                )
                raise ConfigError(msg)
            if isinstance(layer, IntegerLayer):
                units = {len(layer.bias), len(layer.activation or layer.bias)}
                if units != {layer.kernel.shape[1]}:
                    msg = f"{self.name}: layer '{layer.name}': kernel, bias and activation differ"
                    raise ConfigError(msg)
            widths[layer.name] = (layer.width, layer.output_fraction_bits)
        last = self.layers[-1]
        if isinstance(last, IntegerPool) or last.activation is not None or last.width != 1:
            msg = f"{self.name}: the last layer must be one logit without activation"
            raise ConfigError(msg)
        for name, bits in self.sum_bits().items():
            if bits > LARGEST_SUM_BITS:
                msg = f"{self.name}: sums of layer '{name}' need {bits} bits; at most 62 are exact"
                raise ConfigError(msg)

    @property
    def weighted_layers(self) -> tuple[IntegerLayer, ...]:
        """The layers that have weights."""
        return tuple(layer for layer in self.layers if isinstance(layer, IntegerLayer))

    @property
    def logit_fraction_bits(self) -> int:
        """Bits behind the binary point of the logit."""
        return self.layers[-1].output_fraction_bits

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
            if isinstance(layer, IntegerPool):
                low, high = layer.largest(low), layer.largest(high)
            else:
                low, high = layer.sum_range(low, high)
                ranges[layer.name] = (int(low.min()), int(high.max()))
                low, high = layer.output_range(low, high)
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

    def codes(self, clusters: Clusters) -> dict[str, Codes]:
        """Codes (n, width) of the features of clusters."""
        return self.input_codes(self.features.table(clusters))

    def input_values(self, codes: Mapping[str, Codes]) -> FeatureTable:
        """The features (float32, exact) that have these codes; labels are zero."""
        values = {i.name: (codes[i.name] * i.grid.step).astype(np.float32) for i in self.inputs}
        n = len(next(iter(values.values())))
        return FeatureTable(self.features, values, np.zeros(n, np.float32))

    def run(self, codes: Mapping[str, Codes]) -> Codes:
        """Logit codes (n,) of input codes by feature name, each (n, width)."""
        return np.concatenate([run.logits for run in self._runs(codes)])

    def counters(self, codes: Mapping[str, Codes]) -> tuple[LayerCounters, ...]:
        """Return what became of each layer's sums for codes (n, width) by feature name."""
        by_layer = zip(*(run.counters for run in self._runs(codes)), strict=True)
        return tuple(functools.reduce(LayerCounters.plus, parts) for parts in by_layer)

    def _runs(self, codes: Mapping[str, Codes]) -> Iterator[IntegerRun]:
        """Some clusters at a time, as many as memory holds with ease."""
        n = len(codes[self.inputs[0].name])
        widest = max(layer.width for layer in self.layers)
        chunk = max(1, min(_CHUNK, _CHUNK_VALUES // widest))
        for start in range(0, max(n, 1), chunk):
            yield self.trace({k: v[start : start + chunk] for k, v in codes.items()})

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
            inputs = np.concatenate(aligned, axis=1)
            if isinstance(layer, IntegerPool):
                out = layer.largest(inputs)
            else:
                largest = max(abs(end) for end in ranges[layer.name])
                out, above, below = layer.activated(layer.sums(inputs, largest))
                name = layer.name
                counters.append(LayerCounters(name, out.size, above, below, bits[name]))
            values[layer.name] = outputs[layer.name] = out
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
    mixed = precision if isinstance(precision, MixedPrecision) else None
    inputs = tuple(
        IntegerInput(f, spec.width(f), grid, mixed.quantizer(f) if mixed else None)
        for f in spec.features
    )
    fractions = {i.name: i.output_fraction_bits for i in inputs}
    same = {name: name for name in spec.features}
    shapes = spec.shapes()
    layers: list[IntegerLayer | IntegerPool] = []
    for layer in spec.layers:
        sources = tuple(same[s] for s in layer.inputs)
        if isinstance(layer, Flatten) and len(sources) == 1:  # images are vectors here already
            same[layer.name] = sources[0]
            continue
        same[layer.name] = layer.name
        fraction = max(fractions[s] for s in sources)
        patches = _patches(layer, [spec.shape(s) for s in layer.inputs])
        one: IntegerLayer | IntegerPool
        if isinstance(layer, MaxPool | Flatten):
            assert patches is not None
            one = IntegerPool(layer.name, sources, patches, fraction)
        else:
            weights, units = model.weights[layer.name], shapes[layer.name][-1]
            kernel, bias = (
                precision.weights(layer.name).values()
                if isinstance(precision, Precision)
                else map(exact_grid, (weights["kernel"], weights["bias"]))
            )
            one = IntegerLayer(
                layer.name,
                sources,
                kernel.codes(weights["kernel"].reshape(-1, units)),
                bias.codes(weights["bias"]),
                kernel,
                bias,
                _activation(precision, layer.name, units) if layer.relu else None,
                fraction,
                patches,
            )
        fractions[layer.name] = one.output_fraction_bits
        layers.append(one)
    return IntegerNetwork(name, model.features, inputs, tuple(layers))


def _activation(precision: Precision | MixedPrecision, layer: str, units: int) -> Quantizer:
    if isinstance(precision, Precision):
        return Quantizer.uniform(precision.activation(), units)
    return precision.quantizer(layer)


def _patches(layer: Layer, sources: Sequence[Shape]) -> Patches | None:
    if isinstance(layer, Dense):
        return None
    rows, columns = sources[0][:2]
    channels = tuple(shape[2] for shape in sources)
    if isinstance(layer, Conv):
        size = layer.kernel_size
        return Patches(rows, columns, channels, size, padding=layer.padding)
    size = layer.pool_size if isinstance(layer, MaxPool) else (1, 1)
    return Patches(rows, columns, channels, size, step=size)
