"""One process at a time where two would spoil each other's files."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from pixelsieve.core.errors import RunError

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_WAIT_S = 0.2  # long enough to try again where the last holder removes its file meanwhile


@contextlib.contextmanager
def locked(lock: Path, what: Path) -> Iterator[None]:
    """Hold the file `lock`, made and removed here, while inside; `what` is named in errors.

    The kernel's lock (flock) ends with its process. On a file system without one, the file
    FILE.owner with process id and host stands for it; one of a dead process of this host is taken
    over. Raise `RunError` if another process holds the lock or nothing can be written.
    """
    owner = lock.with_name(f"{lock.name}.owner")
    with contextlib.ExitStack() as stack:
        try:
            try:
                held: BaseFileLock = FileLock(lock, fallback_to_soft=False, thread_local=False)
                stack.enter_context(held.acquire(timeout=_WAIT_S, poll_interval=_WAIT_S / 10))
                stack.callback(lock.unlink, missing_ok=True)  # before it is released
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                held = SoftFileLock(owner, thread_local=False)
                stack.enter_context(held.acquire(timeout=_WAIT_S, poll_interval=_WAIT_S / 10))
        except Timeout as error:
            reason = _reason(owner) if isinstance(held, SoftFileLock) else _ANOTHER
            msg = f"{what}: {reason} or choose another --out"
            raise RunError(msg) from error
        except OSError as error:
            msg = f"{what}: cannot be written ({error.strerror or error}); choose another --out"
            raise RunError(msg) from error
        yield


_ANOTHER = "another process works in this folder; wait for it"


def _reason(owner: Path) -> str:
    """Say who holds the file that stands for a lock."""
    try:
        process_id, host = owner.read_text(encoding="utf-8").split()[:2]
        who = f"process {process_id} of {host}"
    except (OSError, ValueError):
        who = "another process"
    return f"{who} works in this folder; if it is dead, remove {owner}"
