"""An integer network as alkaid's adder graph: the program, its cost, whether it is exact."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError, ConstantLogitError, ToolError
from pixelsieve.features import FeatureTable
from pixelsieve.integer.layers import IntegerInput, IntegerLayer, IntegerPool
from pixelsieve.integer.network import IntegerNetwork, from_model
from pixelsieve.networks.fixed_point import Quantizer
from pixelsieve.networks.model_file import Model

_CONSTANT = 5
"""alkaid's operation code of a constant."""


def alkaid(module: str) -> Any:
    """A module of alkaid (untyped). Raise `ToolError` if alkaid is not installed."""
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


@contextlib.contextmanager
def one_line(name: str) -> Iterator[None]:
    """Raise `ConfigError` if alkaid fails inside on the network `name`: a fault of alkaid's own."""
    try:
        yield
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        version = alkaid("_version").__version__
        reason = (str(error).splitlines() or ["no message"])[0]
        msg = (
            f"{name}: alkaid {version} fails on this network ({type(error).__name__}: {reason}); "
            "train it with another seed or precision, and report it with its network.json"
        )
        raise ConfigError(msg) from error


def traced(network: IntegerNetwork) -> Any:
    """Return the network as alkaid's `CombLogic`: inputs, element by element, to the logit.

    Raise `ConstantLogitError` if the logit is the same for every input, and `ConfigError` if
    alkaid fails.
    """
    with one_line(network.name):
        ports = port_variables(network.inputs)
        return compiled(network.name, ports, [logit_of(network, ports)])


def port_variables(inputs: Sequence[IntegerInput]) -> dict[str, Sequence[Any]]:
    """Variables for the codes of each input, by name."""
    trace = alkaid("trace")
    ports = {}
    for one in inputs:
        grid = one.grid
        fields = (int(grid.signed), grid.integer_bits, grid.fraction_bits)
        # Not `FVArrayInput`: alkaid 0.8.2 fails where the sign of one of those chooses.
        kept, integers, fractions = (np.full(one.width, field) for field in fields)
        ports[one.name] = trace.FVArray.from_kif(kept, integers, fractions, _hardware(trace))
    return ports


def logit_of(network: IntegerNetwork, made: Mapping[str, Sequence[Any]]) -> Any:
    """The logit of a network whose inputs, by feature, are these variables."""
    trace = alkaid("trace")
    values = {one.name: _taken(made[one.name], one) for one in network.inputs}
    for layer in network.layers:
        source = [v for s in layer.inputs for v in values[s]]
        if isinstance(layer, IntegerPool):
            values[layer.name] = _pooled(layer, source)
        elif layer.patches is None:
            values[layer.name] = _layer(trace, layer, source)
        else:
            source.append(trace.FVariable.from_const(0.0, hwconf=_hardware(trace)))
            patches = layer.patches.table()
            by_position = (_layer(trace, layer, [source[i] for i in patch]) for patch in patches)
            values[layer.name] = [value for position in by_position for value in position]
    (logit,) = values[network.layers[-1].name]
    return logit


def compiled(name: str, ports: Mapping[str, Sequence[Any]], outputs: Sequence[Any]) -> Any:
    """The `CombLogic` from all ports, element by element, to the outputs.

    Raise `ConstantLogitError` if every output is the same for every input.
    """
    program = None
    if not all(map(_is_constant, outputs)):
        with without_lost_shifts():
            inputs = np.concatenate(list(ports.values()))
            program = alkaid("trace").trace(inputs, list(outputs), keep_dead_inputs=True)
    if program is None or all(program.ops[i].opcode == _CONSTANT for i in program.out_idxs):
        msg = f"{name}: its logit is the same for every input; there is nothing to build"
        raise ConstantLogitError(msg)
    return program


def fused(program: Any) -> Any:
    """The program as Verilog is written of it, with ternary adders; its `cost` are LUTs."""
    passes = alkaid("trace.passes")
    lean = passes.dead_code_elimin(passes.fuse_ternary_adders(program))
    return passes.surrogate.add_surrogate(lean, _skip_op8_cost=True)


def _taken(port: Sequence[Any], one: IntegerInput) -> Sequence[Any]:
    """Return what the network takes of an input's elements."""
    if one.quantizer is None:
        return port
    return [quantized(value, one.quantizer.element(i)) for i, value in enumerate(port)]


def _layer(trace: Any, layer: IntegerLayer, source: Sequence[Any]) -> list[Any]:
    """The layer's outputs, one variable per unit.

    What is constant, before or after rounding, is worked out here: alkaid 0.8.2 rounds it wrongly
    where half to even is asked for, and fails where every input of a product is constant.
    """
    kernel = layer.kernel * layer.kernel_grid.step
    source, kernel = _with_unsigned_bits(source, kernel)
    varies = np.array([not _is_constant(v) for v in source])
    fixed = np.array([v.low for v, moves in zip(source, varies, strict=True) if not moves])
    offset = layer.bias * layer.bias_grid.step + fixed @ kernel[~varies]
    live = kernel[varies].any(axis=0)
    outputs = [trace.FVariable.from_const(float(c), hwconf=_hardware(trace)) for c in offset]
    if live.any():
        moving = trace.FVArray(
            np.array([v for v, moves in zip(source, varies, strict=True) if moves])
        )
        for unit, total in zip(
            np.flatnonzero(live), moving @ kernel[varies][:, live] + offset[live], strict=True
        ):
            outputs[unit] = total
    if layer.activation is None:
        return outputs
    return [_activated(total, layer.activation.element(i)) for i, total in enumerate(outputs)]


def _with_unsigned_bits(
    source: Sequence[Any], kernel: NDArray[Any]
) -> tuple[list[Any], NDArray[Any]]:
    """Return inputs and weights of the same sums, without signed inputs of one bit.

    alkaid 0.8.2 looks sums of six one-bit inputs up in a table and takes each for 0 or one step; a
    signed bit is 0 or *minus* one step, so the table does not cover the sums and alkaid ends in an
    AssertionError. Read as unsigned (wiring alone) such a bit has the opposite value, and its
    weights get the opposite sign.
    """
    signed = [sum(v.kif) == 1 and v.low < 0 and not _is_constant(v) for v in source]
    bits = [
        v.quantize(0, v.kif[1] + 1, v.kif[2], overflow_mode="WRAP") if one else v
        for v, one in zip(source, signed, strict=True)
    ]
    return bits, np.where(np.array(signed)[:, None], -kernel, kernel)


def _pooled(layer: IntegerPool, source: Sequence[Any]) -> list[Any]:
    """The largest of each patch and channel, in pairs so that the path stays short."""
    pixels, channels = prod(layer.patches.size), sum(layer.patches.channels)
    outputs = []
    for patch in layer.patches.table().reshape(-1, pixels, channels):
        for channel in range(channels):
            left = [source[i] for i in patch[:, channel]]
            while len(left) > 1:
                odd = left[len(left) & ~1 :]
                left = [larger(a, b) for a, b in zip(left[::2], left[1::2], strict=False)] + odd
            outputs.append(left[0])
    return outputs


def larger(a: Any, b: Any) -> Any:
    """Return the larger of two variables.

    `max_of` of alkaid 0.8.2 asks the first bit of their difference for its sign. If the difference
    is known to be positive, as of a + b and b, it has no sign, and the smaller one is taken.
    """
    return a if (a - b).low >= 0 else a.max_of(b)


def _activated(total: Any, one: Quantizer) -> Any:
    """Relu and rounding of one sum."""
    # An unsigned range that saturates is a relu already.
    relu = total.low < 0 and (one.signed[0] or one.overflow == "WRAP")
    return quantized(total.relu() if relu else total, one)


def quantized(value: Any, one: Quantizer) -> Any:
    """`value` on the grid of a quantizer of one element."""
    low, high = Fraction(value.low), Fraction(value.high)
    whole = max(low.denominator, high.denominator)
    fraction = whole.bit_length() - 1
    ends = np.array([[int(low * whole)], [int(high * whole)]])
    if len(np.unique(one.codes_in_order(ends, fraction))) == 1:
        constant = one.codes(ends, fraction)[0, 0]
        return type(value).from_const(float(constant * 2.0**-one.fraction_bits), value.hwconf)
    fields = (int(one.signed[0]), one.integer_bits[0], one.fraction_bits)
    return value.quantize(*fields, overflow_mode=one.overflow, round_mode=one.rounding)


def _is_constant(variable: Any) -> bool:
    return bool(variable.low == variable.high)


def _hardware(trace: Any) -> Any:
    """Cost model: adders of any width, one level of latency each, no limit on the latency."""
    return trace.HWConfig(1, -1, -1)


@dataclass(frozen=True, slots=True)
class LogicCost:
    """The cost of a network as combinational logic.

    `luts` is alkaid's estimate for the program that Verilog is written of (`fused`), as in
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
    got = lean.predict(inputs.astype(np.float64))[:, 0] * scale
    return Exactness(
        logits,
        int((keras != logits).sum()),
        int((got != logits).sum()),
        LogicCost(float(lean.cost), cost, levels, ebops(network)),
    )


def ebops(network: IntegerNetwork) -> int:
    """Effective bit operations: bits of the weight times bits of the input, over all products.

    A weight has the digits between its first and its last one, an input those of its grid, with
    the sign (after Sun et al., arXiv:2405.00645).
    """
    bits = {
        i.name: np.array(i.quantizer.bits if i.quantizer else (i.grid.bits,) * i.width)
        for i in network.inputs
    }
    total = 0
    for layer in network.layers:
        sources = np.concatenate([bits[s] for s in layer.inputs])
        if isinstance(layer, IntegerPool):
            bits[layer.name] = layer.largest(sources)
            continue
        total += int((layer.taken(sources) @ _digits(layer.kernel)).sum())
        if layer.activation is not None:
            bits[layer.name] = np.tile(layer.activation.bits, layer.width // len(layer.bias))
    return total


def _digits(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    size = np.abs(codes)
    odd = size // np.maximum(size & -size, 1)
    return np.asarray(np.ceil(np.log2(odd + 1)), np.int64)
