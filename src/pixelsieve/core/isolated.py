"""HDF5 files of strangers, read in a process of their own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import RunError

_SECONDS = 60
_COMPUTING = 10  # seconds, however busy the machine is
_BYTES = 4 << 30  # of address space
_PROGRAM = (sys.executable, "-m", __name__)
_HEAD = "head"
_REFUSED = 3


def read_isolated(source: Path | bytes, where: str) -> Group:
    """`read_hdf5` in another process, with bounded memory and time.

    Raises `RunError` where that refuses, and where the HDF5 library breaks down on the file.
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

    Raises `RunError` naming `where` for files that are damaged, too large, or hold anything but
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
