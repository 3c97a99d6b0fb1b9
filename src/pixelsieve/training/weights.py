"""Weights of a Keras model as plain NumPy arrays, by layer and variable name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

__all__ = ["Weights", "read_weights", "write_weights"]

Weights = dict[str, dict[str, NDArray[np.float32]]]
"""Layer name -> variable name (`kernel`, `bias`) -> float32 array."""


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
