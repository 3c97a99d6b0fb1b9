"""Bit flips in the stored weights of an integer network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.clusters import Clusters
from pixelsieve.firmware.integer import IntegerNetwork
from pixelsieve.firmware.integer_layer import IntegerLayer
from pixelsieve.firmware.radiation import (
    FlipStudy,
    every_flip,
    loss_by_layer_and_bit,
    sample_flips,
)

__all__ = ["EXHAUSTIVE_UP_TO", "flip_study", "stored_codes", "stored_widths", "with_codes"]

EXHAUSTIVE_UP_TO = 4096
"""Stored bits up to which every flip is tried; beyond, `_A_BIT` of each layer and bit."""

_A_BIT = 50


def stored_codes(network: IntegerNetwork) -> dict[str, NDArray[np.int64]]:
    """Weight codes by `LAYER.kernel` and `LAYER.bias`."""
    return {
        f"{layer.name}.{part}": getattr(layer, part)
        for layer in network.weighted_layers
        for part in ("kernel", "bias")
    }


def stored_widths(network: IntegerNetwork) -> dict[str, int]:
    """Bits a stored code, by the names of `stored_codes`."""
    return {
        f"{layer.name}.{part}": getattr(layer, f"{part}_grid").bits
        for layer in network.weighted_layers
        for part in ("kernel", "bias")
    }


def with_codes(network: IntegerNetwork, codes: Mapping[str, NDArray[np.int64]]) -> IntegerNetwork:
    """The network with other weights, by the names of `stored_codes`."""
    layers = tuple(
        replace(layer, kernel=codes[f"{layer.name}.kernel"], bias=codes[f"{layer.name}.bias"])
        if isinstance(layer, IntegerLayer)
        else layer
        for layer in network.layers
    )
    return replace(network, layers=layers)


def flip_study(
    network: IntegerNetwork,
    clusters: Clusters,
    *,
    efficiency: float,
    seed: int = 0,
    on_flip: Callable[[int, int], None] | None = None,
) -> FlipStudy:
    """Flip stored bits one at a time; loss of background rejection by layer and bit.

    Every bit where there are at most `EXHAUSTIVE_UP_TO`, else 50 weights of each layer and bit,
    drawn with `seed`. Raises `DataError` for clusters without both classes.
    """
    clusters.require_both_classes()
    inputs = network.input_codes(network.features.table(clusters))
    codes, widths = stored_codes(network), stored_widths(network)
    flips = list(every_flip(codes, widths))
    if len(flips) > EXHAUSTIVE_UP_TO:
        flips = sample_flips(codes, widths, _A_BIT, seed)

    def run(weights: dict[str, NDArray[np.int64]]) -> NDArray[Any]:
        return with_codes(network, weights).run(inputs)

    return loss_by_layer_and_bit(
        run, codes, widths, clusters.signal, efficiency=efficiency, flips=flips, progress=on_flip
    )
