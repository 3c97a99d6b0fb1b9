"""Zip archives and `.npz` files of strangers: members and plain arrays, in bounded memory.

Nothing is unpacked to disk, so names of members can lead nowhere; no pickle is ever loaded.
"""

from __future__ import annotations

import ast
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import RunError

LARGEST_BYTES = 1 << 29
"""No archive may unpack to more; the largest network of the zoo has under 1 MB."""

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


def read_members(
    source: Path | bytes, where: str, known: Collection[str], most_bytes: int = LARGEST_BYTES
) -> dict[str, bytes]:
    """All members of a zip archive by name; folders are left out.

    Raises `RunError` naming `where` for a file that is missing or damaged, a member that is there
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

    Raises `RunError` as `read_members` does, and for an array whose header asks for more or fewer
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
