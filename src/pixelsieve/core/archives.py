"""Files of strangers in bounded memory: zip archives, `.npz`, and HDF5 in a process of its own.

Nothing is unpacked to disk, so names of members can lead nowhere; no pickle is ever loaded.
"""

from __future__ import annotations

import ast
import io
import json
import lzma
import os
import signal
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import RunError

LARGEST_BYTES = 1 << 29
"""No archive may unpack to more; the largest network of the zoo has under 1 MB."""

HDF5_START = b"\x89HDF\r\n\x1a\n"
"""The bytes with which a file of HDF5 begins."""

_CHUNK = 1 << 20
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PLAIN = "fiubU"
_MAGIC = b"\x93NUMPY"
# What Python's modules say of damage depends on where it is.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def unzipped(folder: Path) -> str | None:
    """Return the line for a folder that is an unzipped `.keras` archive, None for any other."""
    if not (folder / "config.json").is_file():
        return None
    return (
        f"{folder}: a folder, an unzipped .keras archive; zip what is in it again (cd into it, "
        "zip -r ../again.keras .) and take that file"
    )


def read_members(
    source: Path | bytes, where: str, known: Collection[str], most_bytes: int = LARGEST_BYTES
) -> dict[str, bytes]:
    """All members of a zip archive by name; folders are left out.

    Raise `RunError` naming `where` for a file that is missing or damaged, a member that is there
    twice or not among the `known` names (empty: any name), and one that unpacks to more than
    `most_bytes`, whatever size it states.
    """
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            _check_members(infos, where, known)
            found: dict[str, bytes] = {}
            left = most_bytes
            for info in infos:
                data = found[info.filename] = _member(archive, info, left)
                left -= len(data)
                if left < 0:
                    name = info.filename
                    msg = f"{where}: unpacks to more than {most_bytes} bytes ('{name}'); refused"
                    raise RunError(msg)
            return found
    except FileNotFoundError as error:
        msg = f"{where}: no such file; check the path"
        raise RunError(msg) from error
    except _DAMAGE as error:
        msg = f"{where}: not a whole archive ({error}); fetch or save it again"
        raise RunError(msg) from error


def _check_members(infos: list[zipfile.ZipInfo], where: str, known: Collection[str]) -> None:
    if min((info.header_offset for info in infos), default=0):
        # Cut short, a file may end in a member that is an archive itself, and pass for that one.
        msg = f"{where}: not a whole archive (does not begin with one); fetch or save it again"
        raise RunError(msg)
    names = [info.filename for info in infos]
    for info in infos:
        if known and info.filename not in known:
            msg = f"{where}: holds '{info.filename}'; expected {', '.join(known)} alone"
            raise RunError(msg)
        if names.count(info.filename) > 1:
            msg = f"{where}: holds '{info.filename}' twice; fetch or save it again"
            raise RunError(msg)
        if info.compress_type not in _KINDS:
            msg = f"{where}: '{info.filename}' is compressed by a method that nobody uses here"
            raise RunError(msg)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """A member, read bit by bit up to `most` bytes and one: the size it states may be a lie."""
    parts: list[bytes] = []
    with archive.open(info) as file:
        while most >= 0 and (part := file.read(_CHUNK)):
            parts.append(part)
            most -= len(part)
    return b"".join(parts)


def read_arrays(source: Path | bytes, where: str) -> dict[str, NDArray[Any]]:
    """The arrays of a `.npz` by name, as `np.savez` writes them: numbers or text, never objects.

    Raise `RunError` as `read_members` does, and for an array whose header asks for more or fewer
    bytes than there are.
    """
    members = read_members(source, where, ())
    return {
        name.removesuffix(".npy"): _array(data, f"{where}: '{name}'")
        for name, data in members.items()
    }


def _array(data: bytes, where: str) -> NDArray[Any]:
    try:
        if data[:6] != _MAGIC or data[6:8] not in (b"\1\0", b"\2\0"):
            msg = "no .npy array of version 1 or 2"
            raise ValueError(msg)  # noqa: TRY301 (told below, as all that may be wrong)
        width = 2 if data[6] == 1 else 4
        start = 8 + width
        end = start + int.from_bytes(data[8:start], "little")
        head = ast.literal_eval(data[start:end].decode("latin-1").strip())
        kind, shape = np.dtype(str(head["descr"])), tuple(int(n) for n in head["shape"])
        order: Literal["C", "F"] = "F" if head["fortran_order"] else "C"
        if kind.kind not in _PLAIN or not kind.itemsize or min(shape, default=0) < 0:
            msg = f"an array of {kind} and shape {shape}"
            raise ValueError(msg)  # noqa: TRY301
        if prod(shape) * kind.itemsize != len(data) - end:
            msg = f"{len(data) - end} bytes for shape {shape} of {kind}"
            raise ValueError(msg)  # noqa: TRY301
        return np.ndarray(shape, kind, data, end, order=order).copy()
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError) as error:
        msg = f"{where}: not a plain array ({error}); fetch or save it again"
        raise RunError(msg) from error


_SECONDS = 60
_COMPUTING = 10  # seconds, however busy the machine is
_BYTES = 4 << 30  # of address space
_PROGRAM = (sys.executable, "-m", __name__)
_HEAD = "head"
_REFUSED = 3


def read_isolated(source: Path | bytes, where: str) -> Group:
    """`read_hdf5` in another process, with bounded memory and time.

    Raise `RunError` if that refuses, and if the HDF5 library breaks down on the file.
    """
    name = "-" if isinstance(source, bytes) else str(source.absolute())
    try:
        done = subprocess.run(  # noqa: S603 (this program itself)
            [*_PROGRAM, name, where, str(_COMPUTING)],
            input=source if isinstance(source, bytes) else b"",
            capture_output=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # its threads take address space
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"{where}: reading takes more than {_SECONDS} s; the file is damaged"
        raise RunError(msg) from error
    if done.returncode == -signal.SIGXCPU:
        msg = f"{where}: reading takes more than {_COMPUTING} s; the file is damaged"
        raise RunError(msg)
    if done.returncode == _REFUSED:
        raise RunError(done.stdout.decode())
    if done.returncode != 0:
        msg = f"{where}: the HDF5 library breaks down on it; the file is damaged, save it again"
        raise RunError(msg)
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as file:
        head = json.loads(bytes(file[_HEAD]))
        arrays = {name: file[str(number)] for number, name in enumerate(head["arrays"])}
    lists = {
        path: {k: tuple(v) if isinstance(v, list) else v for k, v in attributes.items()}
        for path, attributes in head["attributes"].items()
    }
    return Group(lists, arrays)


def _main(name: str, where: str, seconds: str) -> int:
    import resource

    allowed = resource.getrlimit(resource.RLIMIT_AS)[1]  # a batch system may allow less
    bytes_ = _BYTES if allowed == resource.RLIM_INFINITY else min(_BYTES, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        group = read_hdf5(sys.stdin.buffer.read() if name == "-" else Path(name), where)
    except RunError as error:
        sys.stdout.write(str(error))
        return _REFUSED
    head = json.dumps({"attributes": group.attributes, "arrays": list(group.arrays)}, default=str)
    arrays = {str(number): values for number, values in enumerate(group.arrays.values())}
    arrays[_HEAD] = np.frombuffer(head.encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    sys.stdout.buffer.write(buffer.getvalue())
    return 0


_DEEPEST = 16
_MOST_OBJECTS = 20_000
_MOST_NUMBERS = 1 << 26  # of all variables together


@dataclass(frozen=True, slots=True)
class Group:
    """All of an HDF5 file: `attributes` by group path, `arrays` by path, both without `/` in front.

    Numbers of arrays are as stored; text in attributes is `str`, lists of text are tuples.
    """

    attributes: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[str, NDArray[Any]]


def read_hdf5(source: Path | bytes, where: str) -> Group:
    """Read every group, attribute and numeric array of a file or of its bytes.

    Raise `RunError` naming `where` for files that are damaged, too large, or hold anything but
    plain numbers of their own: links out of the file, virtual arrays, objects.
    """
    import h5py

    try:
        with h5py.File(BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
            reader = _Reader(where)
            reader.group(file, "", 0)
            return Group(reader.attributes, reader.arrays)
    except RunError:
        raise
    # What the HDF5 library says of damage depends on where it is.
    except (
        OSError,
        RuntimeError,
        KeyError,
        ValueError,
        TypeError,
        OverflowError,
        MemoryError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{where}: not a whole HDF5 file ({reason[:120]}); fetch or save it again"
        raise RunError(msg) from error


class _Reader:
    def __init__(self, where: str) -> None:
        self.where = where
        self.attributes: dict[str, dict[str, Any]] = {}
        self.arrays: dict[str, NDArray[Any]] = {}
        self._objects = 0
        self._numbers = 0

    def group(self, group: Any, path: str, depth: int) -> None:
        import h5py

        self._objects += 1
        if depth > _DEEPEST or self._objects > _MOST_OBJECTS:
            self._refuse(path, "nested too deep or in too many parts for a Keras model")
        self.attributes[path] = {name: _plain(value) for name, value in group.attrs.items()}
        for name in group:
            inner = f"{path}/{name}" if path else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                self._refuse(inner, "is a link")
            item = group[name]
            if isinstance(item, h5py.Group):
                self.group(item, inner, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self._array(item, inner)
            else:
                self._refuse(inner, "is neither a group nor an array")

    def _array(self, item: Any, path: str) -> None:
        self._objects += 1
        if item.is_virtual or item.external or item.dtype.kind not in "fiub" or item.shape is None:
            self._refuse(path, "is no plain array of numbers")
        self._numbers += int(item.size)
        if self._numbers > _MOST_NUMBERS or self._objects > _MOST_OBJECTS:
            self._refuse(path, f"more than {_MOST_NUMBERS} numbers in all")
        self.arrays[path] = np.asarray(item[()])

    def _refuse(self, path: str, reason: str) -> None:
        msg = f"{self.where}: '{path}': {reason}; expected a model saved by Keras"
        raise RunError(msg)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, np.ndarray):
        return tuple(_plain(v) for v in value.reshape(-1).tolist())
    return value


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
