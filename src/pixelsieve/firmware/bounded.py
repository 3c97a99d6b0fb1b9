"""Running another program within limits of time and memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pixelsieve.errors import ConfigError

__all__ = ["Finished", "run_bounded"]

OUT_OF_MEMORY = ("bad_alloc", "out of memory", "cannot allocate", "cannot map", "memoryerror")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: by itself (`stopped_by` None), or at a limit."""

    code: int
    output: str
    seconds: float
    stopped_by: Literal["time", "memory"] | None = None


def run_bounded(
    command: Sequence[str], folder: Path, *, time_limit_s: float, memory_limit_gib: float
) -> Finished:
    """Run `command` in `folder`; at the time limit it and all its children are killed.

    The memory limit is the kernel's on the data of each process and holds on Linux only. Output
    and errors come back as one text. Temporary files of the program go to `folder`. Raises
    `ConfigError` where the program cannot be started.
    """
    start = time.monotonic()
    log = folder / ".output"
    environment = {**os.environ, "TMPDIR": str(folder)}
    stopped = False
    with log.open("wb") as sink:
        try:
            # No preexec_fn: it would fork this process, which may hold JAX's threads.
            process = subprocess.Popen(  # noqa: S603 (a list, no shell)
                list(command), cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            msg = f"{command[0]}: cannot be started ({error.strerror or error}); check its install"
            raise ConfigError(msg) from error
        try:
            _limit_memory(process.pid, memory_limit_gib)
            process.wait(time_limit_s)
        except subprocess.TimeoutExpired:
            stopped = True
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    seconds = time.monotonic() - start
    output = log.read_text(encoding="utf-8", errors="replace")
    log.unlink()
    if stopped:
        return Finished(process.returncode, output, seconds, "time")
    # A kill that was not ours comes from the kernel, short of memory.
    killed = process.returncode == -signal.SIGKILL
    full = process.returncode != 0 and any(w in output.lower() for w in OUT_OF_MEMORY)
    return Finished(process.returncode, output, seconds, "memory" if killed or full else None)


def _limit_memory(process_id: int, gib: float) -> None:
    import resource

    if hasattr(resource, "prlimit"):
        limit = int(gib * 2**30)
        # Data, not address space: WebAssembly reserves far more addresses than it fills.
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process_id, resource.RLIMIT_DATA, (limit, limit))
