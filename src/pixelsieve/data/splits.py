"""Train, validation and test: which clusters go where, and that they share no particle group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters, hash_pixels, require_both_classes, splitmix64

SPLIT_NAMES = ("train", "validation", "test")

_VALIDATION_SHARE = 0.15
_TEST_SHARE = 0.15
_COINCIDENCE_PIXELS = 2
_TEST_SALT = np.uint64(0x7E57)


def assign_by_hash(groups: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Split number (0 train 70 %, 1 validation 15 %, 2 test 15 %) of each group.

    Depends on the group alone, so neither the order of the rows nor the other groups matter.
    """
    uniform = splitmix64(groups) / np.float64(2**64)
    edges = (1 - _VALIDATION_SHARE - _TEST_SHARE, 1 - _TEST_SHARE)
    return np.digitize(uniform, edges).astype(np.int64)


def share_for_test(groups: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """Return which groups (n,) of a split make a test split, that `share` of them.

    Depends on the group alone, and not as `assign_by_hash` does, by which they may be chosen.
    """
    other = splitmix64(groups ^ _TEST_SALT)
    return np.asarray(splitmix64(other) / np.float64(2**64) < share)


class SplitCheck:
    """Checks that splits belong together while their clusters come part by part.

    Of the clusters their particle groups are kept: `group_id`, or without one the hashes of those
    of at least three pixels.
    """

    def __init__(self) -> None:
        self._first: tuple[str, Clusters] | None = None
        self._origins: dict[str, str] = {}
        self._keys: dict[str, list[NDArray[np.uint64]]] = {}
        self._counts: dict[str, tuple[int, int]] = {}

    def add(self, name: str, part: Clusters) -> None:
        """Take note of clusters; raise `DataError` if only some splits have `group_id`."""
        if self._first is None:
            self._first = name, part.select(slice(0, 1))
        with_ids = self._first[1].group_id is not None
        if (part.group_id is not None) != with_ids:
            lacking, origin = (name, part.origin) if with_ids else (self._first[0], self._origin)
            msg = (
                f"{origin}: column 'group_id' is missing in the {lacking} split, but others have "
                "it; give it everywhere or nowhere"
            )
            raise DataError(msg)
        self._origins.setdefault(name, part.origin)
        keys = part.groups() if with_ids else large_cluster_hashes(part)
        self._keys.setdefault(name, []).append(keys)
        signal, bib = self._counts.get(name, (0, 0))
        self._counts[name] = (signal + part.n_signal, bib + len(part) - part.n_signal)

    @property
    def _origin(self) -> str:
        assert self._first is not None
        return self._first[1].origin

    def require_one_detector(self, part: Clusters) -> None:
        """Raise `DataError` if the clusters come from another detector than the first."""
        if self._first is not None:
            part.require_detector_of(self._first[1])

    def require_both_classes(self) -> None:
        """Raise `DataError` if a split lacks a class."""
        for name in self._in_order():
            require_both_classes(self._origins[name], *self._counts[name])

    def require_disjoint(self) -> None:
        """Raise `DataError` naming the first particle group that two splits share."""
        names = self._in_order()
        keys = {name: np.concatenate(self._keys[name]) for name in names}
        for name, other in ((b, a) for i, b in enumerate(names) for a in names[:i]):
            shared = np.intersect1d(keys[name], keys[other])
            if len(shared):
                assert self._first is not None
                have_ids = self._first[1].group_id is not None
                what = "group_id" if have_ids else "identical clusters, pixel hash"
                first = shared.astype(np.int64)[0] if have_ids else shared[0]
                msg = (
                    f"{self._origins[other]} and {self._origins[name]}: {len(shared)} particle "
                    f"group(s) are in both {other} and {name}, first: {what} {first}; splits must "
                    "share no group"
                )
                raise DataError(msg)

    def _in_order(self) -> list[str]:
        return [name for name in SPLIT_NAMES if name in self._keys]


def require_disjoint(parts: Mapping[str, Clusters]) -> None:
    """Raise `DataError` naming the first particle group that two of the parts share.

    Without `group_id`, identical clusters of at least three pixels tell.
    """
    check = SplitCheck()
    for name, part in parts.items():
        check.add(name, part)
    check.require_disjoint()


def large_cluster_hashes(clusters: Clusters) -> NDArray[np.uint64]:
    """Hashes of the pixel charges of the clusters of at least three pixels."""
    return hash_pixels(clusters.pixels_e[large_clusters(clusters)])


def large_clusters(clusters: Clusters) -> NDArray[np.bool_]:
    """Which clusters (n,) have at least three pixels.

    Those of one or two coincide by chance (1528 in the real sample), larger do not.
    """
    return np.asarray((clusters.pixels_e > 0).sum(axis=(1, 2)) > _COINCIDENCE_PIXELS)
