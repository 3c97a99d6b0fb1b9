"""One walk over a `NetworkSpec` makes the float and every quantized Keras model."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pixelsieve.features import REGISTRY
from pixelsieve.networks.fixed_point import Quantizer, exact_fractions
from pixelsieve.networks.layers import Dense, Flatten, Layer, MaxPool
from pixelsieve.networks.precision import (
    MixedPrecision,
    Precision,
    element_config,
    quantizer_config,
)
from pixelsieve.networks.spec import NetworkSpec, Weights, initial_weights

if TYPE_CHECKING:
    import keras


_Settings = dict[str, Any]
"""Keyword arguments of a layer of Keras or HGQ2."""


def build(
    spec: NetworkSpec,
    precision: Precision | MixedPrecision | None = None,
    weights: Weights | None = None,
    *,
    for_training: bool = False,
) -> keras.Model:
    """Build the network, float where `precision` is None, else quantized.

    Layers carry the names of the spec in both cases and hold `kernel` and `bias` (float32), set
    to `weights` (default: `initial_weights` of seed 0). Inputs are a dict of (n, size) arrays by
    feature name; the output is one logit, (n, 1). `for_training` computes the same in a way that
    is faster to differentiate.
    """
    import keras

    inputs = {name: keras.Input((spec.width(name),), name=name) for name in spec.features}
    tensors: dict[str, keras.KerasTensor] = {}
    for name, tensor in inputs.items():
        quantized = _quantized_input(name, precision)(tensor) if precision else tensor
        shape = REGISTRY[name].shape(spec.window)
        image = keras.layers.Reshape(shape, name=f"{name}_image")
        tensors[name] = quantized if len(shape) == 1 else image(quantized)
    for layer in spec.layers:
        sources = [tensors[s] for s in layer.inputs]
        joined = sources[0] if len(sources) == 1 else keras.ops.concatenate(sources, axis=-1)
        if for_training and isinstance(layer, MaxPool):
            tensors[layer.name] = pooled(joined, layer.pool_size)
        else:
            tensors[layer.name] = _keras_layer(layer, precision, for_training)(joined)
    name = f"{spec.name}_{_suffix(precision)}".replace("+", "_")
    model = keras.Model(inputs, tensors[spec.layers[-1].name], name=name)
    weights = initial_weights(spec, 0) if weights is None else weights
    _write_weights(model, weights)
    if isinstance(precision, MixedPrecision):
        _write_bits(model, precision, weights)
    return model


@lru_cache(maxsize=16)
def logits_function(
    spec: NetworkSpec, bare: Precision | MixedPrecision | None
) -> Callable[[Any, Any, Any], Any]:
    """The network as a pure function (weights, grids, inputs) -> logits (n,), not yet compiled.

    `weights` and `grids` are the values of the trainable and the other variables of the Keras
    model, in its order. The bits of a quantized network are in `grids`; given `bare`, its precision
    `without_bits`, one function, and one compilation of it, serves every width.
    """
    training = not isinstance(bare, MixedPrecision)
    model = build(spec, bare, for_training=training)

    def logits(weights: Any, grids: Any, inputs: Any) -> Any:
        outputs, _ = model.stateless_call(weights, grids, inputs, training=training)
        return outputs[:, 0]

    return logits


def _suffix(precision: Precision | MixedPrecision | None) -> str:
    if precision is None:
        return "float"
    return "mixed" if isinstance(precision, MixedPrecision) else f"{precision.weight_bits}b"


def _quantized_input(name: str, precision: Precision | MixedPrecision) -> Any:
    from hgq.quantizer import Quantizer

    whole = Quantizer(quantizer_config(precision.input(), "datalane"), name=f"{name}_quantizer")
    if isinstance(precision, Precision):
        return whole
    one = precision.quantizer(name)
    taken = Quantizer(element_config(one.rounding, one.overflow, "datalane"), name=f"{name}_taken")
    return lambda tensor: taken(whole(tensor))


def pooled(images: Any, pool_size: tuple[int, int]) -> Any:
    """Pool the maxima of images (n, rows, columns, channels), as `MaxPooling2D` does.

    XLA makes a gradient of Keras's layer that is four times slower on a CPU.
    """
    from keras import ops

    _, rows, columns, channels = images.shape
    high, wide = pool_size
    down, across = rows // high, columns // wide
    whole = images[:, : down * high, : across * wide]
    return ops.max(ops.reshape(whole, (-1, down, high, across, wide, channels)), axis=(2, 4))


def patches(images: Any, kernel_size: tuple[int, int], padding: str) -> Any:
    """Return the patches (n, rows, columns, numbers of a patch) that a convolution multiplies."""
    from keras import ops

    high, wide = kernel_size
    if padding == "same":
        around = (((high - 1) // 2, high // 2), ((wide - 1) // 2, wide // 2))
        images = ops.pad(images, ((0, 0), *around, (0, 0)))
    rows, columns = images.shape[1] - high + 1, images.shape[2] - wide + 1
    moves = [images[:, r : r + rows, c : c + columns] for r in range(high) for c in range(wide)]
    return ops.concatenate(moves, axis=-1)


def _keras_layer(
    layer: Layer, precision: Precision | MixedPrecision | None, for_training: bool
) -> keras.Layer:
    import keras

    if isinstance(layer, MaxPool):  # of rounded values: exact, so HGQ2's layer adds nothing
        return keras.layers.MaxPooling2D(layer.pool_size, name=layer.name)
    if isinstance(layer, Flatten):
        return keras.layers.Flatten(name=layer.name)
    # The real values come later; zeros spare JAX a compilation for each random shape.
    settings: _Settings = {"name": layer.name, "kernel_initializer": "zeros"}
    dense = isinstance(layer, Dense)
    if isinstance(layer, Dense):
        settings |= {"units": layer.units}
    else:
        settings |= {"filters": layer.filters, "kernel_size": layer.kernel_size}
        settings |= {"padding": layer.padding}
    if precision is None:
        settings["activation"] = "relu" if layer.relu else None
        kind = keras.layers.Dense if dense else keras.layers.Conv2D
    else:
        from hgq.layers import QConv2D, QDense

        settings |= _quantizers(layer.name, precision, relu=layer.relu)
        kind = QDense if dense else QConv2D
    return (_by_patches(kind) if for_training and not dense else kind)(**settings)


def _by_patches(kind: Any) -> Any:
    """Return a convolution layer that multiplies patches with its kernel.

    XLA's convolutions are many times slower in a loop on a CPU, as in an epoch.
    """
    from keras import ops

    def convolution_op(layer: Any, images: Any, kernel: Any) -> Any:
        filters = kernel.shape[-1]
        taken = patches(images, layer.kernel_size, layer.padding)
        return ops.matmul(taken, ops.reshape(kernel, (-1, filters)))

    return type(kind.__name__, (kind,), {"convolution_op": convolution_op})


def _quantizers(name: str, precision: Precision | MixedPrecision, *, relu: bool) -> _Settings:
    # Relu and its rounding are one step with an unsigned grid that saturates at zero.
    settings: _Settings = {"enable_iq": False, "enable_oq": relu, "enable_ebops": False}
    if isinstance(precision, Precision):
        grids = precision.weights(name)
        settings["kq_conf"] = quantizer_config(grids["kernel"], "weight")
        settings["bq_conf"] = quantizer_config(grids["bias"], "bias")
        settings["oq_conf"] = quantizer_config(precision.activation(), "datalane")
    else:
        settings["kq_conf"] = settings["bq_conf"] = element_config("RND_CONV", "SAT", "weight")
        if relu:
            one = precision.quantizer(name)
            settings["activation"] = "relu"
            settings["oq_conf"] = element_config(one.rounding, one.overflow, "datalane")
    if not relu:
        settings.pop("oq_conf", None)
    return settings


def _write_weights(model: keras.Model, weights: Weights) -> None:
    """Put arrays into the model (copied: JAX would donate a shared buffer away)."""
    for variable in model.trainable_variables:
        layer, name = variable.path.split("/")
        variable.assign(np.array(weights[layer][name]))


def _write_bits(model: keras.Model, precision: MixedPrecision, weights: Weights) -> None:
    """Set the bits of each element: those of `precision`, and those that each weight needs."""
    for one in precision.inputs:
        _set_elements(model.get_layer(f"{one.name}_taken"), one.quantizer)
    for one in precision.activations:
        _set_elements(model.get_layer(one.name).oq, one.quantizer)
    for layer, variables in weights.items():
        for quantizer, values in (("kq", "kernel"), ("bq", "bias")):
            fractions = exact_fractions(variables[values])
            largest = np.abs(variables[values]) * 2.0**fractions
            integers = np.ceil(np.log2(largest + 1)) - fractions
            variables_of = getattr(model.get_layer(layer), quantizer).quantizer
            signed = variables[values] != 0
            _assign(variables_of, signed, integers, fractions)


def _set_elements(layer: Any, quantizer: Quantizer) -> None:
    alive = np.array(quantizer.bits) > 0
    signed = np.array(quantizer.signed) & alive
    integers = np.where(alive, quantizer.integer_bits, 0)
    fractions = np.where(alive, quantizer.fractions, 0)
    _assign(layer.quantizer, signed[None], integers[None], fractions[None])


def _assign(quantizer: Any, signed: Any, integers: Any, fractions: Any) -> None:
    # HGQ2 has no setter for the fields of a quantizer that is not trained.
    variables = {v.name: v for v in quantizer.variables}
    for name, values, kind in (
        ("k", signed, np.uint8),
        ("i", integers, np.float32),
        ("f", fractions, np.float32),
    ):
        # A convolution has the same bits at every position.
        shape = variables[name].shape
        variables[name].assign(np.broadcast_to(np.asarray(values, kind), shape))
