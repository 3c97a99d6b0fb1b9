"""The files that data sets read as they are, Parquet or ROOT, told apart by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import Detector
from pixelsieve.formats import parquet, root, root_file
from pixelsieve.formats.columns import AS_THEY_ARE

SUFFIXES = (".parquet", root_file.SUFFIX)


class _Format(Protocol):
    """The functions that a module of a format has."""

    def iterate(
        self, path: Path, *, columns: Mapping[str, str], slices: bool
    ) -> Iterator[Clusters]: ...
    def read_split_column(
        self, path: Path, columns: Mapping[str, str]
    ) -> NDArray[np.str_] | None: ...
    def read_detector(self, path: Path, columns: Mapping[str, str]) -> Detector: ...
    def read_provenance(self, path: Path) -> dict[str, Any]: ...
    def names(self, path: Path, columns: Mapping[str, str]) -> Collection[str]: ...


@dataclass(frozen=True, slots=True)
class Table:
    """A file of clusters, or `FILE.root:TREE`; `columns` are those that go by another name."""

    path: Path
    columns: Mapping[str, str] = field(default_factory=lambda: AS_THEY_ARE)

    @property
    def file(self) -> Path:
        """The file, without the tree."""
        return root_file.file_and_tree(self.path)[0]

    @property
    def name(self) -> str:
        """The name of the file, with that of the tree if one was named."""
        return self.file.name + str(self.path)[len(str(self.file)) :]

    @property
    def _format(self) -> _Format:
        return root if self.file.suffix == root_file.SUFFIX else parquet

    def iterate(self, *, slices: bool = False) -> Iterator[Clusters]:
        """Read the clusters stretch by stretch, with their time slices if asked for."""
        return self._format.iterate(self.path, columns=self.columns, slices=slices)

    def has_slices(self) -> bool:
        """Return if the file has time slices that are read with the clusters."""
        return "slices_e" in self._format.names(self.path, self.columns)

    def split_column(self) -> NDArray[np.str_] | None:
        """Return the column `split` as strings, None if the file has none."""
        return self._format.read_split_column(self.path, self.columns)

    def detector(self) -> Detector:
        """Return the detector of the clusters."""
        return self._format.read_detector(self.path, self.columns)

    def has_groups(self) -> bool:
        """Return if the file has a column `group_id`."""
        return "group_id" in self._format.names(self.path, self.columns)

    def provenance(self) -> dict[str, Any]:
        """Return how the clusters were made, as the file says; ROOT files say nothing."""
        return self._format.read_provenance(self.path)
