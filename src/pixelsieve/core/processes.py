"""Other programs and processes: what ends with this one, and what runs within limits.

A process that is killed with -9 runs no code of its own any more. So a small second process, which
runs this file alone, waits at the end of a pipe; when this process is gone, it kills the process
groups and removes the folders that it was told of.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_LOOK_S = 1.0
_DYING_S = 10.0


@contextlib.contextmanager
def ending_with_us(group: int) -> Iterator[None]:
    """While inside: if this process is killed, the process group is killed too."""
    with _told(str(group)):
        yield


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a temporary folder below TMPDIR; it is removed even if this process is killed."""
    path = Path(tempfile.gettempdir()).absolute() / f"pixelsieve-{secrets.token_hex(8)}"
    with _told(str(path)):  # first: a kill between the two must leave nothing
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


_lock = threading.Lock()
_guards: dict[int, int] = {}
"""The pipe to the guard, by the process that started it: a fork needs one of its own."""


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    _tell(f"+{what}")
    try:
        yield
    finally:
        _tell(f"-{what}")


def _tell(line: str) -> None:
    with _lock:
        if os.getpid() not in _guards:
            _guards[os.getpid()] = _start_guard()
        # A guard that was killed cannot help; the work goes on without.
        with contextlib.suppress(OSError):
            os.write(_guards[os.getpid()], f"{line}\n".encode())


def _start_guard() -> int:
    owner = os.getpid()
    guard = subprocess.Popen(  # noqa: S603 (this file)
        [sys.executable, "-I", "-S", __file__, str(owner)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,  # a kill of our group leaves it alive
    )
    assert guard.stdin is not None
    atexit.register(lambda: guard.communicate() if os.getpid() == owner else None)
    return guard.stdin.fileno()


def _listen(owner: int) -> dict[str, None]:
    """Return what is noted when the owner is gone: process groups and folders."""
    noted: dict[str, None] = {}
    rest = b""
    # A pipe that a fork of the owner holds open does not close: look for the owner too.
    while (told := bool(select.select([0], [], [], _LOOK_S)[0])) or os.getppid() == owner:
        if not told:
            continue
        if not (data := os.read(0, 65536)):
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in map(os.fsdecode, lines):
            noted.pop(line[1:], None)
            if line.startswith("+"):
                noted[line[1:]] = None
    return noted


def _end(noted: dict[str, None]) -> None:
    for group in filter(str.isdigit, noted):
        with contextlib.suppress(OSError):
            os.killpg(int(group), signal.SIGKILL)
    for folder in (Path(name) for name in noted if not name.isdigit()):
        deadline = time.monotonic() + _DYING_S
        # Those that were killed may write until they are dead.
        while folder.exists() and time.monotonic() < deadline:
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.05)


_AT_OUR_WORD = ("sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh")
"""The program starts at a line on its input, after its limits are set and the guard knows of it.

If this process is killed before, the line never comes and the program never starts.
"""

OUT_OF_MEMORY = ("bad_alloc", "out of memory", "cannot allocate", "cannot map", "memoryerror")


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a program: by itself (`stopped_by` None), or at a limit."""

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

    They are killed too if this process is. The memory limit is the kernel's on the data of each
    process and holds on Linux only. Output and errors come back as one text. Temporary files of
    the program go to `folder`. Raise `ToolError` if the program cannot be started.
    """
    from pixelsieve.core.errors import ToolError  # the guard runs this file without the package

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
        with ending_with_us(process.pid):
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


if __name__ == "__main__":
    _end(_listen(int(sys.argv[1])))
