"""Answers of networks to clusters behind one front end, to be compared with another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.clusters import Clusters
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.front_end import Chip, NothingReadOutError
from pixelsieve.metrics.statistics import mean_and_spread
from pixelsieve.metrics.threshold import (
    FIGURES,
    Figures,
    Seen,
    Threshold,
    Values,
    draw_groups,
    error_of,
    figures_at,
    resampled,
)
from pixelsieve.networks.model_file import Model

_ROWS = 1024

Networks = Sequence["Network"]


class Network:
    """A model that is built once and compiled for few lengths of tables."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._score = model.scorer()

    def logits(self, table: FeatureTable) -> NDArray[np.float32]:
        """Return the logits, (n,), of inputs that were made by the model's features."""
        n = len(table)
        more = -n % _ROWS
        inputs = {k: np.pad(v, ((0, more), (0, 0))) for k, v in table.inputs.items()}
        return self._score(FeatureTable(table.features, inputs, np.pad(table.labels, (0, more))))[
            :n
        ]


@dataclass(frozen=True, slots=True)
class Answered:
    """Clusters by class, and per approach the figures of its networks, also on the draws.

    `groups` are the particle groups that were collected, sorted, each once.
    """

    clusters: dict[str, dict[str, int]]
    groups: NDArray[np.uint64]
    figures: dict[str, list[Figures]]
    draws: dict[str, Values]


@dataclass(frozen=True, slots=True)
class Merit:
    """A figure of merit, or its difference: `by_network`, with mean and spread over networks.

    The spread is the sample standard deviation, 0 for one network; `error` is that of the mean
    from drawing particle groups again. None if a class has no cluster left.
    """

    mean: float | None
    spread: float | None
    error: float | None
    by_network: tuple[float | None, ...]


Merits = dict[str, Merit]
"""By the names of `FIGURES`."""


def seen_by(approaches: Mapping[str, Networks], clusters: Clusters, chip: Chip) -> dict[str, Seen]:
    """Return what each approach's networks say of collected clusters behind a chip.

    Raise `DataError` if a column is missing, `NothingReadOutError` if no pixel is left.
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


def answer(
    approaches: Mapping[str, Networks],
    frozen: Mapping[str, Sequence[Threshold]],
    clusters: Clusters,
    chip: Chip,
) -> Answered:
    """Return figures of merit of collected clusters behind a chip, at the frozen thresholds."""
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
    figures: dict[str, list[Figures]] = {
        name: [
            figures_at(one, read, cut)
            for one, cut in zip(seen[name].logits, frozen[name], strict=True)
        ]
        if len(read)
        else [dict.fromkeys(FIGURES) for _ in frozen[name]]
        for name in approaches
    }
    drawn = {name: resampled(seen[name], frozen[name], _draws(len(groups))) for name in approaches}
    return Answered(counts, groups, figures, drawn)


@lru_cache(maxsize=2)
def _draws(n_groups: int) -> NDArray[np.uint16]:
    return draw_groups(n_groups)


def compared(
    name: str, answered: Answered, nominal: Answered | None
) -> tuple[Merits, Merits | None, bool | None]:
    """Return an approach's merits, their difference to the nominal ones, and if it is paired.

    It is paired if both are of the same particles, which then are drawn together.
    """
    ours, error = answered.figures[name], error_of(answered.draws[name])
    merits = _merits(ours, error)
    if nominal is None:
        return merits, None, None
    theirs, draws = nominal.figures[name], nominal.draws[name]
    paired = bool(np.array_equal(answered.groups, nominal.groups))
    if paired:
        error = error_of({k: answered.draws[name][k] - draws[k] for k in FIGURES})
    else:
        other = error_of(draws)
        error = _of_both(np.hypot, error, other)
    differences = [_of_both(np.subtract, a, b) for a, b in zip(ours, theirs, strict=True)]
    return merits, _merits(differences, error), paired


def _of_both(
    join: Callable[[float, float], float], one: Figures, other: Figures
) -> dict[str, float | None]:
    """Return the figures joined by name; None if either is."""
    pairs = {name: (one[name], other[name]) for name in FIGURES}
    return {
        name: None if a is None or b is None else float(join(a, b))
        for name, (a, b) in pairs.items()
    }


def _merits(by_network: Sequence[Figures], error: Figures) -> Merits:
    merits = {}
    for name in FIGURES:
        values = tuple(one[name] for one in by_network)
        there = [v for v in values if v is not None]
        if len(there) < len(values):
            merits[name] = Merit(None, None, None, values)
        else:
            found = mean_and_spread(there)
            merits[name] = Merit(found.mean, found.spread, error[name], values)
    return merits
