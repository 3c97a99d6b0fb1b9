"""Running another program, within limits of time and memory where asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pixelsieve.errors import ToolError
from pixelsieve.guard import ending_with_us

__all__ = ["Finished", "run_bounded"]

_AT_OUR_WORD = ("sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh")
"""The program starts at a line on its input, after its limits are set and the guard knows of it.

Where this process is killed before, the line never comes and the program never starts.
"""

OUT_OF_MEMORY = ("bad_alloc", "out of memory", "cannot allocate", "cannot map", "memoryerror")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: by itself (`stopped_by` None), or at a limit."""

    code: int
    output: str
    seconds: float
    stopped_by: Literal["time", "memory"] | None = None


def run_bounded(
    command: Sequence[str],
    folder: Path,
    *,
    time_limit_s: float | None = None,
    memory_limit_gib: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run `command` in `folder`; at the time limit it and all its children are killed.

    So they are where this process is killed. The memory limit is the kernel's on the data of each
    process and holds on Linux only. Output and errors come back as one text. Temporary files of
    the program go to `folder`. Raises `ToolError` where the program cannot be started.
    """
    start = time.monotonic()
    variables = {**os.environ, "TMPDIR": str(folder), **(environment or {})}
    stopped = False
    output = b""
    if shutil.which(command[0], path=variables.get("PATH")) is None:
        msg = f"{command[0]}: cannot be started (no such program); check its install"
        raise ToolError(msg)
    try:
        # No preexec_fn: it would fork this process, which may hold JAX's threads.
        process = subprocess.Popen(  # noqa: S603 (a fixed script; the command is its arguments)
            [*_AT_OUR_WORD, *command], cwd=folder, env=variables, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        msg = f"{command[0]}: cannot be started ({error.strerror or error}); check its install"
        raise ToolError(msg) from error
    try:
        if memory_limit_gib is not None:
            _limit_memory(process.pid, memory_limit_gib)
        with ending_with_us(process.pid, group=True):
            output, _ = process.communicate(b"\n", timeout=time_limit_s)
    except subprocess.TimeoutExpired:
        stopped = True
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if stopped:
        output, _ = process.communicate()
    seconds = time.monotonic() - start
    text = output.decode(errors="replace")
    if stopped:
        return Finished(process.returncode, text, seconds, "time")
    # A kill that was not ours comes from the kernel, short of memory.
    killed = process.returncode == -signal.SIGKILL
    full = process.returncode != 0 and any(w in text.lower() for w in OUT_OF_MEMORY)
    return Finished(process.returncode, text, seconds, "memory" if killed or full else None)


def _limit_memory(process_id: int, gib: float) -> None:
    import resource

    if hasattr(resource, "prlimit"):
        limit = int(gib * 2**30)
        # Data, not address space: WebAssembly reserves far more addresses than it fills.
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process_id, resource.RLIMIT_DATA, (limit, limit))
