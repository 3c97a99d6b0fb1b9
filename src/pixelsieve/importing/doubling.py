"""Inputs that go beyond 1: divided by powers of two, and the weights behind them multiplied."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from pixelsieve.networks.layers import Conv, Dense, Flatten
from pixelsieve.networks.spec import NetworkSpec, Weights


def with_doubled_inputs(
    spec: NetworkSpec, weights: Weights, doublings: Mapping[str, int]
) -> Weights:
    """Return the weights of the same network for features that are 2^-doublings of what they were.

    Exact: kernels are multiplied by powers of two, also behind a pooling or a flatten.
    """
    if not doublings:
        return weights
    factors = {
        name: np.full(spec.shape(name)[-1], 2.0 ** doublings.get(name, 0), np.float32)
        for name in spec.features
    }
    found = dict(weights)
    for layer in spec.layers:
        joined = np.concatenate([factors[source] for source in layer.inputs])
        if isinstance(layer, Dense | Conv):
            kernel = weights[layer.name]["kernel"] * joined[:, None]
            found[layer.name] = {**weights[layer.name], "kernel": kernel}
            joined = np.ones(kernel.shape[-1], np.float32)
        elif isinstance(layer, Flatten):
            joined = np.tile(joined, prod(spec.shape(layer.inputs[0])[:-1]))
        factors[layer.name] = joined
    return found
