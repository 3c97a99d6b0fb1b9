"""The gate: Keras = integer program = simulated Verilog, on given clusters and on corners."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ToolError
from pixelsieve.features import FeatureTable
from pixelsieve.firmware.ghdl import find_ghdl, simulate_vhdl
from pixelsieve.firmware.integer import LayerCounters
from pixelsieve.firmware.pixels import PixelNetwork, Program, pixel_corners
from pixelsieve.firmware.rtl import Design
from pixelsieve.firmware.simulation import Answers, simulate_verilog
from pixelsieve.firmware.tools import Verilator
from pixelsieve.model_file import Model

__all__ = [
    "AnswerCheck",
    "Clock",
    "FirstDifference",
    "Vectors",
    "Verification",
    "corner_codes",
    "edge_codes",
    "vectors",
    "verify",
    "verify_netlist",
    "verify_vhdl",
]

_FLOAT32_BITS = 25  # 24 of the significand and the sign

_GHDL_WORK, _LEAST_FOR_GHDL = 5e6, 50
"""Vectors times LUTs that GHDL simulates in a minute or two, and the least of vectors."""

_FIRST_CORNERS = 5
"""Of the corners, those at the threshold, at both ends of the range and at zero."""

Codes = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Input codes by port, (n, elements) each: clusters first, corners after them.

    `features` are those of the clusters, as Keras takes them in use; without them, and for the
    corners, it gets the values that the codes stand for.
    """

    codes: dict[str, NDArray[np.int64]]
    clusters: int
    corners: int
    features: FeatureTable | None = None


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
    """Result of the gate; `mismatches` by stage, all zero where it holds.

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


def corner_codes(network: Program, n_random: int = 2000, seed: int = 0) -> Codes:
    """All at the smallest code, all at the largest, zeros, then random codes over the full range.

    A quarter of the random vectors holds only smallest and largest codes. From pixels there are
    also sparse windows, and windows with a single pixel (see `pixel_corners`).
    """
    rng = np.random.default_rng(seed)
    corners = {}
    for one in network.inputs:
        low, high = one.grid.lowest_code, one.grid.highest_code
        uniform = rng.integers(low, high + 1, (n_random, one.width))
        ends = rng.choice(np.array([low, high]), (n_random // 4, one.width))
        uniform[: len(ends)] = ends
        fixed = np.repeat(np.array([low, high, 0]), one.width).reshape(3, one.width)
        corners[one.name] = np.concatenate([fixed, uniform]).astype(np.int64)
    return pixel_corners(corners, seed) if isinstance(network, PixelNetwork) else corners


def edge_codes(network: Program, codes: Codes, threshold: int) -> Codes:
    """Those of `codes` that tell the threshold best: a logit on it, and the nearest below it."""
    logits = network.run(codes)
    rows = [int((logits == threshold).argmax())]
    if (below := logits < threshold).any():
        rows.append(int(np.where(below, logits, logits.min()).argmax()))
    return {name: values[rows] for name, values in codes.items()}


def vectors(
    network: Program,
    clusters: Codes,
    *,
    features: FeatureTable | None = None,
    edges: Codes | None = None,
    n_random: int = 2000,
    seed: int = 0,
) -> Vectors:
    """Codes of clusters, then `edges` (see `edge_codes`) and the corners (see `corner_codes`).

    `features` of the clusters (see `Vectors`); refused where they are scaled another way.
    """
    if features is not None:
        features.require(network.features, network.name)
    corners = corner_codes(network, n_random, seed)
    if edges is not None:
        corners = {name: np.concatenate([edges[name], c]) for name, c in corners.items()}
    names = [i.name for i in network.inputs]
    n_clusters, n_corners = (len(c[names[0]]) for c in (clusters, corners))
    codes = {name: np.concatenate([clusters[name], corners[name]]) for name in names}
    return Vectors(codes, n_clusters, n_corners, features)


def verify(
    model: Model,
    network: Program,
    folder: Path,
    made: Design,
    threshold: int,
    of: Vectors,
    verilator: Verilator,
    *,
    jobs: int = 2,
) -> Verification:
    """Compare all three on the vectors.

    `folder` holds the Verilog of `made`; `threshold` is the code that `keep` must have. Raises
    `ToolError` where Verilator fails; a difference is a result, not an error.
    """
    codes, n_clusters = of.codes, of.clusters
    n = n_clusters + of.corners
    clock = Clock()
    expected = network.run(codes)
    counters = network.counters({k: c[:n_clusters] for k, c in codes.items()})
    clock.stop("integer program")
    scale = 2.0**network.logit_fraction_bits
    values = _values(network, of)
    keras = np.asarray(model.logits(values), np.float64) * scale
    clock.stop("Keras")
    answers = simulate_verilog(folder, made, codes, verilator, jobs)
    clock.stop("Verilator")
    logits, keep = (a[answers.shift :][:n] for a in (answers.logits, answers.keep))
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
        vector = {name: c[at : at + 1] for name, c in codes.items()}
        truth = expected >= threshold if stage == "verilog_keep" else expected
        first = FirstDifference(
            stage,
            at,
            "clusters" if at < n_clusters else "corners",
            int(truth[at]),
            float(got[stage][at]) if np.isfinite(got[stage][at]) else None,
            {name: c[0].tolist() for name, c in vector.items()},
            {name: c[0].tolist() for name, c in network.trace(vector).layers.items()},
            _keras_layers(model, network, {k: v[at : at + 1] for k, v in values.inputs.items()}),
        )
    versions = {"simulator": str(verilator), "alkaid": made.alkaid_version}
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
        tools={**versions, **_versions()},
        seconds=clock.seconds,
    )


def verify_netlist(
    folder: Path,
    made: Design,
    network: Program,
    threshold: int,
    of: Vectors,
    verilator: Verilator,
    *,
    jobs: int = 2,
) -> AnswerCheck:
    """Compare a synthesized netlist (plain Verilog in `folder`, same ports) on the vectors."""
    clock = Clock()
    answers = simulate_verilog(folder, made, of.codes, verilator, jobs, generated=True)
    clock.stop("all")
    wrong = _mismatches("netlist", answers, network, threshold, of)
    return AnswerCheck(str(verilator), of.clusters + of.corners, wrong, clock.seconds["all"])


def verify_vhdl(
    folder: Path, made: Design, network: Program, threshold: int, of: Vectors
) -> AnswerCheck:
    """Compare the VHDL in `folder` on the vectors; without GHDL, say that it was not simulated.

    GHDL follows every glitch, so large networks get fewer vectors (see `_GHDL_WORK`): the first
    ones of the corners, and the others evenly out of all.
    """
    try:
        ghdl = find_ghdl()
    except ToolError as error:
        return AnswerCheck(f"not simulated: {error}", 0, {}, 0.0)
    few = _fewer(of, max(_LEAST_FOR_GHDL, round(_GHDL_WORK / max(made.lut_estimate, 1))))
    clock = Clock()
    answers = simulate_vhdl(folder, made, few.codes, ghdl)
    clock.stop("all")
    wrong = _mismatches("vhdl", answers, network, threshold, few)
    return AnswerCheck(str(ghdl), few.clusters + few.corners, wrong, clock.seconds["all"])


def _fewer(of: Vectors, most: int) -> Vectors:
    """At most so many of the vectors."""
    n = of.clusters + of.corners
    if n <= most:
        return of
    first = np.arange(of.clusters, min(n, of.clusters + _FIRST_CORNERS))
    spread = np.linspace(0, n - 1, most - len(first)).astype(np.int64)
    rows = np.union1d(first, spread)
    n_clusters = int((rows < of.clusters).sum())
    codes = {name: values[rows] for name, values in of.codes.items()}
    return Vectors(codes, n_clusters, len(rows) - n_clusters)


def _mismatches(
    what: str, answers: Answers, network: Program, threshold: int, of: Vectors
) -> dict[str, int]:
    expected = network.run(of.codes)
    logits, keep = (a[answers.shift :][: len(expected)] for a in (answers.logits, answers.keep))
    return {
        f"{what}_logit": int((logits != expected).sum()),
        f"{what}_keep": int((keep != (expected >= threshold)).sum()),
    }


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
    """What Keras gets."""
    values = network.input_values(of.codes)
    if of.features is None:
        return values
    own = of.features.inputs
    joined = {k: np.concatenate([own[k], v[of.clusters :]]) for k, v in values.inputs.items()}
    return replace(values, inputs=joined)


def _keras_layers(
    model: Model, network: Program, vector: Mapping[str, NDArray[np.float32]]
) -> dict[str, list[float]]:
    import jax
    import keras

    whole = model.keras_model()
    names = [layer.name for layer in network.layers]
    inner = keras.Model(whole.inputs, [whole.get_layer(name).output for name in names])
    variables = [
        [np.asarray(v.value) for v in some]
        for some in (inner.trainable_variables, inner.non_trainable_variables)
    ]
    inputs = [vector[tensor.name] for tensor in whole.inputs]
    outputs, _ = jax.jit(inner.stateless_call)(*variables, inputs)
    return {
        layer.name: _codes(out, layer.output_fraction_bits)
        for layer, out in zip(network.layers, outputs, strict=True)
    }


def _codes(values: Any, fraction_bits: int) -> list[float]:
    """The values of one cluster as codes, images as vectors."""
    return list((np.asarray(values, np.float64).reshape(-1) * 2.0**fraction_bits).tolist())


def _notes(network: Program) -> tuple[str, ...]:
    return tuple(
        f"layer '{name}': sums of up to {bits} bits; Keras adds in float32, which is exact to "
        f"{_FLOAT32_BITS} bits with the sign"
        for name, bits in network.sum_bits().items()
        if bits > _FLOAT32_BITS
    )


def _versions() -> dict[str, str]:
    import importlib.metadata

    return {name: importlib.metadata.version(name) for name in ("keras", "hgq2", "jax", "numpy")}
