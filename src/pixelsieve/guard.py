"""What ends with this process, however it ends: programs it started, folders it works in.

A process that is killed with -9 runs no code of its own any more. So a small second process
waits at the end of a pipe; when this process is gone, it kills the others and removes the folders.
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
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ending_with_us", "scratch_folder"]

_LOOK_S = 1.0
_DYING_S = 10.0
_lock = threading.Lock()


@contextlib.contextmanager
def ending_with_us(process_id: int, *, group: bool = False) -> Iterator[None]:
    """While inside: where this process is killed, that one is too (`group`: its whole group)."""
    with _told(f"{'group' if group else 'process'} {process_id}"):
        yield


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder below TMPDIR, removed at the end, also where this process is killed."""
    path = Path(tempfile.gettempdir()).absolute() / f"pixelsieve-{secrets.token_hex(8)}"
    with _told(f"folder {path}"):  # first: a kill between the two must leave nothing
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


class _Guard:
    """The second process, at the end of our pipe."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._process = subprocess.Popen(  # noqa: S603 (this file)
            [sys.executable, "-I", "-S", __file__, str(self.owner)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # a kill of our group leaves it alive
        )
        atexit.register(self._end)

    def tell(self, line: str) -> None:
        # A guard that was killed cannot help; the work goes on without.
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            os.write(self._process.stdin.fileno(), f"{line}\n".encode())

    def _end(self) -> None:
        if self.owner == os.getpid():
            self._process.communicate()


_guard: _Guard | None = None


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    _tell(f"+{what}")
    try:
        yield
    finally:
        _tell(f"-{what}")


def _tell(line: str) -> None:
    global _guard  # noqa: PLW0603 (one a process)
    with _lock:
        if _guard is None or _guard.owner != os.getpid():
            _guard = _Guard()
        _guard.tell(line)


def _listen(owner: int) -> list[tuple[str, str]]:
    """In the second process: what is noted when the owner is gone, as (kind, name)."""
    known: dict[str, None] = {}
    rest = b""
    # A pipe that a fork of the owner holds open does not close: look for the owner too.
    while (told := bool(select.select([0], [], [], _LOOK_S)[0])) or os.getppid() == owner:
        if not told:
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in map(os.fsdecode, lines):
            if line.startswith("+"):
                known[line[1:]] = None
            else:
                known.pop(line[1:], None)
    return [(kind, name) for kind, _, name in (what.partition(" ") for what in known)]


def _end(noted: list[tuple[str, str]]) -> None:
    for kind, name in noted:
        with contextlib.suppress(OSError):
            if kind == "group":
                os.killpg(int(name), signal.SIGKILL)
            elif kind == "process":
                os.kill(int(name), signal.SIGKILL)
    for folder in [name for kind, name in noted if kind == "folder"]:
        deadline = time.monotonic() + _DYING_S
        # Those that were killed may write until they are dead.
        while Path(folder).exists() and time.monotonic() < deadline:
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.05)


if __name__ == "__main__":
    _end(_listen(int(sys.argv[1])))
