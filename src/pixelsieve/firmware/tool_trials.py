"""Each outside program run once on a tiny design: what is broken shows before it is needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pixelsieve.errors import ToolError
from pixelsieve.firmware.ghdl import simulate_vhdl
from pixelsieve.firmware.rtl import Design, Language, Port, write_verilog
from pixelsieve.firmware.simulation import Answers, simulate_verilog
from pixelsieve.firmware.synthesis import synthesize_luts
from pixelsieve.firmware.tools import GHDL, GXX, VERILATOR, YOSYS, Tool, Wanted, run_tool
from pixelsieve.guard import scratch_folder

__all__ = ["TOOLS", "try_tool"]

TOOLS = (VERILATOR, YOSYS, GXX, GHDL)

_CODES = {"a": np.arange(-8, 8)[:, None]}
_VERILOG = """module tiny(input wire [3:0] a, output wire signed [3:0] logit, output wire keep);
  assign logit = ~a;
  assign keep = logit >= 4'sd3;
endmodule
"""
_VHDL = """library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
entity tiny is
  port (a: in std_logic_vector(3 downto 0); logit: out std_logic_vector(3 downto 0);
        keep: out std_logic);
end entity;
architecture logic of tiny is
begin
  logit <= not a;
  keep <= '1' when signed(not a) >= 3 else '0';
end architecture;
"""
_CPP = "int main() { return 0; }\n"


def try_tool(wanted: Wanted, tool: Tool) -> None:
    """Let the tool do on four bits what it is for; raise `ToolError` if it fails or is wrong."""
    _TRIALS[wanted.name](tool)


def _verilator(tool: Tool) -> None:
    made = _design("verilog", _VERILOG)
    with scratch_folder() as folder:
        write_verilog(folder, made)
        _check(simulate_verilog(folder, made, _CODES, tool), tool)


def _ghdl(tool: Tool) -> None:
    made = _design("vhdl", _VHDL)
    with scratch_folder() as folder:
        write_verilog(folder, made)
        _check(simulate_vhdl(folder, made, _CODES, tool), tool)


def _yosys(tool: Tool) -> None:
    with scratch_folder() as folder:
        write_verilog(folder, _design("verilog", _VERILOG))
        luts = synthesize_luts(folder, "tiny", tool=tool).luts
    if luts is None or not luts.total:
        msg = f"{tool} counts no LUTs in a design of four inverters"
        raise ToolError(msg)


def _gxx(tool: Tool) -> None:
    with scratch_folder() as folder:
        (folder / "main.cpp").write_text(_CPP, encoding="utf-8")
        compile_it = [*tool.command, "-std=c++17", "main.cpp", "-o", "main"]
        run_tool(compile_it, folder=folder, what=str(tool))
        run_tool([str(folder / "main")], folder=folder, what=f"a program of {tool}")


_TRIALS: dict[str, Callable[[Tool], None]] = {
    VERILATOR.name: _verilator,
    YOSYS.name: _yosys,
    GXX.name: _gxx,
    GHDL.name: _ghdl,
}


def _design(language: Language, text: str) -> Design:
    port, logit = Port("a", 1, 4, True, 0), Port("logit", 1, 4, True, 0)  # noqa: FBT003 (signed)
    name = "tiny.v" if language == "verilog" else "tiny.vhd"
    return Design("tiny", {name: text}, (port,), logit, 3, 0, 4.0, 0.0, 0, "", language)


def _check(answers: Answers, tool: Tool) -> None:
    expected = ~_CODES["a"][:, 0]
    if not (answers.logits == expected).all() or not (answers.keep == (expected >= 3)).all():  # noqa: PLR2004 (its threshold)
        msg = f"{tool} gives wrong answers for a design of four inverters"
        raise ToolError(msg)
