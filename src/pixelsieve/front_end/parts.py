"""A whole data set through the front end, with the count of what is read out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pixelsieve.clusters import Clusters
from pixelsieve.config import to_plain
from pixelsieve.formats.dataset import Dataset, Parts
from pixelsieve.front_end.readout import read_out
from pixelsieve.front_end.settings import FrontEnd
from pixelsieve.splits import SPLIT_NAMES, Splits

__all__ = ["dataset_through_front_end", "through_front_end"]


def through_front_end(front_end: FrontEnd | None, parts: Parts) -> Parts:
    """The parts as the chip reads them out; unchanged without a front end.

    `Parts.front_end` gets `settings` and, by split and class, how many clusters were `collected`
    and how many are `read_out` (the others lost every pixel).
    """
    if front_end is None:
        return parts
    seen: dict[str, Clusters] = {}
    counts: dict[str, Any] = {}
    for name, clusters in parts.parts.items():
        result = read_out(front_end, clusters)
        seen[name] = result.clusters
        n_signal, n_bib = clusters.n_signal, len(clusters) - clusters.n_signal
        counts[name] = {
            "signal": {"collected": n_signal, "read_out": n_signal - result.lost_signal},
            "bib": {"collected": n_bib, "read_out": n_bib - result.lost_bib},
        }
    said = {"settings": to_plain(front_end), "clusters": counts}
    return replace(parts, parts=seen, front_end=said)


def dataset_through_front_end(front_end: FrontEnd | None, dataset: Dataset) -> Dataset:
    """`through_front_end` for three splits; which cluster is in which does not change.

    `Dataset.collected` holds on to the training clusters as they came.
    """
    if front_end is None:
        return dataset
    seen = through_front_end(front_end, dataset.source)
    splits = Splits(*(seen.parts[name] for name in SPLIT_NAMES), disjoint=True)
    return Dataset(splits, seen, dataset.splits.train)
