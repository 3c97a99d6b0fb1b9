"""Input codes on which the gate compares, and a test bench that feeds them in any simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelsieve.features import FeatureTable
from pixelsieve.hardware.ports import Design, Port
from pixelsieve.hardware.simulators import bits_of
from pixelsieve.integer.pixels import PixelNetwork, Program, pixel_corners
from pixelsieve.networks.fixed_point import Codes

_FIRST_CORNERS = 5
"""Of the corners, those at the threshold, at both ends of the range and at zero."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Input codes by port, (n, elements) each: clusters first, corners after them.

    `features` are those of the clusters, as Keras takes them in use; without them, and for the
    corners, it gets the values that the codes stand for.
    """

    codes: dict[str, Codes]
    clusters: int
    corners: int
    features: FeatureTable | None = None

    @property
    def size(self) -> int:
        """Clusters and corners."""
        return self.clusters + self.corners

    def at_most(self, most: int) -> Vectors:
        """So many of them: the first ones of the corners, and the others evenly out of all.

        Without features where some are left out.
        """
        if self.size <= most:
            return self
        first = np.arange(self.clusters, min(self.size, self.clusters + _FIRST_CORNERS))
        spread = np.linspace(0, self.size - 1, most - len(first)).astype(np.int64)
        rows = np.union1d(first, spread)
        clusters = int((rows < self.clusters).sum())
        codes = {name: values[rows] for name, values in self.codes.items()}
        return Vectors(codes, clusters, len(rows) - clusters)


def corner_codes(network: Program, n_random: int = 2000, seed: int = 0) -> dict[str, Codes]:
    """All at the smallest code, all at the largest, zeros, then random codes over the full range.

    A quarter of the random vectors holds only smallest and largest codes. From pixels there are
    also sparse windows, and windows with a single pixel (see `pixel_corners`).
    """
    rng = np.random.default_rng(seed)
    corners: dict[str, Codes] = {}
    for one in network.inputs:
        low, high = one.grid.lowest_code, one.grid.highest_code
        uniform = rng.integers(low, high + 1, (n_random, one.width))
        ends = rng.choice(np.array([low, high]), (n_random // 4, one.width))
        uniform[: len(ends)] = ends
        fixed = np.repeat(np.array([low, high, 0]), one.width).reshape(3, one.width)
        corners[one.name] = np.concatenate([fixed, uniform]).astype(np.int64)
    return pixel_corners(corners, seed) if isinstance(network, PixelNetwork) else corners


def edge_codes(network: Program, codes: Mapping[str, Codes], threshold: int) -> dict[str, Codes]:
    """Return the `codes` that test the threshold: a logit on it, and the nearest one below."""
    logits = network.run(codes)
    rows = [int((logits == threshold).argmax())]
    if (below := logits < threshold).any():
        rows.append(int(np.where(below, logits, logits.min()).argmax()))
    return {name: values[rows] for name, values in codes.items()}


def vectors(
    network: Program,
    clusters: Mapping[str, Codes],
    *,
    features: FeatureTable | None = None,
    edges: Mapping[str, Codes] | None = None,
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


VECTORS_FILE = "vectors.hex"

_MOST = 10_000
"""Vectors: a line each, of up to 300 characters where pixels go in."""

_KEEP = Port("keep", 1, 1, signed=False, fraction_bits=0)


def testbench_name(made: Design) -> str:
    """The module of the test bench."""
    return f"{made.top}_tb"


def write_testbench(folder: Path, made: Design, program: Program, of: Vectors) -> int:
    """Write the test bench of `made` and its vectors into `folder`, which is there.

    At most 10,000 vectors (see `Vectors.at_most`), whose number comes back. A line is one
    hexadecimal word: `keep`, `logit` and the ports in the order of `made.inputs`, the first in
    the highest bits. The test bench is Verilog 2001.
    """
    few = of.at_most(_MOST)
    logits = program.run(few.codes)
    answers = ((_KEEP, logits >= made.threshold), (made.logit, logits))
    columns = [bits_of(np.asarray(codes, np.int64)[:, None], port) for port, codes in answers]
    columns += [bits_of(few.codes[port.name], port) for port in made.inputs]
    words = _hexadecimal(np.concatenate(columns, axis=1))
    (folder / VECTORS_FILE).write_text("".join(f"{w}\n" for w in words), encoding="ascii")
    text = _text(made, few.size)
    (folder / f"{testbench_name(made)}.v").write_text(text, encoding="utf-8")
    return few.size


def _hexadecimal(bits: NDArray[np.uint8]) -> list[str]:
    """Rows of bits, highest first, as hexadecimal digits."""
    digits = -(-bits.shape[1] // 4)
    missing = -bits.shape[1] % 8  # packed in bytes; a leading zero digit may be one too many
    padded = np.pad(bits, ((0, 0), (missing, 0)))
    return [bytes(row).hex()[-digits:] for row in np.packbits(padded, axis=1)]


def _text(made: Design, size: int) -> str:
    wires = [f"    wire [{p.width - 1}:0] {p.name};" for p in made.inputs]
    names = [*(["clk"] * bool(made.latency)), *(p.name for p in made.inputs), "logit", "keep"]
    return _TESTBENCH.format(
        name=testbench_name(made),
        top=made.top,
        vectors=VECTORS_FILE,
        size=size,
        latency=made.latency,
        bits=1 + made.logit.width + sum(p.width for p in made.inputs),
        inputs=sum(p.width for p in made.inputs),
        logit=made.logit.width,
        wires="\n".join(wires),
        ports=", ".join(p.name for p in made.inputs),
        connections=", ".join(f".{name}({name})" for name in names),
    )


_TESTBENCH = """`timescale 1 ns / 1 ps

// Feeds {vectors} to {top}, one cluster a clock, and compares what comes out. In this folder:
//   $ iverilog -g2005 -o run {name}.v ../verilog/*.v && vvp run
//   $ verilator --binary -Wno-fatal --top-module {name} {name}.v ../verilog/*.v && obj_dir/V{name}
// A netlist with the same ports may stand for ../verilog/*.v.
module {name};
    localparam SIZE = {size};
    localparam LATENCY = {latency}; // clocks; 0: combinational

    reg [{bits}-1:0] vectors [0:SIZE-1]; // keep, logit, then the ports
    reg [{bits}-1:0] expected;
    reg [{inputs}-1:0] given;
    reg clk;
    integer step, wrong, first;
{wires}
    wire signed [{logit}-1:0] logit;
    wire keep;

    assign {{{ports}}} = given;
    {top} design_under_test ({connections});

    initial begin
        $readmemh("{vectors}", vectors);
        wrong = 0;
        first = -1;
        clk = 0;
        for (step = 0; step < SIZE + (LATENCY > 1 ? LATENCY - 1 : 0); step = step + 1) begin
            if (step < SIZE) given = vectors[step][{inputs}-1:0];
            #4 clk = 1;
            #4;
            if (step >= LATENCY - 1) begin
                expected = vectors[LATENCY > 1 ? step - LATENCY + 1 : step];
                if ({{keep, logit}} !== expected[{bits}-1:{inputs}]) begin
                    if (first < 0) first = LATENCY > 1 ? step - LATENCY + 1 : step;
                    wrong = wrong + 1;
                end
            end
            clk = 0;
        end
        if (wrong == 0) $display("PASS: 0 mismatches in %0d vectors", SIZE);
        else $display("FAIL: %0d mismatches in %0d vectors; the first is line %0d of {vectors}",
                      wrong, SIZE, first + 1);
        $finish;
    end
endmodule
"""
