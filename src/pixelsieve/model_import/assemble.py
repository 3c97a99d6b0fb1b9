"""Grids and weights of a mapped network as one `Precision` and our `Weights`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConfigError
from pixelsieve.fixed_point import FixedPoint
from pixelsieve.model_import.mapping import Mapped
from pixelsieve.model_import.quantizers import WeightGrid
from pixelsieve.model_import.read_layer import ReadLayer
from pixelsieve.precision import LayerScale, Precision
from pixelsieve.weights import Weights

__all__ = ["precision_of", "weights_of"]


def precision_of(mapped: Mapped, input_bits: int | None, where: str) -> Precision | None:
    """The bits of the whole network, None where nothing is rounded.

    Layers of fewer weight bits stand on the widest layer's grids, which hold their values
    exactly. Raises `ConfigError` for networks that are rounded in part, activations of different
    grids, and inputs that nobody rounds while `input_bits` is None.
    """
    layers = list(mapped.layers.values())
    grids = [grid for layer in layers for grid in (layer.kernel_grid, layer.bias_grid)]
    if not any((*grids, *(la.activation for la in layers), *mapped.input_grids.values())):
        if input_bits is not None:
            msg = f"{where}: a float network; --input-bits is for quantized ones"
            raise ConfigError(msg)
        return None
    for layer in layers:
        _require_quantized(layer, where)
    activations = {layer.activation for layer in layers if layer.activation is not None}
    if len(activations) > 1 or any(grid.integer_bits for grid in activations):
        msg = (
            f"{where}: hidden activations on {', '.join(sorted(map(str, activations)))}; expected "
            "one quantized_relu(BITS, 0) everywhere"
        )
        raise ConfigError(msg)
    integer_bits = {
        layer.name: (_kernel(layer).grid.integer_bits, _bias_integer_bits(layer))
        for layer in layers
    }
    common = {bits for pair in integer_bits.values() for bits in pair}
    scales = tuple(LayerScale(name, *pair) for name, pair in integer_bits.items())
    input_bits = _input_bits(mapped, input_bits, where)
    try:
        return Precision(
            _widest(mapped),
            common.pop() if len(common) == 1 else 0,
            next((grid.bits for grid in activations), 8),
            input_bits,
            scales if common else (),
        )
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error


def weights_of(mapped: Mapped) -> Weights:
    """Weights by layer, such that our grids give exactly the values of the file's quantizers."""
    widest = _widest(mapped)
    found: Weights = {}
    for layer in mapped.layers.values():
        kernel = _on_grid(layer.kernel, layer.kernel_grid, widest)
        bias = _on_grid(layer.bias, layer.bias_grid, widest)
        found[layer.name] = {"kernel": kernel, "bias": bias}
    return found


def _on_grid(
    values: NDArray[np.float32], grid: WeightGrid | None, widest: int
) -> NDArray[np.float32]:
    if grid is None:
        return values
    latent = grid.latent(values)
    # On a grid of more bits than its own, a weight would keep digits that the file drops.
    return grid.grid.quantize(latent).astype(np.float32) if grid.grid.bits < widest else latent


def _kernel(layer: ReadLayer) -> WeightGrid:
    assert layer.kernel_grid is not None
    return layer.kernel_grid


def _bias_integer_bits(layer: ReadLayer) -> int:
    grid = layer.bias_grid or _kernel(layer)
    return grid.grid.integer_bits


def _widest(mapped: Mapped) -> int:
    layers = mapped.layers.values()
    grids = [grid for layer in layers for grid in (layer.kernel_grid, layer.bias_grid)]
    return max((grid.grid.bits for grid in grids if grid is not None), default=0)


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
