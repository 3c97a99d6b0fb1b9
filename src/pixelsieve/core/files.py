"""Writing so that a file, or a folder, is either whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pixelsieve.core.config import Document, content_hash, to_plain
from pixelsieve.core.errors import RunError
from pixelsieve.core.locks import locked
from pixelsieve.core.processes import scratch_folder

_HASH = "contents_sha256"

_RANDOM = "[a-z0-9_]{8}"
"""The part of a name that `tempfile` draws."""

_TEMPORARY = re.compile(rf"\..+-{_RANDOM}\.part(\.[^.]+)?", re.DOTALL)
"""The name of anything temporary of `replacing`, and no user's `.my.particles.txt`."""

_POINTER = b"version https://git-lfs"

MARKER = "verification.json"
"""The file by which a folder of ours is known."""

SUMS = "SHA256SUMS"
_ADVICE = "choose another --out"

T = TypeVar("T")


def is_pointer(path: Path) -> bool:
    """Return if a file is what Git has in place of one that is stored by Git LFS."""
    try:
        with path.open("rb") as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:
        return False


def not_fetched(path: Path) -> str:
    """Return the line for such a file."""
    return f"{path}: a Git LFS pointer, not the file itself; get that by `git lfs pull`"


@contextlib.contextmanager
def replacing(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Give a temporary path in `folder` (default: that of `path`); on success it becomes `path`.

    On an error the temporary file is removed and what was there before stays. Those that killed
    processes left of the same file are removed first. Raise `RunError` if it cannot be written.
    """
    with telling_unwritable(path), contextlib.ExitStack() as stack:
        start, end = _cleared(path, folder or path.parent)
        handle, name = tempfile.mkstemp(dir=folder or path.parent, prefix=start, suffix=end)
        temporary = Path(name)
        _hold(handle, stack)
        stack.callback(temporary.unlink, missing_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        _move(temporary, path, 0o666)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """The same for a folder `path`, which is new or empty: give a temporary one beside it."""
    with telling_unwritable(path), contextlib.ExitStack() as stack:
        start, end = _cleared(path, path.parent)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=start, suffix=end))
        stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        _hold(os.open(temporary, os.O_RDONLY), stack)
        yield temporary
        _move(temporary, path, 0o777)


def _cleared(path: Path, folder: Path) -> tuple[str, str]:
    """Return start and end of temporary names of `path`; remove those of killed processes."""
    start, end = f".{path.stem}-", f".part{path.suffix}"
    ours = re.compile(re.escape(start) + _RANDOM + re.escape(end))
    _remove(p for p in folder.iterdir() if ours.fullmatch(p.name))
    return start, end


def _hold(handle: int, stack: contextlib.ExitStack) -> None:
    """Lock what is written, which tells it from what a killed process left."""
    stack.callback(os.close, handle)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX)


def _move(temporary: Path, path: Path, mode: int) -> None:
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(mode & ~umask)
    temporary.replace(path)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders below `folder` that killed processes left."""
    _remove(p for p in folder.rglob(".*") if _TEMPORARY.fullmatch(p.name))


def _remove(temporaries: Iterable[Path]) -> None:
    """Remove what no living process writes: that is locked."""
    for path in list(temporaries):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            handle = os.open(path, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def require_writable(path: Path, folder: Path) -> None:
    """Raise `RunError` for `path` where `folder`, or the nearest there is above, takes no files."""
    nearest = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        msg = f"{path}: cannot be written ({nearest} takes no files); choose another --out"
        raise RunError(msg)


@contextlib.contextmanager
def telling_unwritable(path: Path, advice: str = "") -> Iterator[None]:
    """Turn an `OSError` of what is done inside into a `RunError` of path, reason and `advice`."""
    try:
        yield
    except OSError as error:
        # Copying a folder tells of all its files.
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror or error
        reason = f"cannot be written ({why})"
        msg = f"{path}: {reason}; {advice}" if advice else f"{path}: {reason}"
        raise RunError(msg) from error


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a temporary folder as `scratch_folder`; a full disk there is one line."""
    with scratch_folder() as folder, telling_unwritable(folder, "set TMPDIR"):
        yield folder


def write_json(path: Path, value: Any) -> None:
    """Write plain data as indented JSON, atomically; NaN is an error.

    An object gets `contents_sha256`, the hash of the canonical JSON of the rest, last.
    """
    plain = to_plain(value)
    document = with_hash(plain) if isinstance(plain, dict) else plain
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON; raise `RunError` naming the file where it is missing or damaged.

    Damaged is also what does not fit its `contents_sha256`, which is left out of the result.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise RunError(msg) from error
    document = parse_json(text, str(path))
    if isinstance(document, dict) and not take_hash(document):
        msg = f"{path}: its contents are not those of its {_HASH}; it is damaged or was edited"
        raise RunError(msg)
    return document


def parse_json(text: str | bytes, where: str) -> Any:
    """Return what JSON says; raise `RunError` naming `where` for anything but strict JSON.

    NaN and Infinity are no JSON, though Python takes them, nor is 1e999 a number here; none of
    our files has them.
    """
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        msg = f"{where}: not valid JSON ({error}); the file is damaged"
        raise RunError(msg) from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        msg = f"{text[:20]} is no finite number"
        raise ValueError(msg)
    return value


def read_document(path: Path) -> Document:
    """Read a JSON object; raise `RunError` if the file is missing, damaged or no object."""
    document = read_json(path)
    if not isinstance(document, dict):
        msg = f"{path}: no JSON object; the file is damaged"
        raise RunError(msg)
    return document


def read_kept(path: Path, schema: int, key: str, kind: type[T]) -> T | None:
    """Return the `kind` that a JSON file of ours holds under `key`; None if there is no such file.

    Raise `RunError` if it is damaged or has another `schema`.
    """
    if not path.exists():
        return None
    document = read_json(path)
    if not isinstance(document, dict) or document.get("schema") != schema or key not in document:
        msg = (
            f"{path}: written by another version of pixelsieve (expected schema {schema} with "
            f"'{key}'); remove it or use that version"
        )
        raise RunError(msg)
    value = document[key]
    if not isinstance(value, kind):
        msg = f"{path}: '{key}' is no {kind.__name__}; the file is damaged, remove it"
        raise RunError(msg)
    return value


def with_hash(document: Document) -> Document:
    """Return plain data with their `contents_sha256`, the hash of their canonical JSON."""
    return {**document, _HASH: content_hash(document)}


def take_hash(document: Document) -> bool:
    """Take out the `contents_sha256`, if any; return whether the document fits it."""
    if _HASH not in document:
        return True
    said = document.pop(_HASH)
    try:
        return bool(said == content_hash(document))
    except RecursionError:  # writing JSON bears a little less depth than reading it
        return False


def distinct(paths: Iterable[Path]) -> list[Path]:
    """Return each file once: of paths that lead to the same one (by `..`, by links), the first."""
    found: dict[str, Path] = {}
    for path in paths:
        found.setdefault(os.path.realpath(path), path)  # Path.resolve raises where links go round
    return list(found.values())


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def failed_folder(path: Path) -> Path:
    """Return the place of a result that failed its check."""
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
def claimed_folder(path: Path) -> Iterator[None]:
    """Keep other processes from writing `path` while inside, and mend what a killed one left.

    Raises `RunError` where the place cannot be written, is in use, or holds something else.
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
                _clear(target, "old", "new", "before")
            try:
                yield
            finally:
                _clear(path, "before")
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # in use
                folder.rmdir()


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on success it takes its place.

    On an error the temporary folder is removed and what was there before stays. To be used in
    `claimed_folder`. The file SHA256SUMS (for `sha256sum -c`) is added. Raises `RunError` where
    the place cannot be written, is full, or holds something else.
    """
    check_replaceable(path)
    old, new = _beside(path, "old"), _beside(path, "new")
    try:
        with telling_unwritable(path, _ADVICE):
            new.mkdir()
            yield new
            sums = [
                f"{file_hash(p)}  {p.relative_to(new)}\n"
                for p in sorted(p for p in new.rglob("*") if p.is_file())
            ]
            (new / SUMS).write_text("".join(sums), encoding="utf-8")
            if path.exists():
                path.rename(old)
            new.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        _clear(path, "old", "new")


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


def _clear(path: Path, *what: str) -> None:
    for one in what:
        shutil.rmtree(_beside(path, one), ignore_errors=True)
