"""`PixelNetwork`: from ADC codes to the logit, as an exact program on int64 codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2, prod

import numpy as np

from pixelsieve.clusters import Clusters
from pixelsieve.errors import ConfigError, DataError
from pixelsieve.features import (
    LARGEST_INPUT,
    REGISTRY,
    Feature,
    FeatureSet,
    FeatureTable,
    pixel_codes,
    pixel_sums,
)
from pixelsieve.firmware.integer import IntegerNetwork, IntegerRun
from pixelsieve.firmware.integer_layer import IntegerInput, IntegerLayer
from pixelsieve.fixed_point import Codes, FixedPoint, Quantizer
from pixelsieve.front_end import FrontEnd

__all__ = [
    "PIXELS",
    "Z_NEGATIVE",
    "PixelNetwork",
    "from_pixels",
    "largest_code",
    "pixel_corners",
    "require_logic",
    "scale_bits",
]

PIXELS = "pixels"
"""The port of the ADC codes, row by row."""

Z_NEGATIVE = "z_negative"
"""The port that says where z < 0, for networks that see both ends of the barrel alike."""

_MOST_BITS = 8


@dataclass(frozen=True, slots=True)
class PixelNetwork:
    """An integer network with the feature logic before it.

    `inputs` are the ADC codes of the window (`pixels`, unsigned, `adc_bits` each, 0 where
    silent), then what arrives as it is, on the network's own grid: position and time. With
    `mirror_x` z_global comes with its sign, and `z_negative` says where z < 0. Raises
    `ConfigError` for features that no logic makes.
    """

    network: IntegerNetwork
    adc_bits: int

    def __post_init__(self) -> None:
        if not 1 <= self.adc_bits <= _MOST_BITS:
            msg = f"{self.name}: an ADC of {self.adc_bits} bits; logic takes 1 to {_MOST_BITS}"
            raise ConfigError(msg)
        for one in self.network.inputs:
            scale_bits(require_logic(one.name), self.adc_bits)

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.network.name

    @property
    def features(self) -> FeatureSet:
        """Which features the logic makes."""
        return self.network.features

    @property
    def layers(self) -> tuple[IntegerLayer, ...]:
        """The network's layers."""
        return self.network.layers

    @property
    def inputs(self) -> tuple[IntegerInput, ...]:
        """What comes in, in order: pixels, then position and time."""
        n_pixels = prod(self.features.window)
        pixels = FixedPoint(signed=False, bits=self.adc_bits, integer_bits=self.adc_bits)
        wires = [i for i in self.network.inputs if REGISTRY[i.name].logic == "wiring"]
        flag = FixedPoint(signed=False, bits=1, integer_bits=1)
        signs = [IntegerInput(Z_NEGATIVE, 1, flag)] if self.reverses else []
        return (IntegerInput(PIXELS, n_pixels, pixels), *wires, *signs)

    @property
    def reverses(self) -> bool:
        """Whether profiles along x are reversed where z < 0."""
        along = {REGISTRY[i.name].along for i in self.network.inputs}
        return self.features.mirror_x and "columns" in along

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
        """Codes (n, width) by port of clusters that a front end has read out.

        Raises `DataError` for another ADC or window, and where a pixel fires with code 0, which
        a feature counts and logic cannot see.
        """
        plain = FeatureSet(self.features.names, window=self.features.window)
        table = plain.table(clusters)
        pixels = pixel_codes(clusters, PIXELS)
        if clusters.adc_bits != self.adc_bits:
            msg = f"{clusters.origin}: codes of {clusters.adc_bits} bits; expected {self.adc_bits}"
            raise DataError(msg)
        counts = {REGISTRY[i.name].logic for i in self.network.inputs} - {"wiring", "code_sum"}
        if counts and ((pixels == 0) & (clusters.pixels_e > 0)).any():
            msg = (
                f"{clusters.origin}: pixels fire with code 0, which is what silent ones read; "
                "raise the front end's 'threshold_e' to a step of the ADC, without "
                "'threshold_dispersion_e', or set 'adc' to codes"
            )
            raise DataError(msg)
        codes = {PIXELS: pixels.reshape(len(clusters), -1)}
        for one in self.inputs[1:]:
            if one.name == Z_NEGATIVE:
                codes[one.name] = (clusters.z_global_mm < 0).astype(np.int64)[:, None]
            else:
                codes[one.name] = one.grid.codes(table.inputs[one.name])
        return codes

    def feature_codes(self, codes: Mapping[str, Codes]) -> dict[str, Codes]:
        """The network's input codes (n, width) by feature, from codes by port."""
        pixels = codes[PIXELS].reshape(-1, *self.features.window)
        made = {}
        for one in self.network.inputs:
            feature, top = REGISTRY[one.name], largest_code(one.grid)
            if feature.logic == "wiring":
                values = codes[one.name]
                if self.features.mirror_x and one.name == "z_global":
                    values = np.minimum(np.abs(values), top)
            else:
                assert feature.logic is not None
                sums = pixel_sums(feature.logic, feature.along, pixels).reshape(len(pixels), -1)
                grid = Quantizer.uniform(one.grid, sums.shape[1])
                values = np.minimum(grid.codes(sums, scale_bits(feature, self.adc_bits)), top)
                if self.reverses and feature.along == "columns":
                    values = np.where(codes[Z_NEGATIVE] > 0, values[:, ::-1], values)
            made[one.name] = values
        return made

    def input_values(self, codes: Mapping[str, Codes]) -> FeatureTable:
        """The features (float32, exact) that Keras gets for these codes; labels are zero."""
        return self.network.input_values(self.feature_codes(codes))

    def run(self, codes: Mapping[str, Codes]) -> Codes:
        """Logit codes (n,) of codes by port, each (n, width)."""
        return self.network.run(self.feature_codes(codes))

    def trace(self, codes: Mapping[str, Codes]) -> IntegerRun:
        """The same with the features' and every layer's output, and the layers' counters."""
        made = self.feature_codes(codes)
        run = self.network.trace(made)
        return IntegerRun(run.logits, {**made, **run.layers}, run.counters)


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


def scale_bits(feature: Feature, adc_bits: int) -> int:
    """Bits by which the whole number that logic makes is shifted down to the scaled feature.

    Raises `ConfigError` for a divisor that is no power of two.
    """
    if feature.logic == "wiring":
        return 0
    bits = log2(feature.divisor * feature.steps_per_unit(adc_bits))
    if not bits.is_integer():
        msg = f"feature '{feature.name}': divisor {feature.divisor:g} is no power of two"
        raise ConfigError(msg)
    return int(bits)


def largest_code(grid: FixedPoint) -> int:
    """The code of the largest scaled feature, which lies just below 1."""
    return int(grid.codes(LARGEST_INPUT))


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
