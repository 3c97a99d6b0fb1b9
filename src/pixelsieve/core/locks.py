"""One process at a time where two would spoil each other's files."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from pixelsieve.core.errors import RunError

__all__ = ["locked"]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(lock: Path, what: Path) -> Iterator[None]:
    """Hold the file `lock`, made and removed here, while inside; `what` is named in errors.

    The kernel's lock (flock) ends with its process. On a file system without, the file FILE.owner
    with host and process id stands for it; one of a dead process of this host is taken over.
    Raises `RunError` where another process holds the lock and where nothing can be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            handle = _opened(lock)
            stack.callback(os.close, handle)
            stack.callback(lock.unlink, missing_ok=True)  # before it is closed
        except BlockingIOError as error:
            raise _in_use(what, "another process works in this folder; wait for it") from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                reason = error.strerror or error
                msg = f"{what}: cannot be written ({reason}); choose another --out"
                raise RunError(msg) from error
            owner = lock.with_name(f"{lock.name}.owner")
            _own(owner, what)
            stack.callback(owner.unlink, missing_ok=True)
        yield


def _opened(lock: Path) -> int:
    """A locked handle of the file that has the name now; who had it last may have removed it."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        except FileNotFoundError:
            pass
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _own(owner: Path, what: Path) -> None:
    """Make the file that stands for a lock."""
    here = f"{socket.gethostname()} {os.getpid()}"
    try:
        if _is_dead(_told(owner)):
            _remove_dead(owner, what)
        with owner.open("x", encoding="utf-8") as file:
            file.write(here)
    except FileExistsError as error:
        told = _told(owner).split()
        who = f"process {told[1]} of {told[0]}" if len(told) == 2 else "another process"  # noqa: PLR2004
        reason = f"{who} works in this folder; if it is dead, remove {owner}"
        raise _in_use(what, reason) from error
    except OSError as error:
        msg = f"{what}: cannot be written ({error.strerror or error}); choose another --out"
        raise RunError(msg) from error


def _remove_dead(owner: Path, what: Path) -> None:
    """Remove a dead process's file; one process at a time, by a file of the same kind.

    Whoever else saw the dead one would else remove the file of a living one that came after it.
    """
    taking = owner.with_name(f"{owner.name}.taking")
    _own(taking, what)
    try:
        if _is_dead(_told(owner)):
            owner.unlink()
    finally:
        taking.unlink()


def _told(owner: Path) -> str:
    """Host and process id of who made the file; empty where it is not there (any more)."""
    try:
        return owner.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _is_dead(told: str) -> bool:
    host, _, process_id = told.partition(" ")
    if host != socket.gethostname() or not process_id.isdigit():
        return False
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _in_use(what: Path, reason: str) -> RunError:
    return RunError(f"{what}: {reason} or choose another --out")
