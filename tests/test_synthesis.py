from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, DataError, ToolError
from pixelsieve.core.processes import run_bounded
from pixelsieve.core.programs import YOSYS, Tool
from pixelsieve.hardware.synthesis import (
    Settings,
    count,
    count_gates,
    count_luts,
)
from tests.conftest import needs_tool

MODULES = {
    "add4": """
module add4(input [3:0] a, input [3:0] b, output [4:0] s);
  assign s = a + b;
endmodule
""",
    "registered_and": """
module registered_and(input clk, input a, input b, output reg q);
  wire d;
  and_gate inner(.a(a), .b(b), .y(d));
  always @(posedge clk) q <= d;
endmodule
module and_gate(input a, input b, output y);
  assign y = a & b;
endmodule
""",
    "parity6": """
module parity6(input [5:0] a, output p);
  assign p = ^a;
endmodule
""",
    "product": """
module product(input [7:0] a, input [7:0] b, output [15:0] p);
  assign p = a * b;
endmodule
""",
}


@pytest.fixture(scope="module")
def tool() -> Tool:
    return needs_tool(YOSYS)


@pytest.fixture(scope="module")
def rtl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("with a blank") / "rtl"
    (folder / "static").mkdir(parents=True)
    for name, text in MODULES.items():
        (folder / "static" / f"{name}.v").write_text(text)
    return folder


def test_an_adder_in_luts_and_carries(tool: Tool, rtl: Path, tmp_path: Path) -> None:
    netlist, simulation = tmp_path / "netlist.v", tmp_path / "simulation.v"
    found = count("luts", rtl, "add4", netlist=netlist, simulation=simulation, tool=tool)
    assert found.done
    assert found.luts is not None
    # One XOR a bit feeds the carry chain; the fifth sum bit needs a second CARRY4 to come out.
    assert found.luts.total == found.luts.by_size["LUT2"] == 4
    assert found.luts.logic_cells == 2
    assert (found.luts.carry, found.luts.flip_flops, found.luts.dsp) == (2, 0, 0)
    assert found.luts.other == {}
    assert found.gates is None
    assert found.seconds > 0
    assert (found.tool, found.version) == (tool.name, tool.version)
    plain = to_plain(found)
    assert plain["settings"]["family"] == "xcu"
    assert any("synth_xilinx -family xcu" in line for line in plain["script"])
    assert "CARRY4" in netlist.read_text()
    text = simulation.read_text()
    assert "CARRY4" not in text
    assert "LUT2" not in text
    assert "input [3:0] a" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["netlist.v", "simulation.v"]


def test_the_netlist_for_simulation_still_adds(tool: Tool, rtl: Path, tmp_path: Path) -> None:
    count("luts", rtl, "add4", simulation=tmp_path / "sim.v", tool=tool)
    # Yosys proves it: no input makes the netlist differ from a + b.
    script = (
        'read_verilog -sv "gold.v"\nrename add4 gold\nread_verilog "sim.v"\nrename add4 gate\n'
        "proc\nmiter -equiv -flatten -make_outputs gold gate miter\nhierarchy -top miter\n"
        "sat -verify -prove trigger 0 miter\n"
    )
    (tmp_path / "run.ys").write_text(script)
    (tmp_path / "gold.v").write_text(MODULES["add4"])
    done = subprocess.run(
        [*tool.command, "-q", "-s", "run.ys"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_registered_and(tool: Tool, rtl: Path) -> None:
    luts = count("luts", rtl, "registered_and", tool=tool).luts
    assert luts is not None
    assert (luts.total, luts.by_size["LUT2"], luts.flip_flops, luts.other) == (1, 1, 1, {})
    gates = count("gates", rtl, "registered_and", tool=tool).gates
    assert gates is not None
    assert (gates.combinational, gates.nand2_equivalents) == (1.5, 7.5)
    assert (gates.flip_flops, gates.depth) == (1, 1)


def test_parity_in_gates(tool: Tool, rtl: Path) -> None:
    found = count("gates", rtl, "parity6", tool=tool)
    assert found.gates is not None
    assert found.gates.combinational == 5 * 3.0
    assert found.gates.depth == 3
    assert found.luts is None


def test_fast_gates_are_as_few_as_those_of_abc_s_own_script(tool: Tool, rtl: Path) -> None:
    fast = count("gates", rtl, "product", tool=tool)
    slow = count("gates", rtl, "product", Settings(gate_mapping=""), tool=tool)
    assert fast.gates is not None
    assert slow.gates is not None
    assert fast.gates.combinational == pytest.approx(slow.gates.combinational, rel=0.1)
    assert fast.gates.depth <= slow.gates.depth + 1
    assert any(line.startswith("abc -g cmos,AND,OR -script +strash") for line in fast.script)
    assert "abc -g cmos,AND,OR" in slow.script


def test_a_product_needs_no_dsp_unless_asked(tool: Tool, rtl: Path) -> None:
    luts = count("luts", rtl, "product", tool=tool).luts
    assert luts is not None
    assert luts.dsp == 0
    assert luts.total > 30


def test_too_little_time_or_memory_gives_no_number(tool: Tool, rtl: Path, tmp_path: Path) -> None:
    netlist = tmp_path / "netlist.v"
    start = time.monotonic()
    late = count("luts", rtl, "product", Settings(time_limit_s=0.2), netlist=netlist, tool=tool)
    assert time.monotonic() - start < 5
    assert late.status == "not finished in 0.2 s"
    assert (late.luts, late.gates, late.done) == (None, None, False)
    assert not netlist.exists()
    if sys.platform == "linux":
        full = count("luts", rtl, "product", Settings(memory_limit_gib=0.05), tool=tool)
        assert (full.status, full.luts) == ("not finished in 0.05 GiB", None)


def test_verilog_that_yosys_refuses(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "bad.v").write_text("module bad(input a, output b); assign b = ; endmodule\n")
    with pytest.raises(DataError, match=r"bad: Yosys stopped .*bad.v:1: .*syntax error") as error:
        count("gates", tmp_path, "bad", tool=tool)
    assert "\n" not in str(error.value)


def test_a_latch_has_no_weight(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "latch.v").write_text(
        "module latch(input e, input d, output reg q); always @* if (e) q = d; endmodule\n"
    )
    with pytest.raises(DataError, match="latch"):
        count("gates", tmp_path, "latch", tool=tool)


NOWHERE = Tool("Yosys", "0", "nowhere", ("no-such-program",))


def test_what_is_wrong_before_yosys_starts(rtl: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no module 'ad4' \(did you mean 'add4'\?\)"):
        count("luts", rtl, "ad4", tool=NOWHERE)
    with pytest.raises(ConfigError, match="no such folder"):
        count("luts", tmp_path / "none", "add4", tool=NOWHERE)
    with pytest.raises(ConfigError, match="holds no Verilog"):
        count("luts", tmp_path, "add4", tool=NOWHERE)
    with pytest.raises(ConfigError, match="no such folder for the netlist"):
        count("luts", rtl, "add4", netlist=tmp_path / "x" / "n.v", tool=NOWHERE)
    with pytest.raises(ToolError, match="cannot be started"):
        count("luts", rtl, "add4", tool=NOWHERE)
    with pytest.raises(ConfigError, match="time_limit_s is 0"):
        Settings(time_limit_s=0)
    with pytest.raises(ConfigError, match="family"):
        Settings(family="xcu; exec")
    with pytest.raises(ConfigError, match="mapping"):
        Settings(mapping="&if; exec")
    with pytest.raises(ConfigError, match="gate_mapping"):
        Settings(gate_mapping="strash; exec")
    assert Settings(mapping="", gate_mapping="").mapping == ""


def test_the_limit_ends_children_too(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = ["/bin/sh", "-c", f"sleep 60 & echo $! > {pid}; wait"]
    done = run_bounded(command, tmp_path, time_limit_s=0.5, memory_limit_gib=1)
    assert done.stopped_by == "time"
    assert 0.4 < done.seconds < 5
    child = Path("/proc") / pid.read_text().strip()
    for _ in range(50):
        if not child.exists() or " Z " in (child / "stat").read_text():
            break
        time.sleep(0.1)
    else:
        pytest.fail("the child still runs")


def test_how_a_program_ended(tmp_path: Path) -> None:
    done = run_bounded(
        ["/bin/sh", "-c", "echo said; exit 3"], tmp_path, time_limit_s=9, memory_limit_gib=1
    )
    assert (done.code, done.output, done.stopped_by) == (3, "said\n", None)
    hog = [sys.executable, "-c", "x = bytearray(3 << 30)"]
    if sys.platform == "linux":
        done = run_bounded(hog, tmp_path, time_limit_s=30, memory_limit_gib=0.5)
        assert done.stopped_by == "memory"
    assert list(tmp_path.iterdir()) == []


def test_cells_to_sizes() -> None:
    cells = {
        "LUT1": 1, "LUT6": 5, "INV": 2, "FDRE": 3, "FDSE": 1, "CARRY4": 2, "MUXF7": 1, "DSP48E2": 4,
        "RAMB36E2": 1, "RAMB18E2": 1, "SRL16E": 2, "BUFG": 1,
    }  # fmt: skip
    luts = count_luts(cells)
    assert (luts.total, luts.by_size["LUT1"], luts.by_size["LUT6"]) == (8, 3, 5)
    assert (luts.flip_flops, luts.carry, luts.wide_mux, luts.dsp) == (4, 2, 1, 4)
    assert (luts.bram_18k, luts.lut_memory, luts.other) == (3, 2, {"BUFG": 1})


def test_cells_to_gates() -> None:
    gates = count_gates({"$_NAND_": 3, "$_XOR_": 1, "$_DFF_P_": 2, "$_DFF_PN0_": 1}, 4)
    assert (gates.nand2_equivalents, gates.combinational) == (6 + 2 * 6 + 7, 6)
    assert (gates.flip_flops, gates.depth) == (3, 4)
    with pytest.raises(DataError, match="DLATCH"):
        count_gates({"$_DLATCH_P_": 1}, 0)
