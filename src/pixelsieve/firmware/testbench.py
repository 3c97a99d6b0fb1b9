"""A test bench for any simulator of Verilog: clusters, and the answers they must get."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelsieve.firmware.rtl import Design, Port
from pixelsieve.firmware.simulators import bits_of
from pixelsieve.firmware.vectors import Vectors
from pixelsieve.integer.pixels import Program

__all__ = ["VECTORS_FILE", "testbench_name", "write_testbench"]

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
