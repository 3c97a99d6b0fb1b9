"""Train, validation and test: three parts that share no particle group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import InitVar, dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters, hash_pixels, splitmix64

__all__ = [
    "SPLIT_NAMES",
    "GroupKeys",
    "Splits",
    "assign_by_hash",
    "large_cluster_hashes",
    "large_clusters",
    "refuse_shared",
    "require_disjoint",
]

SPLIT_NAMES = ("train", "validation", "test")

_VALIDATION_SHARE = 0.15
_TEST_SHARE = 0.15
_COINCIDENCE_PIXELS = 2


def assign_by_hash(groups: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Split number (0 train 70 %, 1 validation 15 %, 2 test 15 %) of each group.

    Depends on the group alone, so neither the order of the rows nor the other groups matter.
    """
    uniform = splitmix64(groups) / np.float64(2**64)
    edges = (1 - _VALIDATION_SHARE - _TEST_SHARE, 1 - _TEST_SHARE)
    return np.digitize(uniform, edges).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Splits:
    """The three parts of a data set; building one checks that they share no group.

    `disjoint` skips that check, for parts whose clusters were changed one by one since. Raises
    `DataError` naming a shared group, or the part in which a class is missing.
    """

    train: Clusters
    validation: Clusters
    test: Clusters
    disjoint: InitVar[bool] = field(default=False, kw_only=True)

    def __post_init__(self, disjoint: bool) -> None:
        for _, part in self.parts():
            part.require_both_classes()
            part.require_detector_of(self.train)
        if not disjoint:
            require_disjoint(dict(self.parts()))

    def parts(self) -> Iterator[tuple[str, Clusters]]:
        """Name and clusters of each part, in the order train, validation, test."""
        for name in SPLIT_NAMES:
            yield name, getattr(self, name)


def require_disjoint(parts: Mapping[str, Clusters]) -> None:
    """Raise `DataError` naming the first particle group that two of the parts share.

    Without `group_id`, identical clusters of at least three pixels tell.
    """
    have = {name: c.group_id is not None for name, c in parts.items()}
    with_ids = all(have.values())
    if any(have.values()) and not with_ids:
        lacking = next(name for name, has in have.items() if not has)
        msg = (
            f"{parts[lacking].origin}: column 'group_id' is missing in the {lacking} "
            "split, but others have it; give it everywhere or nowhere"
        )
        raise DataError(msg)
    refuse_shared(
        (
            GroupKeys(name, c.origin, c.groups() if with_ids else large_cluster_hashes(c))
            for name, c in parts.items()
        ),
        have_ids=with_ids,
    )


class GroupKeys(NamedTuple):
    """The particle groups of a part: `group_id`, or `large_cluster_hashes` without."""

    name: str
    origin: str
    keys: NDArray[np.uint64]


def refuse_shared(parts: Iterable[GroupKeys], *, have_ids: bool) -> None:
    """Raise `DataError` naming the first group that two parts share."""
    seen: list[GroupKeys] = []
    for part in parts:
        for other in seen:
            shared = np.intersect1d(part.keys, other.keys)
            if len(shared):
                what = "group_id" if have_ids else "identical clusters, pixel hash"
                first = shared.astype(np.int64)[0] if have_ids else shared[0]
                msg = (
                    f"{other.origin} and {part.origin}: {len(shared)} particle group(s) are in "
                    f"both {other.name} and {part.name}, first: {what} {first}; splits must "
                    "share no group"
                )
                raise DataError(msg)
        seen.append(part)


def large_cluster_hashes(clusters: Clusters) -> NDArray[np.uint64]:
    """Hashes of the pixel charges of the clusters of at least three pixels."""
    return hash_pixels(clusters.pixels_e[large_clusters(clusters)])


def large_clusters(clusters: Clusters) -> NDArray[np.bool_]:
    """Which clusters (n,) have at least three pixels.

    Those of one or two coincide by chance (1528 in the real sample), larger do not.
    """
    return np.asarray((clusters.pixels_e > 0).sum(axis=(1, 2)) > _COINCIDENCE_PIXELS)
