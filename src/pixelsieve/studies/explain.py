"""Data of a comparison's figures on the test split: histograms, slices, single clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelsieve.data.clusters import Clusters
from pixelsieve.evaluation.baselines import BaselineScores, time_of
from pixelsieve.evaluation.data_rate import Slice, slices
from pixelsieve.metrics.metrics import EFFICIENCY, ScoreHistogram, rejection_at, score_histogram
from pixelsieve.studies.inspect import Display, display, spread
from pixelsieve.studies.summary import Approach

_SHOWN = 12
"""Clusters to look at of each kind."""

Scores = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ApproachCurves:
    """One approach: the `histogram` of scores, by seed the threshold, and what it keeps.

    `slices` hold fractions that are means over seeds.
    """

    approach: str
    bits: int | str | None
    histogram: ScoreHistogram
    thresholds: tuple[float, ...]
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class BaselineCurves:
    """The threshold of a baseline, and what it keeps."""

    approach: str
    thresholds: tuple[float, ...]
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class SeenNetwork:
    """The first seed of an approach, and its threshold."""

    approach: str
    bits: int | str | None
    threshold: float


@dataclass(frozen=True, slots=True)
class SeenCluster(Display):
    """A cluster of the test split, and what is known of it.

    `scores` are those of each of `SeenClusters.networks`.
    """

    charge_e: float | None
    pixels: int
    time_ns: float | None
    true_time_ns: float | None
    true_pt_gev: float | None
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SeenGroup:
    """The clusters of one class that are kept, or lost; `mean_e` are their mean charges."""

    clusters: int
    mean_e: tuple[tuple[float, ...], ...] | None
    displays: tuple[SeenCluster, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenClusters:
    """The clusters that one network keeps and loses.

    It is that with the best AUC on validation among the quantized (first seed); the groups are
    signal_kept, signal_lost, bib_dropped, bib_kept.
    """

    approach: str
    bits: int | str | None
    seed: int
    model: str = ""
    networks: tuple[SeenNetwork, ...]
    groups: dict[str, SeenGroup]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """All that curves.json holds; every threshold keeps 98 % of the test split's signal.

    `rows` and `baselines` are in the order of metrics.json.
    """

    schema: int = 1
    split: str = "test"
    signal_efficiency: float = EFFICIENCY
    rows: tuple[ApproachCurves, ...]
    baselines: tuple[BaselineCurves, ...]
    seen: SeenClusters


def curves(
    approaches: Sequence[Approach], baselines: Mapping[str, BaselineScores], test: Clusters
) -> Curves:
    """Return what the report draws, from the scores of the test clusters."""
    return Curves(
        rows=tuple(
            ApproachCurves(
                one.recipe.name,
                one.bits,
                score_histogram(one.logits, test.signal),
                *_cut(one.logits, test),
            )
            for one in approaches
        ),
        baselines=tuple(
            BaselineCurves(name, *_cut([one.scores], test)) for name, one in baselines.items()
        ),
        seen=_seen(approaches, test),
    )


def _threshold(scores: Scores, test: Clusters) -> float:
    return rejection_at(scores, test.signal, EFFICIENCY)[2]


def _cut(scores: Sequence[Scores], test: Clusters) -> tuple[tuple[float, ...], tuple[Slice, ...]]:
    thresholds = [_threshold(one, test) for one in scores]
    kept = np.mean([one >= t for one, t in zip(scores, thresholds, strict=True)], axis=0)
    return tuple(thresholds), tuple(slices(kept, test))


def _seen(approaches: Sequence[Approach], test: Clusters) -> SeenClusters:
    chosen = max(approaches, key=lambda a: (a.bits is not None, _validation_auc(a)))
    kept = chosen.logits[0] >= _threshold(chosen.logits[0], test)
    signal = test.signal > 0
    groups = {
        "signal_kept": signal & kept,
        "signal_lost": signal & ~kept,
        "bib_dropped": ~signal & ~kept,
        "bib_kept": ~signal & kept,
    }
    return SeenClusters(
        approach=chosen.recipe.name,
        bits=chosen.bits,
        seed=chosen.results[0].seed,
        model=chosen.models[0],
        networks=tuple(
            SeenNetwork(one.recipe.name, one.bits, _threshold(one.logits[0], test))
            for one in approaches
        ),
        groups={name: _group(inside, approaches, test) for name, inside in groups.items()},
    )


def _validation_auc(approach: Approach) -> float:
    return float(np.mean([r.validation_auc for r in approach.results]))


def _group(inside: NDArray[np.bool_], approaches: Sequence[Approach], test: Clusters) -> SeenGroup:
    """Mean charges (None without a cluster) and clusters evenly spaced over the rows."""
    mean = test.pixels_e[inside].mean(axis=0, dtype=np.float64) if inside.any() else None
    return SeenGroup(
        int(inside.sum()),
        None if mean is None else tuple(map(tuple, mean.round(1).tolist())),
        tuple(_cluster(test, row, approaches) for row in spread(inside, _SHOWN)),
    )


def _cluster(test: Clusters, row: int, approaches: Sequence[Approach]) -> SeenCluster:
    """Return its pixels, charge and size, and what is known of time and momentum."""
    pixels, truth = test.pixels_e[row], test.truth
    time = time_of(test)
    shown = display(test, row)
    return SeenCluster(
        *(row, shown.z_global_mm, shown.y_local_mm, shown.pixels_e),
        charge_e=_known(float(pixels.sum())),
        pixels=int((pixels > 0).sum()),
        time_ns=None if time is None else _known(float(getattr(test, f"{time}_ns")[row])),
        true_time_ns=_known(float(truth["hit_time_ns"][row])) if "hit_time_ns" in truth else None,
        true_pt_gev=_known(float(truth["truth_pt_gev"][row])) if "truth_pt_gev" in truth else None,
        scores=tuple(round(float(one.logits[0][row]), 4) for one in approaches),
    )


def _known(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
