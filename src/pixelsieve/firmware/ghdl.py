"""VHDL in GHDL: what the top entity answers to a stream of clusters.

GHDL is not on PyPI; without it VHDL is written, but not simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ToolError
from pixelsieve.files import telling_unwritable
from pixelsieve.firmware.rtl import Design
from pixelsieve.firmware.simulation import Answers, bits_of, steps_of
from pixelsieve.firmware.tools import Tool, run_tool
from pixelsieve.guard import scratch_folder

__all__ = ["simulate_vhdl"]

_UNKNOWN = np.iinfo(np.int64).min
"""The code of a logit with bits that are neither 0 nor 1."""


def simulate_vhdl(
    folder: Path, made: Design, codes: Mapping[str, NDArray[np.int64]], ghdl: Tool
) -> Answers:
    """Compile the VHDL files in `folder` and feed it one cluster a clock.

    `codes` by feature name are (n, elements). Raises `ToolError` where it does not compile.
    """
    n = len(codes[made.inputs[0].name])
    steps = steps_of(made, n)
    standard = "--std=08"
    with scratch_folder() as work:
        with telling_unwritable(work, "set TMPDIR"):
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
