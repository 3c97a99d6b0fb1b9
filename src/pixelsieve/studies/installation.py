"""The installation: versions, outside programs and whether each runs, the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pixelsieve import __version__
from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import PixelsieveError, ToolError
from pixelsieve.core.processes import scratch_folder
from pixelsieve.core.programs import (
    GHDL,
    GXX,
    VERILATOR,
    YOSYS,
    Tool,
    Wanted,
    find,
    require_programs,
    run_tool,
)
from pixelsieve.core.workers import default_workers
from pixelsieve.hardware.ports import Design, Language, Port
from pixelsieve.hardware.rtl import write_verilog
from pixelsieve.hardware.simulators import simulate_verilog, simulate_vhdl
from pixelsieve.hardware.synthesis import count

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
_PORTS = [Port(name, 1, 4, True, 0) for name in ("a", "logit")]  # noqa: FBT003 (signed)
_FILES: dict[Language, dict[str, str]] = {
    "verilog": {"tiny.v": _VERILOG},
    "vhdl": {"tiny.vhd": _VHDL},
}
_DESIGNS = {
    language: Design("tiny", files, (_PORTS[0],), _PORTS[1], 3, 0, 4.0, 0.0, 0, "", language)
    for language, files in _FILES.items()
}
_CPP = "int main() { return 0; }\n"


def try_tool(wanted: Wanted, tool: Tool) -> None:
    """Let the tool do its work on four bits; raise `ToolError` if it fails or is wrong."""
    _TRIALS[wanted.name](tool)


def _simulator(tool: Tool, language: Language) -> None:
    made = _DESIGNS[language]
    simulate = simulate_verilog if language == "verilog" else simulate_vhdl
    with scratch_folder() as folder:
        write_verilog(folder, made)
        answers = simulate(folder, made, _CODES, tool)
    expected = ~_CODES["a"][:, 0]
    kept = expected >= made.threshold
    if not (answers.logits == expected).all() or not (answers.keep == kept).all():
        msg = f"{tool} gives wrong answers for a design of four inverters"
        raise ToolError(msg)


def _yosys(tool: Tool) -> None:
    with scratch_folder() as folder:
        write_verilog(folder, _DESIGNS["verilog"])
        luts = count("luts", folder, "tiny", tool=tool).luts
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
    VERILATOR.name: partial(_simulator, language="verilog"),
    YOSYS.name: _yosys,
    GXX.name: _gxx,
    GHDL.name: partial(_simulator, language="vhdl"),
}

_PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "pyarrow", "h5py", "numba", "jax", "jaxlib", "keras"),
    *("hgq2", "optax", "optuna", "distributed", "matplotlib", "mplhep", "jinja2", "rich", "typer"),
)
_OPTIONAL = {
    "alkaid": "Verilog and resources of networks, and `search`",
    "hls4ml": "the hand-over to Vitis and Catapult",
    "uproot": "ROOT files",
}
_USES = {
    "Verilator": "checking the Verilog",
    "Yosys": "counting LUTs and gates (--luts, --gates)",
    "g++": "Verilator's simulation and the C simulation of HLS",
    "GHDL": "checking the VHDL (--vhdl)",
}
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class ToolStatus:
    """A tool or an optional package, and what it is used for.

    `found` is its version and where it is from, None if it is not there or fails; then `how` says
    how to get it. `passed_over` has a line for each other one that was found first and not taken.
    """

    name: str
    use: str
    found: str | None
    how: str | None
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Device:
    """Where training runs; what cannot be asked is None. `problem` is why JAX has no device."""

    system: str
    cores: int
    memory_gib: float | None
    disk_free_gib: float
    jax_backend: str | None
    jax_devices: tuple[str, ...]
    problem: str | None


@dataclass(frozen=True, slots=True)
class Installation:
    """Versions (None: not there) of `packages`, tools, the machine, and what is missing."""

    pixelsieve: str
    python: str
    packages: dict[str, str | None]
    tools: tuple[ToolStatus, ...]
    device: Device
    missing: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        plain = {"schema": 1, **to_plain(self)}
        for tool in plain["tools"]:
            found, how, passed_over = tool.pop("found"), tool.pop("how"), tool.pop("passed_over")
            tool |= {"for": tool.pop("use"), "found": found, "how": how, "passed_over": passed_over}
        return plain


def installation(on_step: Callable[[str], None] | None = None) -> Installation:
    """Look for packages and tools; every outside program runs once on a tiny design.

    `on_step` gets a line for each before. A program that fails is missing.
    """
    say = on_step or (lambda _: None)
    packages = {name: _version(name) for name in (*_PACKAGES, *_OPTIONAL)}
    tools = [_package_tool(name, use, packages[name]) for name, use in _OPTIONAL.items()]
    for wanted in TOOLS:
        say(f"trying {wanted.name}")
        tools.append(_tried(wanted))
    tools += [_program(name) for name in ("make", "perl")]
    lacking = [name for name in _PACKAGES if packages[name] is None]
    lacking += [tool.name for tool in tools if tool.found is None]
    return Installation(
        __version__, platform.python_version(), packages, tuple(tools), _device(), tuple(lacking)
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package_tool(name: str, use: str, version: str | None) -> ToolStatus:
    how = None if version else f"{name} is missing; it serves {use}: pip install {name}"
    return ToolStatus(name, use, f"{name} {version}" if version else None, how)


def _tried(wanted: Wanted) -> ToolStatus:
    """Return the tool that was found and works, else how to get it."""
    use, found, how = _USES[wanted.name], None, None
    try:
        tool = find(wanted)
    except ToolError as error:
        return ToolStatus(wanted.name, use, None, str(error))
    try:
        try_tool(wanted, tool)
        found = str(tool)
    except PixelsieveError as error:
        how = f"{tool} does not work: {error}; {wanted.how}"
    return ToolStatus(wanted.name, use, found, how, tuple(tool.passed_over))


def _program(name: str) -> ToolStatus:
    use = "Verilator's simulation"
    try:
        require_programs(name, what="Verilator")
    except ToolError as error:
        return ToolStatus(name, use, None, str(error))
    return ToolStatus(name, use, shutil.which(name), None)


def _device() -> Device:
    backend = problem = None
    devices: tuple[str, ...] = ()
    try:
        import jax

        backend = jax.default_backend()
        devices = tuple(str(one.device_kind) for one in jax.devices())
    except (ImportError, RuntimeError, PixelsieveError) as error:
        problem = f"JAX does not start: {error}"
    free = round(shutil.disk_usage(".").free / _GIB, 1)
    system = f"{platform.system()} {platform.machine()}"
    return Device(system, default_workers(), _memory_gib(), free, backend, devices, problem)


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1)
    except (AttributeError, OSError, ValueError):
        return None
