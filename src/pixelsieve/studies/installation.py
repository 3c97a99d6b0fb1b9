"""What is installed here: versions, outside programs, the machine, and what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable
from typing import Any

from pixelsieve import __version__
from pixelsieve.errors import PixelsieveError, ToolError
from pixelsieve.firmware.ghdl import find_ghdl
from pixelsieve.firmware.hls_simulation import require_compiler
from pixelsieve.firmware.tools import find_verilator, require_programs
from pixelsieve.firmware.yosys import find_yosys

__all__ = ["installation"]

_PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "pyarrow", "h5py", "numba", "jax", "jaxlib", "keras"),
    *("hgq2", "optax", "optuna", "distributed", "matplotlib", "mplhep", "jinja2", "rich", "typer"),
)
_OPTIONAL = {
    "alkaid": "Verilog and resources of networks, and `search`",
    "hls4ml": "the hand-over to Vitis and Catapult",
}
_GIB = 2**30


def installation() -> dict[str, Any]:
    """Plain data: `pixelsieve`, `python`, `packages`, `tools`, `device`, `missing`.

    A package that is not there has the version None; a tool has `found` (its version and where it
    is from, or None), `for` what it serves, and `how` to get it where it is not there. `missing`
    lists the names of both. Starts the programs to ask for their versions; Yosys as a wheel
    compiles itself on its first start ever.
    """
    packages = {name: _version(name) for name in (*_PACKAGES, *_OPTIONAL)}
    tools = [
        *(_package_tool(name, use, packages[name]) for name, use in _OPTIONAL.items()),
        _tool("Verilator", "checking the Verilog", lambda: str(find_verilator())),
        _tool("Yosys", "counting LUTs and gates (--luts, --gates)", _yosys),
        _tool("g++", "Verilator's simulation and the C simulation of HLS", require_compiler),
        *(_program(name) for name in ("make", "perl")),
        _tool("GHDL", "checking the VHDL (--vhdl)", lambda: str(find_ghdl())),
    ]
    lacking = [name for name in _PACKAGES if packages[name] is None]
    return {
        "schema": 1,
        "pixelsieve": __version__,
        "python": platform.python_version(),
        "packages": packages,
        "tools": tools,
        "device": _device(),
        "missing": lacking + [tool["name"] for tool in tools if tool["found"] is None],
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package_tool(name: str, use: str, version: str | None) -> dict[str, Any]:
    how = None if version else f"{name} is missing; it serves {use}: pip install {name}"
    found = f"{name} {version}" if version else None
    return {"name": name, "for": use, "found": found, "how": how}


def _tool(name: str, use: str, find: Callable[[], str]) -> dict[str, Any]:
    """`find` gives version and origin, or raises `ToolError` with how to get it."""
    try:
        return {"name": name, "for": use, "found": find(), "how": None}
    except ToolError as error:
        return {"name": name, "for": use, "found": None, "how": str(error)}


def _program(name: str) -> dict[str, Any]:
    def find() -> str:
        require_programs(name, what="Verilator")
        return str(shutil.which(name))

    return _tool(name, "Verilator's simulation", find)


def _yosys() -> str:
    found = find_yosys()
    return f"{found.name} {found.version}"


def _device() -> dict[str, Any]:
    """Where training runs; what cannot be asked is None, `problem` says why JAX has no device."""
    device: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": _cores(),
        "memory_gib": _memory_gib(),
        "disk_free_gib": round(shutil.disk_usage(".").free / _GIB, 1),
        "jax_backend": None,
        "jax_devices": [],
        "problem": None,
    }
    try:
        import jax

        device["jax_backend"] = jax.default_backend()
        device["jax_devices"] = [str(one.device_kind) for one in jax.devices()]
    except (ImportError, RuntimeError, PixelsieveError) as error:
        device["problem"] = f"JAX does not start: {error}"
    return device


def _cores() -> int:
    """Cores that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1)
    except (AttributeError, OSError, ValueError):
        return None
