"""An integer network as alkaid's adder graph; every use of alkaid's tracer is here."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from pixelsieve.errors import ConfigError
from pixelsieve.firmware.integer import IntegerNetwork
from pixelsieve.firmware.tools import ToolError

__all__ = ["alkaid", "traced", "without_lost_shifts"]

_HARDWARE = (1, -1, -1)
"""Cost model: adders of any width, one level of latency each, no limit on the latency."""


def alkaid(module: str) -> Any:
    """A module of alkaid (untyped). Raises `ToolError` where alkaid is not installed."""
    try:
        return importlib.import_module(f"alkaid.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "alkaid":
            raise
        msg = "alkaid is not installed; it writes the Verilog: pip install alkaid"
        raise ToolError(msg) from error


@contextlib.contextmanager
def without_lost_shifts() -> Iterator[None]:
    """Switch off the pass of alkaid 0.8.2 that gives wrong programs.

    `canonicalize_msb_wraps` rewrites a 1-bit `wrap` of a shifted value as one of the value
    itself, so another bit is taken. The program without that pass is right, and no larger.
    """
    passes = alkaid("trace.passes.canon")
    before = passes.canonicalize_msb_wraps
    passes.canonicalize_msb_wraps = lambda program: program
    try:
        yield
    finally:
        passes.canonicalize_msb_wraps = before


def traced(network: IntegerNetwork) -> Any:
    """The network as alkaid's `CombLogic`: inputs in order, element by element, to the logit.

    Raises `ConfigError` where the logit is the same for every input.
    """
    low, high = network.sum_ranges()[network.layers[-1].name]
    if low == high:
        msg = f"{network.name}: its logit is always {low}; there is nothing to build"
        raise ConfigError(msg)
    trace = alkaid("trace")
    values: dict[str, Any] = {}
    for one in network.inputs:
        grid = one.grid
        raw = trace.FVArrayInput((one.width,), trace.HWConfig(*_HARDWARE), None)
        values[one.name] = raw.quantize(int(grid.signed), grid.integer_bits, grid.fraction_bits)
    inputs = np.concatenate([values[one.name] for one in network.inputs])
    for layer in network.layers:
        source = np.concatenate([values[s] for s in layer.inputs])
        kernel = layer.kernel * layer.kernel_grid.step
        sums = source @ kernel + layer.bias * layer.bias_grid.step
        if (out := layer.activation) is not None:
            fields = (int(out.signed), out.integer_bits, out.fraction_bits)
            sums = sums.quantize(*fields, overflow_mode="SAT", round_mode="RND_CONV")
        values[layer.name] = sums
    with without_lost_shifts():
        return trace.trace(inputs, values[network.layers[-1].name], keep_dead_inputs=True)
