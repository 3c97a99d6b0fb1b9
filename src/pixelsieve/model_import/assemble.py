"""Grids and weights of a mapped network as our precision and our `Weights`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConfigError
from pixelsieve.fixed_point import FixedPoint, Quantizer
from pixelsieve.model_import.mapped import Mapped
from pixelsieve.model_import.quantizers import WeightGrid
from pixelsieve.model_import.read_layer import ReadLayer
from pixelsieve.precision import LayerScale, MixedPrecision, NamedQuantizer, Precision
from pixelsieve.weights import Weights

__all__ = ["precision_of", "weights_of"]


def precision_of(
    mapped: Mapped, input_bits: int | None, where: str
) -> Precision | MixedPrecision | None:
    """The bits of the whole network, None where nothing is rounded.

    A `Precision` where one grid of activations serves all layers; layers of fewer weight bits
    then stand on the widest layer's grids, which hold their values exactly. Else a
    `MixedPrecision`. Raises `ConfigError` for networks that are rounded in part, inputs of
    different grids, and inputs that nobody rounds while `input_bits` is None.
    """
    layers = mapped.weighted
    grids = [grid for layer in layers for grid in (layer.kernel_grid, layer.bias_grid)]
    if not any((*grids, *(la.activation for la in layers), *mapped.input_grids.values())):
        if input_bits is not None:
            msg = f"{where}: a float network; --input-bits is for quantized ones"
            raise ConfigError(msg)
        return None
    for layer in layers:
        _require_quantized(layer, where)
    input_bits = _input_bits(mapped, input_bits, where)
    activations = {layer.activation for layer in layers if layer.activation is not None}
    try:
        if len(activations) > 1 or any(grid.integer_bits for grid in activations):
            return _mixed(mapped, input_bits)
        return _uniform(layers, next((grid.bits for grid in activations), 8), input_bits)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error


def _uniform(layers: list[ReadLayer], activation_bits: int, input_bits: int) -> Precision:
    integer_bits = {
        layer.name: (_kernel(layer).grid.integer_bits, _bias_integer_bits(layer))
        for layer in layers
    }
    different = {bits for pair in integer_bits.values() for bits in pair}
    scales = tuple(LayerScale(name, *pair) for name, pair in integer_bits.items())
    alike = len(different) == 1
    return Precision(
        _widest(layers),
        different.pop() if alike else 0,
        activation_bits,
        input_bits,
        () if alike else scales,
    )


def _mixed(mapped: Mapped, input_bits: int) -> MixedPrecision:
    grid = FixedPoint(signed=True, bits=input_bits)
    return MixedPrecision(
        tuple(
            NamedQuantizer(name, Quantizer.uniform(grid, width))
            for name, width in mapped.input_widths.items()
        ),
        tuple(
            NamedQuantizer(layer.name, Quantizer.uniform(layer.activation, len(layer.bias)))
            for layer in mapped.weighted
            if layer.activation is not None
        ),
        input_bits,
    )


def weights_of(mapped: Mapped, precision: Precision | MixedPrecision | None) -> Weights:
    """Weights by layer, such that our grids give exactly the values of the file's quantizers."""
    # On a grid of more bits than its own a weight would keep digits that the file drops; with
    # mixed precision, weights are taken as they stand.
    kept = precision.weight_bits if isinstance(precision, Precision) else 0
    found: Weights = {}
    for layer in mapped.weighted:
        kernel = _on_grid(layer.kernel, layer.kernel_grid, kept)
        bias = _on_grid(layer.bias, layer.bias_grid, kept)
        found[layer.name] = {"kernel": kernel, "bias": bias}
    return found


def _on_grid(
    values: NDArray[np.float32], grid: WeightGrid | None, kept: int
) -> NDArray[np.float32]:
    if grid is None:
        return values
    latent = grid.latent(values)
    return latent if grid.grid.bits == kept else grid.grid.quantize(latent).astype(np.float32)


def _kernel(layer: ReadLayer) -> WeightGrid:
    assert layer.kernel_grid is not None
    return layer.kernel_grid


def _bias_integer_bits(layer: ReadLayer) -> int:
    grid = layer.bias_grid or _kernel(layer)
    return grid.grid.integer_bits


def _widest(layers: list[ReadLayer]) -> int:
    grids = [grid for layer in layers for grid in (layer.kernel_grid, layer.bias_grid)]
    return max(grid.grid.bits for grid in grids if grid is not None)


def _require_quantized(layer: ReadLayer, where: str) -> None:
    missing = None
    if layer.kernel_grid is None:
        missing = "its kernel"
    elif layer.bias_grid is None and layer.has_bias:
        missing = "its bias"
    elif layer.relu and layer.activation is None:
        missing = "its relu"
    if missing:
        msg = (
            f"{where}: layer '{layer.name}': {missing} is not quantized while other parts of the "
            "network are; expected all or nothing"
        )
        raise ConfigError(msg)


def _input_bits(mapped: Mapped, stated: int | None, where: str) -> int:
    grids = mapped.input_grids
    rounded = {name: grid for name, grid in grids.items() if grid is not None}
    if not rounded:
        if stated is None:
            msg = (
                f"{where}: nothing rounds its inputs; hardware must: say --input-bits N (8 is "
                "usual; QKeras's logits are met for inputs of so many bits)"
            )
            raise ConfigError(msg)
        return stated
    different = set(grids.values())
    if len(different) > 1:
        said = ", ".join(f"{name} {grid or 'not rounded'}" for name, grid in grids.items())
        msg = f"{where}: its inputs are rounded differently ({said}); expected one grid for all"
        raise ConfigError(msg)
    grid = next(iter(rounded.values()))
    if grid.integer_bits or (stated is not None and stated != grid.bits):
        expected = f"--input-bits {stated}" if stated else "quantized_bits(BITS, 0)"
        msg = f"{where}: its inputs are rounded to {_words(grid)}; expected {expected}"
        raise ConfigError(msg)
    return grid.bits


def _words(grid: FixedPoint) -> str:
    return f"{grid.bits} bits, {grid.integer_bits} of them integer"
