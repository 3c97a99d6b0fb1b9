"""HDF5 read in a process of its own: the library crashes on some damaged files."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from pixelsieve.errors import RunError
from pixelsieve.hdf5 import Group, read_hdf5

__all__ = ["read_isolated"]

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


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
