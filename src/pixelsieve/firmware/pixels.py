"""`PixelNetwork`: from ADC codes to the logit, as an exact program on int64 codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pixelsieve.clusters import Clusters
from pixelsieve.errors import ConfigError
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.firmware.integer import IntegerNetwork, IntegerRun, LayerCounters
from pixelsieve.firmware.integer_layer import IntegerInput, IntegerLayer, IntegerPool
from pixelsieve.firmware.pixel_features import PIXELS, PixelFeatures
from pixelsieve.fixed_point import Codes
from pixelsieve.front_end import FrontEnd

__all__ = ["PixelNetwork", "Program", "from_pixels", "pixel_corners"]


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
        """What makes the network's inputs."""
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
        """What comes in, in order: pixels, then position and time."""
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
        """What became of each layer's sums for codes by port."""
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
