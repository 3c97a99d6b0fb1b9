"""What networks make of clusters behind one front end, ready to be compared with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.clusters import Clusters
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.front_end import Chip, NothingReadOutError
from pixelsieve.metrics.threshold import (
    FIGURES,
    Frozen,
    Seen,
    Values,
    draw_groups,
    error_of,
    figures_at,
    resampled,
)
from pixelsieve.networks.model_file import Model

__all__ = ["Measured", "Network", "Networks", "compared", "measure", "seen_by"]

_ROWS = 1024

Networks = Sequence["Network"]


class Network:
    """A model that is built once and compiled for few lengths of tables."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._score = model.scorer()

    def logits(self, table: FeatureTable) -> NDArray[np.float32]:
        """Logits, (n,), of inputs that were made by the model's features."""
        n = len(table)
        more = -n % _ROWS
        inputs = {k: np.pad(v, ((0, more), (0, 0))) for k, v in table.inputs.items()}
        return self._score(FeatureTable(table.features, inputs, np.pad(table.labels, (0, more))))[
            :n
        ]


@dataclass(frozen=True, slots=True)
class Measured:
    """Clusters by class, and for each approach `FIGURES` of its networks and on the draws.

    `groups` are the particle groups that were collected, sorted, each once.
    """

    clusters: dict[str, dict[str, int]]
    groups: NDArray[np.uint64]
    figures: dict[str, list[dict[str, float | None]]]
    draws: dict[str, Values]


def seen_by(approaches: Mapping[str, Networks], clusters: Clusters, chip: Chip) -> dict[str, Seen]:
    """What each approach's networks say of collected clusters behind that chip.

    Raises `DataError` where a column is missing, `NothingReadOutError` where no pixel is left.
    """
    _, members = np.unique(clusters.groups(), return_inverse=True)
    readout = chip.read_out(clusters)
    seen = readout.clusters
    tables: dict[FeatureSet, FeatureTable] = {}
    found = {}
    for name, networks in approaches.items():
        logits = []
        for network in networks:
            features = network.model.features
            if features not in tables:
                tables[features] = features.table(seen)
            logits.append(network.logits(tables[features]))
        found[name] = Seen(tuple(logits), seen.signal > 0, members[readout.rows])
    return found


def measure(
    approaches: Mapping[str, Networks],
    frozen: Mapping[str, Sequence[Frozen]],
    clusters: Clusters,
    chip: Chip,
) -> Measured:
    """Figures of merit of collected clusters behind that chip, at the frozen thresholds."""
    groups = np.unique(clusters.groups())
    try:
        seen = seen_by(approaches, clusters, chip)
    except NothingReadOutError:
        nothing = Seen((), np.zeros(0, np.bool_), np.zeros(0, np.intp))
        seen = dict.fromkeys(approaches, nothing)
    read = next(iter(seen.values())).signal
    n_signal = clusters.n_signal
    counts = {
        "signal": {"collected": n_signal, "read_out": int(read.sum())},
        "bib": {"collected": len(clusters) - n_signal, "read_out": int((~read).sum())},
    }
    figures = {
        name: [
            figures_at(one, read, cut)
            for one, cut in zip(seen[name].logits, frozen[name], strict=True)
        ]
        if len(read)
        else [dict.fromkeys(FIGURES) for _ in frozen[name]]
        for name in approaches
    }
    drawn = {name: resampled(seen[name], frozen[name], _draws(len(groups))) for name in approaches}
    return Measured(counts, groups, figures, drawn)


@lru_cache(maxsize=2)
def _draws(n_groups: int) -> NDArray[np.uint16]:
    return draw_groups(n_groups)


def compared(name: str, measured: Measured, nominal: Measured | None) -> dict[str, Any]:
    """The approach's `figures`, and their `difference` to the nominal's, as plain data.

    Of each: the values `by_network`, their `mean` and `spread` (sample standard deviation, 0 for
    one network), and the `error` of the mean from drawing particle groups again; `paired` where
    both are of the same particles and so drawn together. None where a class has no cluster left.
    """
    ours, error = measured.figures[name], error_of(measured.draws[name])
    found: dict[str, Any] = {"figures": _told(ours, error), "difference": None, "paired": None}
    if nominal is None:
        return found
    theirs, draws = nominal.figures[name], nominal.draws[name]
    paired = bool(np.array_equal(measured.groups, nominal.groups))
    if paired:
        error = error_of({k: measured.draws[name][k] - draws[k] for k in FIGURES})
    else:
        other = error_of(draws)
        error = {k: _root_sum(error[k], other[k]) for k in FIGURES}
    differences = [
        {k: _minus(a[k], b[k]) for k in FIGURES} for a, b in zip(ours, theirs, strict=True)
    ]
    return {**found, "difference": _told(differences, error), "paired": paired}


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _root_sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else float(np.hypot(one, other))


def _told(
    by_network: Sequence[Mapping[str, float | None]], error: Mapping[str, float | None]
) -> dict[str, Any]:
    told = {}
    for name in FIGURES:
        values = [one[name] for one in by_network]
        there = np.array([v for v in values if v is not None])
        whole = len(there) == len(values)
        spread = float(there.std(ddof=1)) if len(there) > 1 else 0.0
        told[name] = {
            "mean": float(there.mean()) if whole else None,
            "spread": spread if whole else None,
            "error": error[name] if whole else None,
            "by_network": values,
        }
    return told
