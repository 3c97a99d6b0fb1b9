"""Weights of a network as plain NumPy arrays, by layer and variable name."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pixelsieve.networks.spec import NetworkSpec

if TYPE_CHECKING:
    import keras

__all__ = ["Weights", "initial_weights", "read_weights", "write_weights"]

Weights = dict[str, dict[str, NDArray[np.float32]]]
"""Layer name -> variable name (`kernel`, `bias`) -> float32 array."""


def initial_weights(spec: NetworkSpec, seed: int) -> Weights:
    """Glorot-uniform kernels (Glorot and Bengio 2010, the default of Keras) and zero biases."""
    weights: Weights = {}
    variables = spec.variables()
    streams = np.random.SeedSequence(seed).spawn(len(variables))
    for (layer, shapes), stream in zip(variables.items(), streams, strict=True):
        *pixels, fan_in, units = shapes["kernel"]
        limit = np.sqrt(6 / (prod(pixels) * (fan_in + units)))
        kernel = np.random.default_rng(stream).uniform(-limit, limit, shapes["kernel"])
        weights[layer] = {
            "kernel": kernel.astype(np.float32),
            "bias": np.zeros(shapes["bias"], np.float32),
        }
    return weights


def read_weights(model: keras.Model) -> Weights:
    """Copies of all trainable variables, in the model's order."""
    weights: Weights = {}
    for variable in model.trainable_variables:
        layer, name = variable.path.split("/")
        weights.setdefault(layer, {})[name] = np.array(variable.value)
    return weights


def write_weights(model: keras.Model, weights: Weights) -> None:
    """Put arrays into the model (copied: JAX would donate a shared buffer away)."""
    for variable in model.trainable_variables:
        layer, name = variable.path.split("/")
        variable.assign(np.array(weights[layer][name]))
