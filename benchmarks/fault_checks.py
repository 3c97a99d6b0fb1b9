"""Whether every file of a folder is whole, and whether two folders say the same."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pixelsieve.core.files import read_json

VOLATILE = (
    "started",
    "command",
    "seconds",
    "folder",
    "git",
    "worker_id",
    "datetime_start",
    "datetime_complete",
)
"""Keys of JSON documents that tell when and where, not what."""


def files_of(folder: Path) -> dict[str, Path]:
    """All files under final names: neither they nor a folder of theirs is hidden."""
    found = ((p.relative_to(folder), p) for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(n): p for n, p in found if not any(part.startswith(".") for part in n.parts)}


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of `files_of` by name."""
    return {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files_of(folder).items()}


def half_written(folder: Path) -> list[str]:
    """Why files cannot be opened, one line each; also in folders of finished chunks."""
    parts = [p for p in folder.glob(".*.parts/*.parquet") if not p.name.startswith(".")]
    wrong = []
    for path in [*files_of(folder).values(), *parts]:
        try:
            opened(path)
        except Exception as error:  # noqa: BLE001 (any failure is a finding)
            wrong.append(f"{path}: {type(error).__name__}: {error}")
    return wrong


def opened(path: Path) -> Any:
    """Read a file whole, and what it says, free of dates."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".json": lambda p: _plain(read_json(p)),
        ".parquet": _table,
        ".keras": _model,
        ".npz": lambda p: {k: v.tobytes() for k, v in np.load(p).items()},
        ".png": _pixels,
        ".pdf": _whole_pdf,
        ".journal": lambda p: [_plain(json.loads(line)) for line in p.read_text().splitlines()],
    }
    if path.name == "SHA256SUMS":
        return _sums(path)
    if path.name == "test_read.json":  # hashes of files that hold a date
        return sorted(read_json(path)["networks"])
    return readers.get(path.suffix, Path.read_bytes)(path)


def same_contents(one: Path, other: Path) -> bool:
    """Whether two files say the same."""
    return bool(opened(one) == opened(other))


def differences(one: Path, other: Path) -> list[str]:
    """Names that only one folder has, and files that say something else."""
    ours, theirs = files_of(one), files_of(other)
    names = sorted(ours.keys() ^ theirs.keys())
    return names + [
        n for n in sorted(ours.keys() & theirs.keys()) if not same_contents(ours[n], theirs[n])
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k not in VOLATILE}
    return [_plain(v) for v in value] if isinstance(value, list) else value


def _table(path: Path) -> Any:
    table = pq.read_table(path, page_checksum_verification=True)
    return table.schema.to_string(), table.to_pydict() if table.num_rows < 10_000 else table


def _model(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        if (bad := archive.testzip()) is not None:
            msg = f"member {bad}"
            raise zipfile.BadZipFile(msg)
        weights = np.load(io.BytesIO(archive.read("pixelsieve_weights.npz")))
        head = _plain(json.loads(archive.read("pixelsieve.json")))
        return head, {k: v.tobytes() for k, v in weights.items()}


def _pixels(path: Path) -> bytes:
    from matplotlib.image import imread

    return bytes(imread(path).tobytes())


def _whole_pdf(path: Path) -> bool:
    data = path.read_bytes()
    if not (data.startswith(b"%PDF") and data.rstrip().endswith(b"%%EOF")):
        msg = "no end"
        raise ValueError(msg)
    return True  # it holds a date


def _sums(path: Path) -> list[str]:
    """The names; raises where a file is not what its line says."""
    names = []
    for digest, name in _lines(path):
        if hashlib.sha256((path.parent / name).read_bytes()).hexdigest() != digest:
            msg = f"{name} is not what it was"
            raise ValueError(msg)
        names.append(name)
    return names


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text().splitlines():
        digest, _, name = line.partition("  ")
        yield digest, name
