"""A folder that is either whole or not there."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pixelsieve.errors import RunError
from pixelsieve.files import require_writable

__all__ = ["MARKER", "check_replaceable", "failed_folder", "replacing_folder"]

MARKER = "verification.json"
"""The file by which a folder of ours is known."""


def failed_folder(path: Path) -> Path:
    """Where a result that failed its check goes."""
    return path.with_name(f"{path.name}.failed")


def check_replaceable(path: Path) -> None:
    """Raise `RunError` where `path` holds anything but an older result, or cannot be made."""
    require_writable(path, path.absolute().parent)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / MARKER).is_file():
        msg = f"{path}: holds other files (no {MARKER} of this verb); choose another --out"
        raise RunError(msg)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on success it takes its place.

    On an error the temporary folder is removed and what was there before stays. Raises
    `RunError` where the place cannot be written, is full, or holds something else.
    """
    check_replaceable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fresh = holder / "new"
        fresh.mkdir()
        yield fresh
        if path.exists():
            path.rename(holder / "old")
        fresh.rename(path)
    except OSError as error:
        if (holder / "old").exists() and not path.exists():
            (holder / "old").rename(path)
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> RunError:
    reason = error.strerror or error
    return RunError(f"{path}: cannot be written ({reason}); choose another --out")
