"""Clusters by split, some ten thousand at a time, so that no file need fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.clusters import Clusters, concatenate, require_both_classes
from pixelsieve.data.detector import Detector
from pixelsieve.data.splits import (
    SPLIT_NAMES,
    GroupKeys,
    assign_by_hash,
    large_cluster_hashes,
    refuse_shared,
)
from pixelsieve.formats import parquet
from pixelsieve.formats.dataset import (
    file_hashes,
    find_files,
    how_split,
    made_by,
    missing_split,
    split_numbers,
    splits_by_name,
)

__all__ = ["ClusterStream"]

_AT_LEAST = 20_000
"""Small row groups are joined up to so many clusters."""


class ClusterStream:
    """The clusters of files by split, as `dataset.load` splits them; pixels are not kept.

    `split_by`, `files` and `made` are those of `dataset.Parts`, `detector` is that of the first
    file; `split_by` is known when all parts are read, and so are `origins`, what names the first
    clusters of each split in messages.
    Raises what `dataset.load` raises, but what needs all clusters at the end of `parts`.
    """

    def __init__(self, patterns: Sequence[str | Path]) -> None:
        self._paths = find_files(patterns)
        self.files = file_hashes(self._paths)
        self.made = dict(zip(self.files, map(made_by, self._paths), strict=True))
        self._names = splits_by_name(self._paths)
        self._labels = [None if self._names else parquet.read_split_column(p) for p in self._paths]
        self._by_column = any(one is not None for one in self._labels)
        self.detector: Detector = parquet.read_detector(self._paths[0])
        self.split_by = ""
        self.origins: dict[str, str] = {}

    def parts(self) -> Iterator[tuple[str, Clusters]]:
        """Name of the split and clusters, in order of files and rows."""
        seen = _Seen()
        for number, path in enumerate(self._paths):
            labels = None
            if self._by_column:
                labels = split_numbers(path, self._labels[number])
            row = 0
            for clusters in _stretches(path):
                rows = slice(row, row + len(clusters))
                row += len(clusters)
                if self._names:
                    found = [(self._names[number], clusters)]
                else:
                    of = assign_by_hash(clusters.groups()) if labels is None else labels[rows]
                    found = list(_divided(clusters, of))
                for name, part in found:
                    self.origins.setdefault(name, part.origin)
                    seen.add(name, part)
                    yield name, part
        has_ids = seen.has_ids
        self.split_by = how_split(by_name=bool(self._names), by_column=self._by_column, ids=has_ids)
        seen.check(self.split_by, self.origins, by_hash=not (self._names or self._by_column))


def _stretches(path: Path) -> Iterator[Clusters]:
    """The file's clusters in stretches of at least `_AT_LEAST`, but for the last."""
    kept: list[Clusters] = []
    for clusters in parquet.iterate(path):
        kept.append(clusters)
        if sum(map(len, kept)) >= _AT_LEAST:
            yield concatenate(kept)
            kept = []
    if kept:
        yield concatenate(kept)


def _divided(clusters: Clusters, numbers: NDArray[np.int64]) -> Iterator[tuple[str, Clusters]]:
    for number, name in enumerate(SPLIT_NAMES):
        rows = np.flatnonzero(numbers == number)
        if len(rows):
            yield name, clusters.select(rows, f"{clusters.origin} [{name}]")


class _Seen:
    """What is kept of each split: its groups, and how many clusters of each class."""

    def __init__(self) -> None:
        self._first: Clusters | None = None
        self._keys: dict[str, list[NDArray[np.uint64]]] = {}
        self._counts: dict[str, tuple[int, int]] = {}
        self.has_ids = True

    def add(self, name: str, part: Clusters) -> None:
        """Take note; raises `DataError` where the detector or the group ids do not fit."""
        one = part.select(slice(0, 1))
        if self._first is None:
            self._first, self.has_ids = one, part.group_id is not None
        concatenate([self._first, one])
        keys = part.groups() if self.has_ids else large_cluster_hashes(part)
        self._keys.setdefault(name, []).append(keys)
        signal, bib = self._counts.get(name, (0, 0))
        self._counts[name] = (signal + part.n_signal, bib + len(part) - part.n_signal)

    def check(self, split_by: str, origins: Mapping[str, str], *, by_hash: bool) -> None:
        """Raise `DataError` where a split is missing, lacks a class or shares a group."""
        for name in SPLIT_NAMES:
            if name not in self._counts:
                raise missing_split(name, split_by, next(iter(origins.values())))
            require_both_classes(origins[name], *self._counts[name])
        if not by_hash:  # equal groups have equal hashes
            keys = (GroupKeys(n, origins[n], np.concatenate(self._keys[n])) for n in SPLIT_NAMES)
            refuse_shared(keys, have_ids=self.has_ids)
