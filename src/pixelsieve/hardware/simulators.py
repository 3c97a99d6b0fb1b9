"""Verilator and GHDL: what the top module answers to a stream of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ToolError
from pixelsieve.core.files import scratch
from pixelsieve.core.programs import Tool, run_tool
from pixelsieve.hardware.ports import Design, Port

_WORD = 32
_QUIET = ("UNUSEDSIGNAL", "ALWNEVER", "DECLFILENAME", "UNUSEDPARAM", "VARHIDDEN")
_FAST_TO_COMPILE = "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
"""g++ needs minutes to optimise a large network, and the simulation seconds without that."""

_FLUSH = 4
"""Clocks simulated beyond the stated latency, so that a longer one shows."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Logit codes and keep bits after every clock (combinational: of every cluster).

    `shift` rows come before the answer to the first cluster where the latency is as stated.
    """

    logits: NDArray[np.int64]
    keep: NDArray[np.bool_]
    shift: int

    def of_clusters(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The answers to `n` clusters, if the latency is as stated."""
        rows = slice(self.shift, self.shift + n)
        return self.logits[rows], self.keep[rows]


def simulate_verilog(
    folder: Path,
    made: Design,
    codes: Mapping[str, NDArray[np.int64]],
    verilator: Tool,
    jobs: int = 2,
    *,
    generated: bool = False,
) -> Answers:
    """Compile the Verilog files in `folder` and feed it one cluster a clock.

    `codes` by feature name are (n, elements). `generated` Verilog (a netlist) is not held to the
    linter. Raises `ToolError` where it does not compile.
    """
    n, steps = steps_of(made, codes)
    with scratch() as work:
        words = np.concatenate([pack(codes[p.name], p) for p in made.inputs], axis=1)
        words.tofile(work / "vectors.bin")
        (work / "main.cpp").write_text(_main(made, n, steps), encoding="utf-8")
        sources = sorted(str(p.resolve()) for p in folder.glob("*.v"))
        lint = ("-Wno-fatal",) if generated else ("-Wall", *(f"-Wno-{w}" for w in _QUIET))
        command = [
            *verilator.command,
            "--cc",
            *verilator.build_arguments,
            *("--exe", "--build", "-j", str(jobs), "--Mdir", "build", "--prefix", "Vdesign"),
            *("--top-module", made.top, *lint),
            *("-MAKEFLAGS", _FAST_TO_COMPILE, "-CFLAGS", "-std=c++17"),
            *(*sources, "main.cpp", "-o", "simulate"),
        ]
        environment = dict(verilator.environment)
        run_tool(command, folder=work, environment=environment, what="Verilator")
        run_tool([str(work / "build" / "simulate")], folder=work, what="the simulation")
        said = work / "answers.bin"
        answers = said.read_bytes() if said.exists() else b""
        raw = np.frombuffer(answers[: len(answers) // 16 * 16], np.int64).reshape(-1, 2)
    if len(raw) != steps:
        msg = f"the simulation gave {len(raw)} answers; expected {steps}"
        raise ToolError(msg)
    return Answers(raw[:, 0], raw[:, 1] != 0, max(made.latency - 1, 0))


def steps_of(made: Design, codes: Mapping[str, NDArray[np.int64]]) -> tuple[int, int]:
    """Number of clusters, and of clocks to simulate (combinational: as many)."""
    n = len(codes[made.inputs[0].name])
    return n, n if made.latency == 0 else n + made.latency - 1 + _FLUSH


def pack(codes: NDArray[np.int64], port: Port) -> NDArray[np.uint32]:
    """A port's bits as words (n, ceil(width / 32)), lowest word first."""
    words = np.zeros((len(codes), -(-port.width // _WORD)), np.uint64)
    mask = np.int64((1 << port.bits) - 1)
    for element in range(port.elements):
        value = (codes[:, element] & mask).astype(np.uint64)
        word, offset = divmod(element * port.bits, _WORD)
        shifted = value << np.uint64(offset)  # bits <= 32, so this stays within 64
        words[:, word] |= shifted & np.uint64(0xFFFFFFFF)
        if offset + port.bits > _WORD:
            words[:, word + 1] |= shifted >> np.uint64(_WORD)
    return words.astype(np.uint32)


def bits_of(codes: NDArray[np.int64], port: Port) -> NDArray[np.uint8]:
    """A port's bits (n, width), highest first, of its codes (n, elements)."""
    shifts = np.arange(port.bits - 1, -1, -1)
    bits = (codes[:, ::-1, None] >> shifts) & 1
    return bits.reshape(len(codes), port.width).astype(np.uint8)


def _main(made: Design, n: int, steps: int) -> str:
    sets, first = [], 0
    for port in made.inputs:
        n_words = -(-port.width // _WORD)
        if port.width > 2 * _WORD:
            sets += [f"    top->{port.name}[{w}] = v[{first + w}];" for w in range(n_words)]
        else:
            parts = [f"((uint64_t)v[{first + w}] << {_WORD * w})" for w in range(n_words)]
            sets.append(f"    top->{port.name} = {' | '.join(parts)};")
        first += n_words
    return _MAIN % {
        "steps": steps,
        "last": n - 1,
        "words": first,
        "sets": "\n".join(sets),
        "before": "top->clk = 0; top->eval(); top->clk = 1;" if made.latency else "",
        "unused": 64 - made.logit.bits,
    }


_MAIN = """#include <cstdint>
#include <cstdio>
#include <vector>
#include "Vdesign.h"
#include "verilated.h"

int main() {
  VerilatedContext context;
  Vdesign* top = new Vdesign{&context};
  FILE* in = fopen("vectors.bin", "rb");
  FILE* out = fopen("answers.bin", "wb");
  if (!in || !out) { fprintf(stderr, "error: cannot open the vectors\\n"); return 1; }
  std::vector<uint32_t> v(%(words)d);
  for (long step = 0; step < %(steps)dL; ++step) {
    if (step <= %(last)dL && fread(v.data(), 4, v.size(), in) != v.size()) {
      fprintf(stderr, "error: too few vectors\\n");
      return 1;
    }
%(sets)s
    %(before)s
    top->eval();
    int64_t answer[2] = {
      (int64_t)((uint64_t)top->logit << %(unused)d) >> %(unused)d, (int64_t)top->keep};
    if (fwrite(answer, 8, 2, out) != 2) { fprintf(stderr, "error: No space left\\n"); return 1; }
  }
  if (fclose(out)) { fprintf(stderr, "error: No space left\\n"); return 1; }
  top->final();
  delete top;
  return 0;
}
"""


_UNKNOWN = np.iinfo(np.int64).min
"""The code of a logit with bits that are neither 0 nor 1."""


def simulate_vhdl(
    folder: Path, made: Design, codes: Mapping[str, NDArray[np.int64]], ghdl: Tool
) -> Answers:
    """Compile the VHDL files in `folder` and feed it one cluster a clock.

    `codes` by feature name are (n, elements). Raises `ToolError` where it does not compile.
    """
    n, steps = steps_of(made, codes)
    standard = "--std=08"
    with scratch() as work:
        (work / "vectors.txt").write_text(_rows(made, codes), encoding="ascii")
        (work / "testbench.vhd").write_text(_testbench(made, n, steps), encoding="utf-8")
        sources = [*sorted(str(p.resolve()) for p in folder.glob("*.vhd")), "testbench.vhd"]
        for step in (["-i", standard, *sources], ["-m", standard, "testbench"]):
            run_tool([*ghdl.command, *step], folder=work, what="GHDL")
        # GHDL with a code generator of its own makes no program; -r is the same for all.
        # The first signals are unknown, which the IEEE packages would tell at length.
        run = [*ghdl.command, "-r", standard, "testbench", "--ieee-asserts=disable"]
        run_tool(run, folder=work, what="the simulation")
        said = work / "answers.txt"
        answers = said.read_text(encoding="ascii").split() if said.exists() else []
    if len(answers) != 2 * steps:
        msg = f"the simulation gave {len(answers) // 2} answers; expected {steps}"
        raise ToolError(msg)
    logits = np.array([_signed(text) for text in answers[0::2]], np.int64)
    keep = np.array([text == "1" for text in answers[1::2]], np.bool_)
    return Answers(logits, keep, max(made.latency - 1, 0))


def _signed(text: str) -> int:
    if set(text) - {"0", "1"}:
        return _UNKNOWN
    return int(text, 2) - (int(text[0]) << len(text))


def _rows(made: Design, codes: Mapping[str, NDArray[np.int64]]) -> str:
    """A line of bits a cluster: the ports in order, each highest bit first."""
    columns = [bits_of(codes[port.name], port) for port in made.inputs]
    rows = np.concatenate(columns, axis=1) + np.uint8(ord("0"))
    return "".join(bytes(row).decode("ascii") + "\n" for row in rows)


def _testbench(made: Design, n: int, steps: int) -> str:
    total = sum(p.width for p in made.inputs)
    signals, sets, high = [], [], total - 1
    for port in made.inputs:
        signals.append(f"    signal {port.name}: std_logic_vector({port.width - 1} downto 0);")
        sets.append(f"                {port.name} <= bits({high} downto {high - port.width + 1});")
        high -= port.width
    names = [*(p.name for p in made.inputs), "logit", "keep"]
    wires = ", ".join(f"{name} => {name}" for name in ([*(["clk"] * bool(made.latency)), *names]))
    return _TESTBENCH.format(
        signals="\n".join(signals),
        sets="\n".join(sets),
        top=made.top,
        wires=wires,
        logit=made.logit.bits - 1,
        bits=total - 1,
        last=n - 1,
        steps=steps - 1,
    )


_TESTBENCH = """library ieee;
use ieee.std_logic_1164.all;
use std.textio.all;

entity testbench is
end entity testbench;

architecture simulation of testbench is
    signal clk: std_logic := '0';
    signal logit: std_logic_vector({logit} downto 0);
    signal keep: std_logic;
{signals}
begin
    top: entity work.{top} port map ({wires});

    process
        file vectors: text open read_mode is "vectors.txt";
        file answers: text open write_mode is "answers.txt";
        variable row: line;
        variable bits: std_logic_vector({bits} downto 0);
    begin
        for step in 0 to {steps} loop
            if step <= {last} then
                readline(vectors, row);
                read(row, bits);
{sets}
            end if;
            wait for 1 ns;
            clk <= '1';
            wait for 1 ns;
            write(row, logit);
            write(row, ' ');
            write(row, keep);
            writeline(answers, row);
            clk <= '0';
        end loop;
        wait;
    end process;
end architecture simulation;
"""
