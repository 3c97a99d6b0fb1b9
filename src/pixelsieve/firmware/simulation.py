"""Verilog in Verilator: what the top module answers to a stream of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ToolError
from pixelsieve.files import telling_unwritable
from pixelsieve.firmware.rtl import Design, Port
from pixelsieve.firmware.tools import Tool, run_tool
from pixelsieve.guard import scratch_folder

__all__ = ["Answers", "bits_of", "pack", "simulate_verilog", "steps_of"]

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
    n = len(codes[made.inputs[0].name])
    steps = steps_of(made, n)
    with scratch_folder() as work:
        with telling_unwritable(work, "set TMPDIR"):
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


def steps_of(made: Design, n: int) -> int:
    """Clocks to simulate for `n` clusters (combinational: as many as there are clusters)."""
    return n if made.latency == 0 else n + made.latency - 1 + _FLUSH


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
    unused = 64 - made.logit.bits
    fields: dict[str, Any] = {
        "steps": steps,
        "last": n - 1,
        "words": first,
        "sets": "\n".join(sets),
        "before": "top->clk = 0; top->eval(); top->clk = 1;" if made.latency else "",
        "unused": unused,
    }
    return _MAIN % fields


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
