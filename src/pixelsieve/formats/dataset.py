"""From the paths a user gives to clusters by split, and to three disjoint splits."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pixelsieve.core.errors import DataError
from pixelsieve.core.files import distinct, file_hash
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.splits import SPLIT_NAMES, Splits, assign_by_hash
from pixelsieve.formats import parquet
from pixelsieve.formats.simulated import refuse_unfinished

__all__ = [
    "BY_HASH",
    "BY_NAME",
    "Dataset",
    "Parts",
    "file_hashes",
    "find_files",
    "how_split",
    "load",
    "made_by",
    "missing_split",
    "read_parts",
    "split_numbers",
    "splits_by_name",
]

BY_NAME = "file name"
"""How `Parts` were split where the names of the files said so."""

BY_HASH = "hash of"
"""How `split_by` begins where nothing but a hash of each cluster's group decides."""

_SHORT = {"train": "train", "validation": "val", "test": "test"}
_SUFFIXES = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}


@dataclass(frozen=True, slots=True)
class Parts:
    """Clusters as files hold them, before anything is asked of the splits.

    `parts` by name of the split, those that are there, in the order train, validation, test.
    `files` are the SHA-256 of each file by name. `front_end` are the settings and counts of the
    front end that the clusters went through, None for collected charge. `made` says of each file,
    by the same names, what made it: "simulation" or "conversion" of ours, None where it says
    nothing.
    """

    parts: dict[str, Clusters]
    split_by: str
    files: dict[str, str]
    front_end: Mapping[str, Any] | None = None
    made: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        """What tells these clusters from others, as plain data."""
        same = {"data": self.files, "split_by": self.split_by}
        return same if self.front_end is None else {**same, "front_end": self.front_end["settings"]}


@dataclass(frozen=True, slots=True)
class Dataset:
    """Three splits that share no particle group, and the `Parts` that they are made of.

    `collected` are the training clusters before a front end, None where there was none.
    """

    splits: Splits
    source: Parts
    collected: Clusters | None = None

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of each file by name."""
        return self.source.files

    @property
    def split_by(self) -> str:
        """How the splits were made."""
        return self.source.split_by

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of the clusters."""
        return self.splits.train.window

    @property
    def front_end(self) -> Mapping[str, Any] | None:
        """Settings and counts of the front end, None for collected charge."""
        return self.source.front_end

    @property
    def identity(self) -> dict[str, Any]:
        """What tells these clusters from others, as plain data."""
        return self.source.identity


def find_files(patterns: Sequence[str | Path]) -> list[Path]:
    """The Parquet files that paths, folders and glob patterns name, each once; none is an error.

    In order of their names, those of one name by their places, however they were given: the same
    files give the same rows, and `Parts.identity`, which knows files by name, tells their order.
    Raises `DataError` for the folder of a simulation that is not finished.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            refuse_unfinished(path)
            matches = [p for p in path.glob("[!.]*.parquet") if p.is_file()]
        elif path.is_file():
            matches = [path]
        else:
            # Path.glob takes no pattern with a root or '..', which users do give.
            matches = [Path(p) for p in glob.glob(str(pattern))]  # noqa: PTH207
        if not matches:
            msg = f"{pattern}: no such Parquet file, folder of them or pattern; check the path"
            raise DataError(msg)
        found += matches
    return distinct(sorted(found, key=lambda p: (p.name, os.path.realpath(p))))


def load(patterns: Sequence[str | Path]) -> Dataset:
    """Read files into train, validation and test (see `read_parts`).

    Raises `DataError` where a split is empty, lacks a class, or shares a group with another.
    """
    found = read_parts(patterns)
    for name in SPLIT_NAMES:
        if name not in found.parts:
            first = next(iter(found.parts.values())).origin
            raise missing_split(name, found.split_by, first)
    return Dataset(Splits(*(found.parts[name] for name in SPLIT_NAMES)), found)


def missing_split(name: str, split_by: str, first: str) -> DataError:
    """The error where there are no clusters of a split; `first` is the origin of others."""
    if split_by == BY_NAME:
        folder, wanted = Path(first).parent, f"*_{_SHORT[name]}.parquet"
        return DataError(f"{folder}: no file for the {name} split ({wanted})")
    first = first.removesuffix("]").rsplit(" [", 1)[0]
    return DataError(f"{first}: the {name} split is empty; more clusters are needed")


def splits_by_name(files: Sequence[Path]) -> list[str]:
    """The split that each file's name says, `[]` where none does.

    Raises `DataError` where only some do.
    """
    by_name = [_SUFFIXES.get(p.stem.rsplit("_", 1)[-1]) for p in files]
    said = [name for name in by_name if name]
    if said and len(said) < len(files):
        odd = files[by_name.index(None)]
        msg = f"{odd}: names no split, while other files do (*_train, *_val, *_test); use one way"
        raise DataError(msg)
    return said


def how_split(*, by_name: bool, by_column: bool, ids: bool) -> str:
    """The `split_by` of `Parts`."""
    if by_name:
        return BY_NAME
    if by_column:
        return "column 'split'"
    return f"{BY_HASH} {'group_id' if ids else 'the pixel charges'}"


def read_parts(patterns: Sequence[str | Path]) -> Parts:
    """Read files into the splits that they tell of, which need be neither whole nor disjoint.

    Files named `*_train`, `*_val`, `*_test` keep that split; else a column `split` decides; else
    a hash of `group_id` (of the pixel charges without one), 70 : 15 : 15.
    Raises `DataError` where only some files say their split, and for labels that name none.
    """
    files = find_files(patterns)
    hashes = file_hashes(files)
    made = dict(zip(hashes, map(made_by, files), strict=True))
    by_name = splits_by_name(files)
    if by_name:
        parts = {}
        for name in SPLIT_NAMES:
            tables = [parquet.read(p) for p, s in zip(files, by_name, strict=True) if s == name]
            if tables:
                parts[name] = concatenate(tables)
        return Parts(parts, BY_NAME, hashes, made=made)
    labels = [parquet.read_split_column(p) for p in files]
    by_column = any(one is not None for one in labels)
    if by_column:
        numbers = np.concatenate(
            [split_numbers(p, one) for p, one in zip(files, labels, strict=True)]
        )
    clusters = concatenate([parquet.read(p) for p in files])
    if not by_column:
        numbers = assign_by_hash(clusters.groups())
    how = how_split(by_name=False, by_column=by_column, ids=clusters.group_id is not None)
    parts = {}
    for number, name in enumerate(SPLIT_NAMES):
        rows = np.flatnonzero(numbers == number)
        if len(rows):
            parts[name] = clusters.select(rows, f"{clusters.origin} [{name}]")
    return Parts(parts, how, hashes, made=made)


def made_by(path: Path) -> str | None:
    """`simulation` or `conversion`, None where the file does not say."""
    said = parquet.read_provenance(path)
    return next((how for how in ("simulation", "conversion") if how in said), None)


def file_hashes(files: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of each file by name, in the order of `files`; equal names get a number."""
    hashes: dict[str, str] = {}
    for path in files:
        name, number = path.name, 1
        while name in hashes:
            number += 1
            name = f"{path.name}#{number}"
        try:
            hashes[name] = file_hash(path)
        except OSError as error:
            msg = f"{path}: cannot be read ({error.strerror or error})"
            raise DataError(msg) from error
    return hashes


def split_numbers(path: Path, labels: np.ndarray | None) -> np.ndarray:
    """Number of the split of each row, as the column `split` says; `DataError` without one."""
    if labels is None:
        msg = f"{path}: column 'split' is missing, while other files have it; use one way"
        raise DataError(msg)
    known = np.array([_SUFFIXES.get(str(v), "") for v in labels])
    if (known == "").any():
        row = int((known == "").argmax())
        msg = (
            f"{path}: column 'split', row {row}: {str(labels[row])!r}; expected train, val or test"
        )
        raise DataError(msg)
    return np.array([SPLIT_NAMES.index(str(v)) for v in known])
