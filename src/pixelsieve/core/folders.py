"""A folder that one process at a time works in, and that is either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from pixelsieve.core.errors import RunError
from pixelsieve.core.files import file_hash, require_writable, telling_unwritable

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


MARKER = "verification.json"
"""The file by which a folder of ours is known."""

SUMS = "SHA256SUMS"
_ADVICE = "choose another --out"


def failed_folder(path: Path) -> Path:
    """Return the place of a result that failed its check."""
    return path.with_name(f"{path.name}.failed")


def check_replaceable(path: Path) -> None:
    """Raise `RunError` if `path` holds anything but an older result, or cannot be made."""
    require_writable(path, path.absolute().parent)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / MARKER).is_file():
        msg = f"{path}: holds other files (no {MARKER} of this verb); choose another --out"
        raise RunError(msg)


@contextlib.contextmanager
def claimed_folder(path: Path) -> Iterator[None]:
    """Keep other processes from writing `path` while inside, and mend what a killed one left.

    Raise `RunError` if the place cannot be written, is in use, or holds something else.
    """
    check_replaceable(path)
    made = [p for p in path.absolute().parents if not p.exists()]
    with telling_unwritable(path, _ADVICE):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with locked(path.with_name(f".{path.name}.lock"), path):
            for target in (path, failed_folder(path)):
                for kept in (_beside(target, "old"), _beside(target, "before")):
                    if kept.exists() and not target.exists():
                        kept.rename(target)
                _remove(target, "old", "new", "before")
            try:
                yield
            finally:
                _remove(path, "before")
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # in use
                folder.rmdir()


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on success it takes its place.

    On an error the temporary folder is removed and what was there before stays. To be used in
    `claimed_folder`. The file SHA256SUMS (for `sha256sum -c`) is added. Raise `RunError` if
    the place cannot be written, is full, or holds something else.
    """
    check_replaceable(path)
    old, new = _beside(path, "old"), _beside(path, "new")
    try:
        with telling_unwritable(path, _ADVICE):
            new.mkdir()
            yield new
            files = sorted(p for p in new.rglob("*") if p.is_file())
            sums = [f"{file_hash(p)}  {p.relative_to(new)}\n" for p in files]
            (new / SUMS).write_text("".join(sums), encoding="utf-8")
            if path.exists():
                path.rename(old)
            new.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        _remove(path, "old", "new")


def keep_copy(path: Path) -> None:
    """Copy what `path` holds, for `put_back`; inside `claimed_folder`, which removes the copy."""
    if path.exists():
        with telling_unwritable(path, _ADVICE):
            shutil.copytree(path, _beside(path, "before"))


def put_back(path: Path) -> None:
    """Make `path` again what it was at `keep_copy`, and nothing if it was not there."""
    shutil.rmtree(path, ignore_errors=True)
    before = _beside(path, "before")
    if before.exists():
        before.rename(path)


def _beside(path: Path, what: str) -> Path:
    """Return the path of a folder that others replace for a while."""
    return path.with_name(f".{path.name}.{what}")


def _remove(path: Path, *what: str) -> None:
    for one in what:
        shutil.rmtree(_beside(path, one), ignore_errors=True)
