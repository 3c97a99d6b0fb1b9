"""The gate of every table: Keras = integers = alkaid's program; what the network costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelsieve.features import FeatureTable
from pixelsieve.integer.layers import IntegerInput, IntegerPool, in_patches
from pixelsieve.integer.logic import fused, traced
from pixelsieve.integer.network import IntegerNetwork, from_model
from pixelsieve.networks.model_file import Model


@dataclass(frozen=True, slots=True)
class LogicCost:
    """What a network costs as combinational logic.

    `luts` is alkaid's estimate for the program that Verilog is written of (`logic.fused`), as in
    `resources.Resources`; `traced_luts`, about a quarter more, and `levels` (adders on the longest
    path) are those of the traced one; `ebops` are effective bit operations (see `ebops`).
    """

    luts: float
    traced_luts: float
    levels: float
    ebops: int


@dataclass(frozen=True, slots=True)
class Exactness:
    """Of how many clusters the logits of Keras and of alkaid's program differ from the integers'.

    `logits` (n,) are the integers' codes.
    """

    logits: NDArray[np.int64]
    keras: int
    alkaid: int
    cost: LogicCost

    @property
    def passed(self) -> bool:
        """Whether all three agree on every cluster."""
        return self.keras == self.alkaid == 0


def check_exactness(model: Model, table: FeatureTable) -> Exactness:
    """Run a quantized model's three forms on the clusters of `table`.

    Alkaid's is the program that Verilog is written of; `verify` simulates that too. Raise
    `ConfigError` for a float model, and `ConstantLogitError` if the logit is the same for every
    input.
    """
    network = from_model(model)
    program = traced(network)
    codes = network.input_codes(table)
    values = network.input_values(codes)
    logits = network.run(codes)
    scale = 2.0**network.logit_fraction_bits
    keras = np.asarray(model.logits(values), np.float64) * scale
    inputs = np.concatenate([values.inputs[i.name] for i in network.inputs], axis=1)
    cost, levels = float(program.cost), float(program.latency[1])
    lean = fused(program)
    alkaid = lean.predict(inputs.astype(np.float64))[:, 0] * scale
    return Exactness(
        logits,
        int((keras != logits).sum()),
        int((alkaid != logits).sum()),
        LogicCost(float(lean.cost), cost, levels, ebops(network)),
    )


def ebops(network: IntegerNetwork) -> int:
    """Effective bit operations: bits of the weight times bits of the input, over all products.

    A weight has the digits between its first and its last one, an input those of its grid, with
    the sign (after Sun et al., arXiv:2405.00645).
    """
    bits = {i.name: np.asarray(_input_bits(i)) for i in network.inputs}
    total = 0
    for layer in network.layers:
        sources = np.concatenate([bits[s] for s in layer.inputs])
        if isinstance(layer, IntegerPool):
            bits[layer.name] = layer.largest(sources)
            continue
        taken = sources if layer.patches is None else in_patches(sources, layer.patches)
        total += int((taken @ _digits(layer.kernel)).sum())
        if layer.activation is not None:
            bits[layer.name] = np.tile(layer.activation.bits, layer.width // len(layer.bias))
    return total


def _input_bits(one: IntegerInput) -> tuple[int, ...]:
    return (one.grid.bits,) * one.width if one.quantizer is None else one.quantizer.bits


def _digits(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    size = np.abs(codes)
    odd = size // np.maximum(size & -size, 1)
    return np.asarray(np.ceil(np.log2(odd + 1)), np.int64)
