"""`PixelFeatures`: the features of a network from ADC codes, exactly in integers."""

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
    pixel_codes,
    pixel_sums,
)
from pixelsieve.firmware.integer_layer import IntegerInput
from pixelsieve.fixed_point import Codes, FixedPoint, Quantizer

__all__ = ["PIXELS", "Z_NEGATIVE", "PixelFeatures", "largest_code", "require_logic", "scale_bits"]

PIXELS = "pixels"
"""The port of the ADC codes, row by row."""

Z_NEGATIVE = "z_negative"
"""The port that says where z < 0, for networks that see both ends of the barrel alike."""

_MOST_BITS = 8

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
            scale_bits(require_logic(one.name), self.adc_bits)
            if self.features.mirror_x and one.name in _BY_SIGN_OF_Z:
                msg = (
                    f"feature '{one.name}' of the mirrored z is not built in logic; use 'z_global' "
                    "instead, or train without mirror_x"
                )
                raise ConfigError(msg)

    @property
    def ports(self) -> tuple[IntegerInput, ...]:
        """What comes in, in order: pixels, then position and time."""
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
        plain = FeatureSet(self.features.names, window=self.features.window).table(clusters)
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
                values = np.minimum(grid.codes(sums, scale_bits(feature, self.adc_bits)), top)
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


def scale_bits(feature: Feature, adc_bits: int) -> int:
    """Bits behind the binary point of the whole number that logic makes, once it is scaled.

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
