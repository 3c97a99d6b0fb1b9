"""The numbers of a comparison, from results and test scores: the values behind metrics.json."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import from_mapping, to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import Detector
from pixelsieve.evaluation.baselines import BaselineScores
from pixelsieve.front_end import FrontEndSummary
from pixelsieve.hardware.resources import counted_luts
from pixelsieve.metrics.metrics import roc_curve
from pixelsieve.metrics.statistics import (
    Interval,
    Mean,
    Metrics,
    PairedTest,
    bootstrap,
    corrected,
    mean_and_spread,
    paired_test,
    score,
    summarize,
)
from pixelsieve.networks.precision import Precision
from pixelsieve.training.job import JobResult, over_budget
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.warm_start import WarmStartRow

PAIRED_METRICS = ("accuracy", "auc", "rejection_98")
"""Metrics of which approaches at equal bits are compared pair by pair."""

COLLAPSED_AUC = 0.55
"""A network below this is hardly better than chance: its training has collapsed."""

_ROC_EFFICIENCIES = np.linspace(0.5, 1.0, 201)


@dataclass(frozen=True, slots=True)
class Approach:
    """One recipe at one precision: models, results and test logits (n,) by seed.

    `bits` are those of a weight, a label such as `learned:300`, or None for float.
    """

    recipe: Recipe
    bits: int | str | None
    models: list[str]
    results: list[JobResult]
    logits: list[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Number of clusters of each class."""

    signal: int
    bib: int


@dataclass(frozen=True, slots=True)
class ComparedInputs:
    """The inputs of the networks, as `FeatureSet` has them."""

    names: tuple[str, ...]
    mirror_x: bool
    divisors: tuple[float, ...]
    window: tuple[int, int]


@dataclass(frozen=True, slots=True)
class TeacherScore:
    """A teacher of some of the networks; `fingerprint` is that of its job."""

    name: str
    fingerprint: str
    validation_auc: float


@dataclass(frozen=True, slots=True)
class MeanRoc:
    """Fraction of the BIB kept, mean over seeds at equal signal efficiency."""

    signal_efficiency: tuple[float, ...]
    bib_kept: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CountedLuts:
    """LUTs over seeds by alkaid's estimate and counted by Yosys; None if one is not known."""

    luts: Mean | None
    counted_luts: Mean | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One approach on the test split: how each seed was trained, and its figures of merit.

    `collapsed` are seeds that are hardly better than chance, `over_budget` a line per network
    that costs more than its budget. `roc` is None if an older version wrote none, `counted` if
    LUTs were not asked for.
    """

    approach: str
    bits: int | str | None
    models: tuple[str, ...]
    recipe: Recipe
    warm_start: tuple[tuple[WarmStartRow, ...] | None, ...]
    scales: tuple[tuple[object, ...], ...]
    best_epochs: tuple[int, ...]
    validation_auc: tuple[float, ...]
    validation_loss: tuple[float, ...]
    seeds: tuple[int, ...]
    collapsed: tuple[int, ...] = ()
    over_budget: tuple[str, ...] = ()
    by_seed: tuple[Metrics, ...]
    summary: dict[str, Mean]
    bootstrap_68: dict[str, Interval]
    roc: MeanRoc | None = None
    counted: CountedLuts | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the networks have to beat, on the test split."""

    approach: str
    by_seed: tuple[Metrics, ...]
    summary: dict[str, Mean]
    bootstrap_68: dict[str, Interval]
    roc: MeanRoc | None = None


@dataclass(frozen=True, slots=True)
class PairedRow:
    """A paired test of two approaches at equal bits."""

    bits: int | str
    test: PairedTest


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that metrics.json holds of a comparison.

    `made` says of each data file what made it, if it tells (see `formats.dataset.Parts`). The
    defaults are for files that an older version wrote.
    """

    schema: int = 1
    network: str
    n_parameters: int
    features: ComparedInputs
    split_by: str = ""
    front_end: FrontEndSummary | None = None
    made: dict[str, str | None] | None = None
    detector: Detector | None = None
    teachers: tuple[TeacherScore, ...] = ()
    clusters: dict[str, ClassCounts]
    rows: tuple[ComparedRow, ...]
    baselines: tuple[Baseline, ...] = ()
    paired: tuple[PairedRow, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return the plain data of metrics.json."""
        plain: dict[str, Any] = to_plain(self)
        for row in plain["rows"]:
            row.update(row.pop("counted") or {})
        plain["paired"] = [{"bits": one["bits"], **one["test"]} for one in plain["paired"]]
        return plain


def read_comparison(plain: Mapping[str, object], where: str) -> Comparison:
    """Read what `Comparison.to_plain` gives; raise `ConfigError` if it is of another form."""
    rows, tests = ([*_tables(plain, name, where)] for name in ("rows", "paired"))
    counted = [
        {**row, "counted": {name: row.get(name) for name in ("luts", "counted_luts")}}
        if "counted_luts" in row
        else row
        for row in rows
    ]
    paired = [{"bits": one.get("bits"), "test": one} for one in tests]
    document = {**plain, "rows": counted, "paired": paired}
    return from_mapping(Comparison, document, where, strict=False)


def _tables(plain: Mapping[str, object], name: str, where: str) -> list[Mapping[str, object]]:
    """Return a list of tables; raise `ConfigError` if it is none."""
    found = plain.get(name, [])
    if isinstance(found, list) and all(isinstance(one, Mapping) for one in found):
        return found
    msg = f"{where}: '{name}' is no list of tables"
    raise ConfigError(msg)


def summarize_comparison(
    approaches: Sequence[Approach], baselines: Mapping[str, BaselineScores], test: Clusters
) -> tuple[tuple[ComparedRow, ...], tuple[Baseline, ...], tuple[PairedRow, ...]]:
    """Return the rows, the baselines and the paired tests of a comparison."""
    labels, groups = test.signal, test.groups()
    rows = tuple(_row(a, labels, groups) for a in approaches)
    others = tuple(
        Baseline(name, *_figures([one.scores], labels, groups, one.threshold))
        for name, one in baselines.items()
    )
    return rows, others, _paired(rows)


def _row(approach: Approach, labels: NDArray[Any], groups: NDArray[Any]) -> ComparedRow:
    results = approach.results
    best = [r.best for r in results]
    seeds = tuple(r.seed for r in results)
    by_seed, summary, intervals, roc = _figures(approach.logits, labels, groups, 0.0)
    return ComparedRow(
        approach=approach.recipe.name,
        bits=approach.bits,
        models=tuple(approach.models),
        recipe=approach.recipe,
        warm_start=tuple(r.warm_start for r in results),
        scales=tuple(
            r.precision.scales if isinstance(r.precision, Precision) else () for r in results
        ),
        best_epochs=tuple(r.best_epoch for r in results),
        validation_auc=tuple(b["validation_auc"] for b in best),
        validation_loss=tuple(b["validation_loss"] for b in best),
        seeds=seeds,
        by_seed=by_seed,
        summary=summary,
        bootstrap_68=intervals,
        roc=roc,
        collapsed=tuple(
            seed for seed, one in zip(seeds, by_seed, strict=True) if one.auc < COLLAPSED_AUC
        ),
        over_budget=tuple(line for r in results if (line := over_budget(r)) is not None),
    )


def _figures(
    scores: Sequence[NDArray[Any]], labels: NDArray[Any], groups: NDArray[Any], threshold: float
) -> tuple[tuple[Metrics, ...], dict[str, Mean], dict[str, Interval], MeanRoc]:
    by_seed = tuple(score(s, labels, threshold) for s in scores)
    curves = [roc_curve(s, labels) for s in scores]
    kept = np.mean(
        [c.bib_kept[np.searchsorted(c.signal_efficiency, _ROC_EFFICIENCIES)] for c in curves],
        axis=0,
    )
    intervals = bootstrap(scores, labels, groups, threshold=threshold)
    roc = MeanRoc(tuple(_ROC_EFFICIENCIES.tolist()), tuple(kept.tolist()))
    return by_seed, summarize(by_seed), intervals, roc


def _paired(rows: Sequence[ComparedRow]) -> tuple[PairedRow, ...]:
    """Tests of all pairs at equal bits, corrected for the number of those of the same metric."""
    pairs = [
        (one, other)
        for one, other in itertools.combinations([r for r in rows if r.bits], 2)
        if one.bits == other.bits
    ]
    by_metric = [corrected([_pair(*pair, metric) for pair in pairs]) for metric in PAIRED_METRICS]
    return tuple(
        PairedRow(one.bits or 0, tests[place])
        for place, (one, _) in enumerate(pairs)
        for tests in by_metric
    )


def _pair(one: ComparedRow, other: ComparedRow, metric: str) -> PairedTest:
    better, worse = one, other
    if worse.summary[metric].mean > better.summary[metric].mean:
        better, worse = other, one
    return paired_test(
        metric,
        better.approach,
        worse.approach,
        [f[metric] for f in better.by_seed],
        [f[metric] for f in worse.by_seed],
    )


def count_luts(
    run: Path, models: Sequence[str], on_model: Callable[[str], None] | None = None
) -> CountedLuts:
    """Count by Yosys the LUTs of the models of one approach, one per seed.

    The counts are kept in resources.json, so that an interrupted count is resumed.
    """
    counted = counted_luts(run, models, on_model)
    return CountedLuts(
        _of_all([one.estimate for one in counted]), _of_all([one.luts for one in counted])
    )


def _of_all(values: Sequence[float | None]) -> Mean | None:
    known = [value for value in values if value is not None]
    return mean_and_spread(known) if len(known) == len(values) else None
