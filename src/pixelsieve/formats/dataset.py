"""From the paths a user gives to three disjoint splits."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelsieve.clusters import Clusters, concatenate
from pixelsieve.errors import DataError
from pixelsieve.files import file_hash
from pixelsieve.formats import parquet
from pixelsieve.splits import SPLIT_NAMES, Splits, assign_by_hash

__all__ = ["Dataset", "find_files", "load"]

_SHORT = {"train": "train", "validation": "val", "test": "test"}
_SUFFIXES = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}


@dataclass(frozen=True, slots=True)
class Dataset:
    """Three splits, how they were made, and the SHA-256 of each file they came from."""

    splits: Splits
    split_by: str
    files: dict[str, str]


def find_files(patterns: Sequence[str | Path]) -> list[Path]:
    """The Parquet files that paths, folders and glob patterns name; none is an error."""
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            matches = sorted(p for p in path.glob("*.parquet") if p.is_file())
        elif path.is_file():
            matches = [path]
        else:
            # Path.glob takes no pattern with a root or '..', which users do give.
            matches = [Path(p) for p in sorted(glob.glob(str(pattern)))]  # noqa: PTH207
        if not matches:
            msg = f"{pattern}: no such Parquet file, folder of them or pattern; check the path"
            raise DataError(msg)
        found += [m for m in matches if m not in found]
    return found


def load(patterns: Sequence[str | Path]) -> Dataset:
    """Read files into train, validation and test.

    Files named `*_train`, `*_val`, `*_test` keep that split; else a column `split` decides; else
    a hash of `group_id` (of the pixel charges without one), 70 : 15 : 15.
    Raises `DataError` where a split is empty, lacks a class, or shares a group with another.
    """
    files = find_files(patterns)
    hashes = _hashes(files)
    by_name = [_SUFFIXES.get(p.stem.rsplit("_", 1)[-1]) for p in files]
    if all(by_name):
        parts = [
            ([p for p, s in zip(files, by_name, strict=True) if s == name], name)
            for name in SPLIT_NAMES
        ]
        for paths, name in parts:
            if not paths:
                msg = f"{files[0].parent}: no file for the {name} split (*_{_SHORT[name]}.parquet)"
                raise DataError(msg)
        tables = [concatenate([parquet.read(p) for p in paths]) for paths, _ in parts]
        return Dataset(Splits(*tables), "file name", hashes)
    if any(by_name):
        odd = files[by_name.index(None)]
        msg = f"{odd}: names no split, while other files do (*_train, *_val, *_test); use one way"
        raise DataError(msg)
    tables_and_labels = [(parquet.read(p), parquet.read_split_column(p)) for p in files]
    clusters = concatenate([t for t, _ in tables_and_labels])
    labels = [s for _, s in tables_and_labels if s is not None]
    if labels and len(labels) < len(files):
        lacking = next(p for p, (_, s) in zip(files, tables_and_labels, strict=True) if s is None)
        msg = f"{lacking}: column 'split' is missing, while other files have it; use one way"
        raise DataError(msg)
    if labels:
        return Dataset(_by_column(clusters, np.concatenate(labels)), "column 'split'", hashes)
    numbers = assign_by_hash(clusters.groups())
    how = "hash of group_id" if clusters.group_id is not None else "hash of the pixel charges"
    return Dataset(_take(clusters, numbers), how, hashes)


def _hashes(files: Sequence[Path]) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for path in files:
        same = sum(key.split("#")[0] == path.name for key in hashes)
        try:
            hashes[f"{path.name}#{same + 1}" if same else path.name] = file_hash(path)
        except OSError as error:
            msg = f"{path}: cannot be read ({error.strerror or error})"
            raise DataError(msg) from error
    return hashes


def _by_column(clusters: Clusters, labels: np.ndarray) -> Splits:
    known = np.array([_SUFFIXES.get(str(v), "") for v in labels])
    if (known == "").any():
        row = int((known == "").argmax())
        msg = (
            f"{clusters.origin}: column 'split', row {row}: {str(labels[row])!r}; "
            "expected train, val or test"
        )
        raise DataError(msg)
    numbers = np.array([SPLIT_NAMES.index(str(v)) for v in known])
    return _take(clusters, numbers)


def _take(clusters: Clusters, numbers: np.ndarray) -> Splits:
    parts = []
    for number, name in enumerate(SPLIT_NAMES):
        rows = np.flatnonzero(numbers == number)
        if not len(rows):
            msg = f"{clusters.origin}: the {name} split is empty; more clusters are needed"
            raise DataError(msg)
        parts.append(clusters.select(rows, f"{clusters.origin} [{name}]"))
    return Splits(*parts)
