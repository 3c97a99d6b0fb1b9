"""The gate: Keras = integer program = simulated Verilog, on given clusters and on corners."""

from __future__ import annotations

import functools
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ToolError
from pixelsieve.core.programs import GHDL, Tool, find
from pixelsieve.features import FeatureTable
from pixelsieve.hardware.ports import Design
from pixelsieve.hardware.simulators import Answers, simulate_verilog, simulate_vhdl
from pixelsieve.hardware.testbench import Vectors
from pixelsieve.integer.network import LayerCounters
from pixelsieve.integer.pixels import Program
from pixelsieve.networks.model_file import Model, stored_keras_model

if TYPE_CHECKING:
    import keras

_FLOAT32_BITS = 25  # 24 of the significand and the sign

_KERAS_BATCH = 4096

_GHDL_WORK, _LEAST_FOR_GHDL = 5e6, 50
"""Vectors times LUTs that GHDL simulates in a minute or two, and the least of vectors."""


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The first vector on which a stage differs, layer by layer.

    `vector` counts from 0, through the clusters first and the corners after them. `inputs` are
    codes by feature; `layers` are by layer the output codes of the integer program, `keras` those
    of Keras (not whole numbers where Keras has left the grid).
    """

    stage: str
    vector: int
    of: str
    expected: int
    got: float | None
    inputs: dict[str, list[int]]
    layers: dict[str, list[int]]
    keras: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of the gate; `mismatches` by stage, all zero if it holds.

    The stages are `keras` (logits against the integer program), `verilog_logit` and
    `verilog_keep` (against the integer program and the threshold). `latency` in clocks was
    measured (None: no delay makes the answers agree).
    """

    clusters: int
    corners: int
    mismatches: dict[str, int]
    first: FirstDifference | None
    counters: tuple[LayerCounters, ...]
    threshold: int
    latency_stated: int
    latency: int | None
    notes: tuple[str, ...]
    tools: dict[str, str]
    seconds: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether everything agreed, at the stated latency."""
        return not any(self.mismatches.values()) and self.latency == self.latency_stated


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """A netlist or VHDL in its simulator; `mismatches` against the integer program.

    Without a simulator `vectors` are 0 and `tool` says which one is missing.
    """

    tool: str
    vectors: int
    mismatches: dict[str, int]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every answer agreed, where there are any."""
        return not any(self.mismatches.values())


def verify(
    model: Model,
    network: Program,
    folder: Path,
    made: Design,
    of: Vectors,
    verilator: Tool,
    *,
    jobs: int = 2,
) -> Verification:
    """Compare all three on the vectors.

    `folder` holds the Verilog of `made`. Keras is what its users load from the model's file
    (`stored_keras_model`). Raise `ToolError` if Verilator fails; a difference is a result, not an
    error.
    """
    codes, n_clusters, n, threshold = of.codes, of.clusters, of.size, made.threshold
    clock = Clock()
    expected = network.run(codes)
    counters = network.counters({k: c[:n_clusters] for k, c in codes.items()})
    clock.stop("integer program")
    scale = 2.0**network.logit_fraction_bits
    values = _values(network, of)
    stored = stored_keras_model(model)
    keras = np.asarray(_predicted(stored, values.inputs), np.float64)[:, 0] * scale
    clock.stop("Keras")
    answers = simulate_verilog(folder, made, codes, verilator, jobs)
    clock.stop("Verilator")
    logits, keep = answers.of_clusters(n)
    wrong = {
        "keras": keras != expected,
        "verilog_logit": logits != expected,
        "verilog_keep": keep != (expected >= threshold),
    }
    got = {"keras": keras, "verilog_logit": logits, "verilog_keep": keep}
    firsts = [(int(bad.argmax()), stage) for stage, bad in wrong.items() if bad.any()]
    first = None
    if firsts:
        at, stage = min(firsts)
        truth = expected >= threshold if stage == "verilog_keep" else expected
        inputs = {k: v[at : at + 1] for k, v in values.inputs.items()}
        first = replace(
            first_difference(network, of, at, stage, int(truth[at]), got[stage][at]),
            keras=_keras_layers(stored, network, inputs),
        )
    tools = {"simulator": str(verilator), "alkaid": made.alkaid_version}
    return Verification(
        clusters=n_clusters,
        corners=of.corners,
        mismatches={stage: int(bad.sum()) for stage, bad in wrong.items()},
        first=first,
        counters=counters,
        threshold=threshold,
        latency_stated=made.latency,
        latency=_latency(answers, made, expected),
        notes=_notes(network),
        tools={**tools, **versions("keras", "hgq2", "jax", "numpy")},
        seconds=clock.seconds,
    )


def first_difference(
    network: Program, of: Vectors, at: int, stage: str, expected: int, got: float
) -> FirstDifference:
    """Return what there is to say of the vector `at`, without Keras's layers."""
    vector = {name: c[at : at + 1] for name, c in of.codes.items()}
    return FirstDifference(
        stage,
        at,
        "clusters" if at < of.clusters else "corners",
        expected,
        float(got) if np.isfinite(got) else None,
        {name: c[0].tolist() for name, c in vector.items()},
        {name: c[0].tolist() for name, c in network.trace(vector).layers.items()},
        keras={},
    )


def verify_netlist(
    folder: Path, made: Design, network: Program, of: Vectors, verilator: Tool, *, jobs: int = 2
) -> AnswerCheck:
    """Compare a synthesized netlist (plain Verilog in `folder`, same ports) on the vectors.

    One that cannot be simulated is a result, not an error.
    """
    simulate = functools.partial(
        simulate_verilog, folder, made, of.codes, verilator, jobs, generated=True
    )
    try:
        return _checked("netlist", simulate, verilator, network, made.threshold, of)
    except ToolError as error:
        return _not_simulated(error)


def verify_vhdl(folder: Path, made: Design, network: Program, of: Vectors) -> AnswerCheck:
    """Compare the VHDL in `folder` on the vectors; without GHDL, say that it was not simulated.

    GHDL follows every glitch, so large networks get fewer vectors (see `_GHDL_WORK`): the first
    ones of the corners, and the others evenly out of all.
    """
    try:
        ghdl = find(GHDL)
    except ToolError as error:
        return _not_simulated(error)
    few = of.at_most(max(_LEAST_FOR_GHDL, round(_GHDL_WORK / max(made.lut_estimate, 1))))
    simulate = functools.partial(simulate_vhdl, folder, made, few.codes, ghdl)
    return _checked("vhdl", simulate, ghdl, network, made.threshold, few)


def _not_simulated(error: ToolError) -> AnswerCheck:
    return AnswerCheck(f"not simulated: {error}", 0, {}, 0.0)


def _checked(
    what: str,
    simulate: Callable[[], Answers],
    tool: Tool,
    network: Program,
    threshold: int,
    of: Vectors,
) -> AnswerCheck:
    clock = Clock()
    answers = simulate()
    clock.stop("all")
    expected = network.run(of.codes)
    logits, keep = answers.of_clusters(of.size)
    wrong = {
        f"{what}_logit": int((logits != expected).sum()),
        f"{what}_keep": int((keep != (expected >= threshold)).sum()),
    }
    return AnswerCheck(str(tool), of.size, wrong, clock.seconds["all"])


class Clock:
    """Wall seconds of one step after another, in `seconds` by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, name: str) -> None:
        """The step `name` ends here."""
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now


def _latency(answers: Answers, made: Design, expected: NDArray[np.int64]) -> int | None:
    """The delay in clocks at which the logits agree, None where none does.

    Where several do (all logits equal), the stated one is preferred.
    """
    if made.latency == 0:
        return 0 if np.array_equal(answers.logits, expected) else None
    n = len(expected)
    last = len(answers.logits) - n
    for shift in [answers.shift, *range(last + 1)]:
        if np.array_equal(answers.logits[shift : shift + n], expected):
            return int(shift) + 1
    return None


def _values(network: Program, of: Vectors) -> FeatureTable:
    """Return what Keras gets."""
    values = network.input_values(of.codes)
    if of.features is None:
        return values
    own = of.features.inputs
    joined = {k: np.concatenate([own[k], v[of.clusters :]]) for k, v in values.inputs.items()}
    return replace(values, inputs=joined)


def _predicted(model: keras.Model, inputs: Any) -> Any:
    """Outputs of a Keras model as its users get them."""
    return model.predict(inputs, batch_size=_KERAS_BATCH, verbose=0)


def _keras_layers(
    whole: keras.Model, network: Program, vector: Mapping[str, NDArray[np.float32]]
) -> dict[str, list[float]]:
    import keras

    names = [layer.name for layer in network.layers]
    inner = keras.Model(whole.inputs, [whole.get_layer(name).output for name in names])
    outputs = _predicted(inner, [vector[tensor.name] for tensor in whole.inputs])
    return {  # as codes, images as vectors
        layer.name: (np.ravel(out).astype(np.float64) * 2.0**layer.output_fraction_bits).tolist()
        for layer, out in zip(network.layers, outputs, strict=True)
    }


def _notes(network: Program) -> tuple[str, ...]:
    return tuple(
        f"layer '{name}': sums of up to {bits} bits; Keras adds in float32, which is exact to "
        f"{_FLOAT32_BITS} bits with the sign"
        for name, bits in network.sum_bits().items()
        if bits > _FLOAT32_BITS
    )


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of installed packages by name."""
    return {name: importlib.metadata.version(name) for name in packages}
