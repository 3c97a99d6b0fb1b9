"""Folders that Hive, Spark, Dask and Arrow split a table into: `split=train/part-0.parquet`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

_PARTITION = re.compile(r"(\w+)=(.*)", re.DOTALL)


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of its partitions, at any depth; hidden ones are none."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif _PARTITION.fullmatch(path.name) and path.is_dir():
            yield from files_in(path)


def partition_of(path: Path) -> dict[str, str]:
    """Return what the folders say of every row of a file: column to value."""
    said: dict[str, str] = {}
    for folder in path.parents:
        found = _PARTITION.fullmatch(folder.name)
        if not found:
            break
        said.setdefault(found[1], unquote(found[2]))
    return said
