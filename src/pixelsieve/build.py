"""One walk over a `NetworkSpec` makes the float and every quantized Keras model."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import Precision, quantizer_config
from pixelsieve.weights import Weights, initial_weights, write_weights

if TYPE_CHECKING:
    import keras

__all__ = ["build", "logits_function"]


def build(
    spec: NetworkSpec, precision: Precision | None = None, weights: Weights | None = None
) -> keras.Model:
    """Build the network, float where `precision` is None, else quantized.

    Layers carry the names of the spec in both cases and hold `kernel` and `bias` (float32), set
    to `weights` (default: `initial_weights` of seed 0). Inputs are a dict of (n, size) arrays by
    feature name; the output is one logit, (n, 1).
    """
    import keras

    inputs = {name: keras.Input((spec.width(name),), name=name) for name in spec.features}
    tensors: dict[str, Any] = {}
    for name, tensor in inputs.items():
        tensors[name] = _quantized_input(name, precision)(tensor) if precision else tensor
    for layer in spec.layers:
        sources = [tensors[s] for s in layer.inputs]
        joined = sources[0] if len(sources) == 1 else keras.ops.concatenate(sources, axis=-1)
        # The real values come below; zeros spare JAX a compilation for each random shape.
        common = {"units": layer.units, "name": layer.name, "kernel_initializer": "zeros"}
        if precision is None:
            activation = "relu" if layer.relu else None
            tensors[layer.name] = keras.layers.Dense(activation=activation, **common)(joined)
        else:
            tensors[layer.name] = _quantized_dense(layer.relu, precision, common)(joined)
    suffix = f"{precision.weight_bits}b" if precision else "float"
    name = f"{spec.name}_{suffix}".replace("+", "_")
    model = keras.Model(inputs, tensors[spec.layers[-1].name], name=name)
    write_weights(model, initial_weights(spec, 0) if weights is None else weights)
    return model


@lru_cache(maxsize=8)
def logits_function(spec: NetworkSpec, quantized: bool) -> Callable[[Any, Any, Any], Any]:
    """The network as a pure function (weights, grids, inputs) -> logits (n,), not yet compiled.

    `weights` and `grids` are the values of the trainable and the other variables of the Keras
    model, in its order. The bits of a quantized network are in `grids`, so one function, and one
    compilation of it, serves every width.
    """
    model = build(spec, Precision(8) if quantized else None)

    def logits(weights: Any, grids: Any, inputs: Any) -> Any:
        outputs, _ = model.stateless_call(weights, grids, inputs, training=True)
        return outputs[:, 0]

    return logits


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
