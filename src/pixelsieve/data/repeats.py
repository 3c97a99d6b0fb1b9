"""Files that hold the same clusters, noticed by a sample of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.clusters import Clusters, splitmix64
from pixelsieve.data.splits import large_clusters

_ONE_IN = 16
"""Clusters for each that is looked at, drawn by its charge: the same ones in every file."""

_FEWEST = 3
_LEAST_SHARE = 0.01
"""Fewer clusters, or fewer of a file's sample, in another file too are no copy."""

_UNLIKE = 0.95
"""If less of a file's sample differ, as with few ADC codes, equal clusters say nothing."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Two files with clusters in common; `share` is that of the sample of the second."""

    first: str
    second: str
    share: float


class RepeatedClusters:
    """Notice files that hold the same clusters while their clusters come part by part.

    A cluster is known by the charges of its pixels wherever they are in the window, so that samples
    that were windowed in two ways are found. Of one in 16 of those of at least three pixels a hash
    is kept.
    """

    def __init__(self) -> None:
        self._prints: dict[str, list[NDArray[np.uint64]]] = {}

    def add(self, file: str, clusters: Clusters) -> None:
        """Take note of clusters of a file."""
        self._prints.setdefault(file, []).append(fingerprints(clusters))

    def pairs(self) -> list[Repeated]:
        """Return files that share clusters with an earlier one, those that share most first."""
        found: list[NDArray[np.uint64]] = []
        files: list[str] = []
        for file, parts in self._prints.items():
            every = np.concatenate(parts)
            different = np.unique(every)
            self._prints[file] = [different]
            if len(different) >= _UNLIKE * len(every):
                found.append(different)
                files.append(file)
        if len(files) <= 1:
            return []
        prints = np.concatenate(found)
        order = np.argsort(prints, kind="stable")
        holders = np.repeat(np.arange(len(files)), [len(one) for one in found])[order]
        same = np.diff(prints[order]) == 0
        both = np.stack([holders[:-1][same], holders[1:][same]])
        shared, counts = np.unique(both, axis=1, return_counts=True)
        pairs = [
            Repeated(files[one], files[other], n / len(found[other]))
            for one, other, n in zip(*shared.tolist(), counts.tolist(), strict=True)
            if n >= _FEWEST and n >= _LEAST_SHARE * min(len(found[one]), len(found[other]))
        ]
        return sorted(pairs, key=lambda pair: -pair.share)


def fingerprints(clusters: Clusters) -> NDArray[np.uint64]:
    """Return a hash of the pixels' charges, not their places, of one in 16 large clusters."""
    charges = clusters.pixels_e.reshape(len(clusters), -1)
    # In steps of 0.1 e, so that the order of the sum does not matter.
    total = np.rint(charges.sum(axis=1, dtype=np.float64) * 10).astype(np.int64)
    chosen = splitmix64(total.astype(np.uint64)) % np.uint64(_ONE_IN) == 0
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return np.zeros(0, np.uint64)
    sample = clusters.select(rows)
    charges = charges[rows][large_clusters(sample)]
    words = splitmix64(np.ascontiguousarray(charges).view(np.uint32).astype(np.uint64))
    words[charges == 0] = 0
    return np.asarray(words.sum(axis=1, dtype=np.uint64))
