"""Feature tables of files that need not fit into memory: only what networks see is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import to_plain
from pixelsieve.data.clusters import Clusters, require_both_classes
from pixelsieve.data.detector import Detector
from pixelsieve.features.feature_set import FeatureSet, FeatureTable
from pixelsieve.formats.dataset import Parts
from pixelsieve.formats.streaming import ClusterStream
from pixelsieve.front_end import FrontEnd, NothingReadOutError, read_out

__all__ = ["StreamedDataset", "StreamedTables"]

_KEPT = ("train", "validation")


@dataclass(frozen=True, slots=True)
class StreamedTables:
    """Tables of each feature set, in the order asked for; `groups` (n,) of the training clusters.

    `source` tells how the files were split and read out; its clusters are not kept.
    """

    training: tuple[FeatureTable, ...]
    validation: tuple[FeatureTable, ...]
    groups: NDArray[np.uint64]
    source: Parts
    origin: str


class StreamedDataset:
    """Files as `dataset.load` splits them and a front end, if any, reads them out.

    Their clusters pass through memory some ten thousand at a time; `on_first` hears the first of
    them, before the front end.
    """

    def __init__(
        self,
        patterns: Sequence[str | Path],
        front_end: FrontEnd | None = None,
        on_first: Callable[[Clusters], None] | None = None,
    ) -> None:
        self._stream = ClusterStream(patterns)
        self._front_end = front_end
        self._on_first = on_first
        self._nothing_left: dict[str, NothingReadOutError] = {}

    @property
    def detector(self) -> Detector:
        """The detector of the clusters."""
        return self._stream.detector

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of the clusters."""
        return self.detector.sensor.rows, self.detector.sensor.columns

    def tables(self, sets: Sequence[FeatureSet]) -> StreamedTables:
        """What networks see of the training and validation clusters, float32.

        Equal to the tables of the clusters held in memory. The test split is only checked to be
        one. Raises what `dataset.load`, the front end and `FeatureSet.table` raise.
        """
        kept = {name: [_Growing(one) for one in sets] for name in _KEPT}
        groups: list[NDArray[np.uint64]] = []
        counts: dict[str, Any] = {}
        origin = ""
        for name, part in self._stream.parts():
            if self._on_first is not None:
                self._on_first(part)
                self._on_first = None
            clusters = self._read_out(name, part, counts)
            if clusters is None or name not in _KEPT:
                continue
            for growing in kept[name]:
                growing.add(clusters)
            if name == "train":
                origin = origin or clusters.origin
                groups.append(clusters.groups())
        said = None
        if self._front_end is not None:
            self._require_both_classes(counts)
            said = {"settings": to_plain(self._front_end), "clusters": counts}
        return StreamedTables(
            tuple(growing.table() for growing in kept["train"]),
            tuple(growing.table() for growing in kept["validation"]),
            np.concatenate(groups),
            Parts({}, self._stream.split_by, self._stream.files, said, made=self._stream.made),
            origin,
        )

    def _read_out(self, name: str, part: Clusters, counts: dict[str, Any]) -> Clusters | None:
        if self._front_end is None:
            return part
        n_signal, n_bib = part.n_signal, len(part) - part.n_signal
        read, left = None, (0, 0)
        try:
            result = read_out(self._front_end, part)
            read = result.clusters
            left = (n_signal - result.lost_signal, n_bib - result.lost_bib)
        except NothingReadOutError as error:
            self._nothing_left.setdefault(name, error)  # of this stretch
        now = counts.setdefault(name, {k: dict.fromkeys(_COUNTED, 0) for k in ("signal", "bib")})
        for kind, collected, seen in zip(now, (n_signal, n_bib), left, strict=True):
            now[kind]["collected"] += collected
            now[kind]["read_out"] += seen
        return read

    def _require_both_classes(self, counts: dict[str, Any]) -> None:
        for name, by_class in counts.items():
            left = [count["read_out"] for count in by_class.values()]
            if not any(left):
                raise self._nothing_left[name]
            require_both_classes(self._stream.origins[name], *left)


_COUNTED = ("collected", "read_out")


class _Growing:
    """A feature table that grows stretch by stretch."""

    def __init__(self, features: FeatureSet) -> None:
        self._features = features
        self._inputs: dict[str, list[NDArray[Any]]] = {name: [] for name in features.names}
        self._labels: list[NDArray[Any]] = []

    def add(self, clusters: Clusters) -> None:
        table = self._features.table(clusters)
        for name, values in table.inputs.items():
            self._inputs[name].append(values)
        self._labels.append(table.labels)

    def table(self) -> FeatureTable:
        """The whole table; what it is made of is let go, one feature after the other."""
        inputs = {}
        for name in self._features.names:
            inputs[name] = np.concatenate(self._inputs.pop(name))
        return FeatureTable(self._features, inputs, np.concatenate(self._labels))
