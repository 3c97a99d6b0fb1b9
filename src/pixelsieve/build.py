"""One walk over a `NetworkSpec` makes the float and every quantized Keras model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import Precision, quantizer_config

if TYPE_CHECKING:
    import keras

__all__ = ["build"]


def build(spec: NetworkSpec, precision: Precision | None = None, seed: int = 0) -> keras.Model:
    """Build the network, float where `precision` is None, else quantized.

    Layers carry the names of the spec in both cases and hold `kernel` and `bias` (float32).
    Inputs are a dict of (n, size) arrays by feature name; the output is one logit, (n, 1).
    Kernels start Glorot-uniform from `seed`, biases at zero.
    """
    import keras

    inputs = {name: keras.Input((spec.width(name),), name=name) for name in spec.features}
    tensors: dict[str, Any] = {}
    for name, tensor in inputs.items():
        tensors[name] = _quantized_input(name, precision)(tensor) if precision else tensor
    seeds = np.random.SeedSequence(seed).generate_state(len(spec.layers))
    for layer, layer_seed in zip(spec.layers, seeds, strict=True):
        sources = [tensors[s] for s in layer.inputs]
        joined = sources[0] if len(sources) == 1 else keras.ops.concatenate(sources, axis=-1)
        common = {
            "units": layer.units,
            "name": layer.name,
            "kernel_initializer": keras.initializers.GlorotUniform(seed=int(layer_seed)),
        }
        if precision is None:
            activation = "relu" if layer.relu else None
            tensors[layer.name] = keras.layers.Dense(activation=activation, **common)(joined)
        else:
            tensors[layer.name] = _quantized_dense(layer.relu, precision, common)(joined)
    suffix = f"{precision.weight_bits}b" if precision else "float"
    name = f"{spec.name}_{suffix}".replace("+", "_")
    return keras.Model(inputs, tensors[spec.layers[-1].name], name=name)


def _quantized_input(name: str, precision: Precision) -> keras.Layer:
    from hgq.quantizer import Quantizer

    config = quantizer_config(precision.input(), "datalane")
    return Quantizer(config, name=f"{name}_quantizer")


def _quantized_dense(relu: bool, precision: Precision, common: dict[str, Any]) -> keras.Layer:
    from hgq.layers import QDense

    # relu and its rounding are one step: an unsigned grid saturates negative values at zero.
    name = common["name"]
    return QDense(
        **common,
        kq_conf=quantizer_config(precision.kernel(name), "weight"),
        bq_conf=quantizer_config(precision.bias(name), "bias"),
        enable_iq=False,
        enable_oq=relu,
        oq_conf=quantizer_config(precision.activation(), "datalane") if relu else None,
        enable_ebops=False,
    )
