"""What a network has to beat: a cut on time alone, and boosted trees on the same inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.clusters import Clusters
from pixelsieve.features import FeatureTable
from pixelsieve.metrics.metrics import rank
from pixelsieve.training.teachers import fit_trees, tree_scores

TIMES = ("hit_time_measured", "hit_time_30ps", "hit_time_60ps")
"""Arrival times by name of the feature, the most realistic first."""


@dataclass(frozen=True, slots=True)
class BaselineScores:
    """Scores (n,) of the test clusters, and the score from which on one counts as signal."""

    scores: NDArray[np.float64]
    threshold: float


def time_of(clusters: Clusters, seen: Sequence[str] = ()) -> str | None:
    """The arrival time that a cut may use: the one among the features `seen`, else the best there.

    `hit_time_measured`, `hit_time_30ps` or `hit_time_60ps`; None where the clusters have none.
    """
    for name in TIMES:
        if name in seen:
            return name
    return next((n for n in TIMES if getattr(clusters, f"{n}_ns") is not None), None)


def time_cut(training: Iterable[Clusters], test: Clusters, time: str) -> BaselineScores:
    """Keep clusters whose arrival time is near 0: the score is -|t| in ns.

    `time` is one of `TIMES`. The threshold is the one with the best accuracy on the training
    clusters, which may come in parts; clusters of the same time are kept or dropped together.
    """
    scores = _closeness(test, time)
    known, signal = zip(*((_closeness(c, time), c.signal) for c in training), strict=True)
    ranked = rank(np.concatenate(known), np.concatenate(signal))
    kept_signal, kept_bib = ranked.kept()
    best = int(np.argmax(kept_signal - kept_bib))
    none_kept = kept_signal[best] <= kept_bib[best]
    return BaselineScores(scores, float(np.inf if none_kept else ranked.distinct[best]))


def _closeness(clusters: Clusters, time: str) -> NDArray[np.float64]:
    return -np.abs(np.asarray(getattr(clusters, f"{time}_ns"), dtype=np.float64))


def boosted_trees(
    training: FeatureTable, validation: FeatureTable, test: FeatureTable, seed: int
) -> BaselineScores:
    """scikit-learn's histogram gradient boosting on the network's inputs (see `fit_trees`).

    A fair baseline sees them as `FeatureSet.table` makes them without saturation: a cut at the end
    of the inputs' range is the need of a circuit.
    """
    trees = fit_trees(training, validation, seed)
    return BaselineScores(tree_scores(trees, test), 0.0)
