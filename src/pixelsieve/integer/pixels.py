"""From ADC codes to features and on to the logit, as exact programs on int64 codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log2, prod
from typing import TypeAlias

import numpy as np

from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.data.clusters import Clusters
from pixelsieve.features import (
    LARGEST_INPUT,
    REGISTRY,
    Feature,
    FeatureSet,
    FeatureTable,
    pixel_codes,
    pixel_sums,
)
from pixelsieve.front_end import FrontEnd
from pixelsieve.integer.layers import IntegerInput, IntegerLayer, IntegerPool
from pixelsieve.integer.network import IntegerNetwork, IntegerRun, LayerCounters
from pixelsieve.networks.fixed_point import Codes, FixedPoint, Quantizer

PIXELS = "pixels"
"""The port of the ADC codes, row by row."""

Z_NEGATIVE = "z_negative"
"""The port that says where z < 0, for networks that see both ends of the barrel alike."""

_MOST_BITS = 8

_INSTEAD = "build the network from its features, which come scaled"

_BY_SIGN_OF_Z = ("module_number", "x_local")
"""Features that are another number where the window is mirrored."""


@dataclass(frozen=True, slots=True)
class PixelFeatures:
    """Logic that makes `inputs` of a network, all of them `features`, out of codes.

    `ports` are what it takes: the ADC codes of the window (`pixels`, unsigned, `adc_bits` each, 0
    where silent), then what arrives as it is, on the network's own grid: position and time. With
    `mirror_x` z_global comes with its sign, and `z_negative` says where z < 0. Raises
    `ConfigError` for features that no logic makes.
    """

    features: FeatureSet
    inputs: tuple[IntegerInput, ...]
    adc_bits: int

    def __post_init__(self) -> None:
        if not 1 <= self.adc_bits <= _MOST_BITS:
            msg = f"an ADC of {self.adc_bits} bits; logic from pixels takes 1 to {_MOST_BITS}"
            raise ConfigError(msg)
        for one in self.inputs:
            self.scale_bits(require_logic(one.name))
            self._require_plain(one.name)
            if self.features.mirror_x and one.name in _BY_SIGN_OF_Z:
                msg = (
                    f"feature '{one.name}' of the mirrored z is not built in logic; use 'z_global' "
                    "instead, or train without mirror_x"
                )
                raise ConfigError(msg)

    def _require_plain(self, name: str) -> None:
        """Raise `ConfigError` for a stated scale that no shift makes."""
        scale = self.features.scale(name)
        if scale is None:
            return
        if REGISTRY[name].logic == "wiring":  # arrives scaled, but for its sign
            plain = not self.features.mirror_x or (scale.low, scale.high) == (None, None)
        else:
            plain = not scale.logarithm and scale.low in {None, 0} and scale.high in {None, 1}
        if not plain:
            msg = f"feature '{name}': {scale} (stated at import) is not built in logic; {_INSTEAD}"
            raise ConfigError(msg)

    def scale_bits(self, feature: Feature) -> int:
        """Bits behind the binary point of logic's whole number, as `scale_bits`."""
        return scale_bits(feature, self.adc_bits, self.features.divisor(feature.name))

    @property
    def ports(self) -> tuple[IntegerInput, ...]:
        """Return what comes in, in order: pixels, then position and time."""
        n_pixels = prod(self.features.window)
        pixels = FixedPoint(signed=False, bits=self.adc_bits, integer_bits=self.adc_bits)
        wires = [
            IntegerInput(i.name, i.width, i.grid)
            for i in self.inputs
            if REGISTRY[i.name].logic == "wiring"
        ]
        flag = FixedPoint(signed=False, bits=1, integer_bits=1)
        signs = [IntegerInput(Z_NEGATIVE, 1, flag)] if self.reverses else []
        return (IntegerInput(PIXELS, n_pixels, pixels), *wires, *signs)

    @property
    def reverses(self) -> bool:
        """Whether profiles along x and images are reversed where z < 0."""
        along = {REGISTRY[i.name].along for i in self.inputs}
        return self.features.mirror_x and not along.isdisjoint(("columns", "pixels"))

    def port_codes(self, clusters: Clusters) -> dict[str, Codes]:
        """Codes (n, width) by port of clusters that a front end has read out.

        Raises `DataError` for another ADC or window, and where a pixel fires with code 0, which
        a feature counts and logic cannot see.
        """
        plain = replace(self.features, mirror_x=False).table(clusters)
        pixels = pixel_codes(clusters, PIXELS)
        if clusters.adc_bits != self.adc_bits:
            msg = f"{clusters.origin}: codes of {clusters.adc_bits} bits; expected {self.adc_bits}"
            raise DataError(msg)
        counts = {REGISTRY[i.name].logic for i in self.inputs} - {"wiring", "code_sum"}
        if counts and ((pixels == 0) & (clusters.pixels_e > 0)).any():
            msg = (
                f"{clusters.origin}: pixels fire with code 0, which is what silent ones read; "
                "raise the front end's 'threshold_e' to a step of the ADC, without "
                "'threshold_dispersion_e', or set 'adc' to codes"
            )
            raise DataError(msg)
        codes = {PIXELS: pixels.reshape(len(clusters), -1)}
        for one in self.ports[1:]:
            if one.name == Z_NEGATIVE:
                codes[one.name] = (clusters.z_global_mm < 0).astype(np.int64)[:, None]
            else:
                codes[one.name] = one.grid.codes(plain.inputs[one.name])
        return codes

    def codes(self, port_codes: Mapping[str, Codes]) -> dict[str, Codes]:
        """The network's input codes (n, width) by feature."""
        pixels = port_codes[PIXELS].reshape(-1, *self.features.window)
        made = {}
        for one in self.inputs:
            feature, top = REGISTRY[one.name], largest_code(one.grid)
            if feature.logic == "wiring":
                values = port_codes[one.name]
                if self.features.mirror_x and one.name == "z_global":
                    values = np.minimum(np.abs(values), top)
            else:
                assert feature.logic is not None
                sums = pixel_sums(feature.logic, feature.along, pixels).reshape(len(pixels), -1)
                grid = Quantizer.uniform(one.grid, one.width)
                values = np.minimum(grid.codes(sums, self.scale_bits(feature)), top)
                if self.reverses and feature.along in {"columns", "pixels"}:
                    lines = values.reshape(len(values), -1, self.features.window[1])
                    back = lines[:, :, ::-1].reshape(values.shape)
                    values = np.where(port_codes[Z_NEGATIVE] > 0, back, values)
            made[one.name] = values
        return made


def require_logic(name: str) -> Feature:
    """The feature; raises `ConfigError` with the one to use instead where no logic makes it."""
    feature = REGISTRY[name]
    if feature.logic is None:
        msg = (
            f"feature '{name}' is not built in logic ({feature.hardware_cost}); use "
            f"'{feature.instead}' instead"
        )
        raise ConfigError(msg)
    return feature


def scale_bits(feature: Feature, adc_bits: int, divisor: float) -> int:
    """Bits behind the binary point of the whole number that logic makes, once it is scaled.

    Raises `ConfigError` for a divisor that is no power of two.
    """
    if feature.logic == "wiring":
        return 0
    bits = log2(divisor * feature.steps_per_unit(adc_bits))
    if not bits.is_integer():
        msg = (
            f"feature '{feature.name}': divided by {divisor:g}, which is no power of two; no shift "
            f"makes its rounded values: {_INSTEAD}"
        )
        raise ConfigError(msg)
    return int(bits)


def largest_code(grid: FixedPoint) -> int:
    """The code of the largest scaled feature, which lies just below 1."""
    return int(grid.codes(LARGEST_INPUT))


@dataclass(frozen=True, slots=True)
class PixelNetwork:
    """An integer network with the logic before it that makes its features out of ADC codes.

    Answers as `IntegerNetwork` does; its `inputs` are the ports of `logic`. Raises `ConfigError`
    for features that no logic makes.
    """

    network: IntegerNetwork
    adc_bits: int

    def __post_init__(self) -> None:
        _ = self.logic

    @property
    def logic(self) -> PixelFeatures:
        """The logic that makes the network's inputs."""
        return PixelFeatures(self.network.features, self.network.inputs, self.adc_bits)

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.network.name

    @property
    def features(self) -> FeatureSet:
        """Which features the logic makes."""
        return self.network.features

    @property
    def layers(self) -> tuple[IntegerLayer | IntegerPool, ...]:
        """The network's layers."""
        return self.network.layers

    @property
    def inputs(self) -> tuple[IntegerInput, ...]:
        """Return what comes in, in order: pixels, then position and time."""
        return self.logic.ports

    @property
    def logit_fraction_bits(self) -> int:
        """Bits behind the binary point of the logit."""
        return self.network.logit_fraction_bits

    @property
    def logit_bits(self) -> int:
        """Width of the logit with its sign."""
        return self.network.logit_bits

    def sum_bits(self) -> dict[str, int]:
        """Bits, sign included, that hold every sum of a layer, by layer."""
        return self.network.sum_bits()

    def codes(self, clusters: Clusters) -> dict[str, Codes]:
        """Codes (n, width) by port of clusters; raises as `PixelFeatures.port_codes` does."""
        return self.logic.port_codes(clusters)

    def input_values(self, codes: Mapping[str, Codes]) -> FeatureTable:
        """The features (float32, exact) that Keras gets for these codes; labels are zero."""
        return self.network.input_values(self.logic.codes(codes))

    def run(self, codes: Mapping[str, Codes]) -> Codes:
        """Logit codes (n,) of codes by port, each (n, width)."""
        return self.network.run(self.logic.codes(codes))

    def counters(self, codes: Mapping[str, Codes]) -> tuple[LayerCounters, ...]:
        """Return what became of each layer's sums for codes by port."""
        return self.network.counters(self.logic.codes(codes))

    def trace(self, codes: Mapping[str, Codes]) -> IntegerRun:
        """The same with the codes of the features and of every layer, and the layers' counters."""
        made = self.logic.codes(codes)
        run = self.network.trace(made)
        return IntegerRun(run.logits, {**made, **run.layers}, run.counters)


Program: TypeAlias = IntegerNetwork | PixelNetwork


def from_pixels(network: IntegerNetwork, front_end: FrontEnd | None) -> PixelNetwork:
    """The network with the logic that makes its features out of a front end's codes.

    Raises `ConfigError` for a front end without an ADC and for features that no logic makes.
    """
    values = () if front_end is None else front_end.code_values_e
    if not values:
        msg = (
            f"{network.name}: trained on charges without ADC codes; train it with --front-end and "
            "'adc' (linear or codes) to build it from pixels"
        )
        raise ConfigError(msg)
    return PixelNetwork(network, (len(values) - 1).bit_length())


def pixel_corners(codes: Mapping[str, Codes], seed: int) -> dict[str, Codes]:
    """Corner vectors by port, and as many again as there are pixels, each with a single one.

    In half of the vectors with random pixels (from the fourth on) most pixels become silent, as
    in clusters: full windows saturate every sum.
    """
    rng = np.random.default_rng(seed)
    pixels = codes[PIXELS].copy()
    n, n_pixels = pixels.shape
    sparse = np.arange(n) >= 3 + (n - 3) // 2
    kept = rng.random((n, n_pixels)) < rng.random((n, 1)) ** 4
    pixels[sparse] *= kept[sparse]
    highest = int(codes[PIXELS].max(initial=1))
    single = np.eye(n_pixels, dtype=np.int64) * rng.integers(1, highest + 1, (n_pixels, 1))
    others = rng.integers(0, n, n_pixels)
    made = {name: np.concatenate([values, values[others]]) for name, values in codes.items()}
    made[PIXELS] = np.concatenate([pixels, single])
    return made
