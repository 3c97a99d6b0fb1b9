"""From results and test scores to the numbers of a comparison, counted LUTs beside them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import to_plain
from pixelsieve.core.files import write_json
from pixelsieve.evaluation.baselines import BaselineScores
from pixelsieve.firmware.resources import counted_luts
from pixelsieve.formats.dataset import Dataset
from pixelsieve.metrics.metrics import roc_curve
from pixelsieve.metrics.statistics import (
    PairedTest,
    bootstrap,
    corrected,
    mean_and_spread,
    paired_test,
    score,
    summarize,
)
from pixelsieve.training.job import JobResult, over_budget
from pixelsieve.training.recipe import Recipe

__all__ = [
    "COLLAPSED_AUC",
    "PAIRED_METRICS",
    "Approach",
    "summarize_comparison",
    "with_counted_luts",
]

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


def summarize_comparison(
    approaches: Sequence[Approach], baselines: Mapping[str, BaselineScores], dataset: Dataset
) -> dict[str, Any]:
    """The keys `clusters`, `rows`, `baselines` and `paired` of `metrics.json`, plain data."""
    labels, groups = dataset.test.signal, dataset.test.groups()
    rows = [_row(a, labels, groups) for a in approaches]
    return {
        "clusters": dataset.class_counts,
        "rows": rows,
        "baselines": [
            {
                "approach": name,
                **_figures([one.scores], labels, groups, one.threshold),
            }
            for name, one in baselines.items()
        ],
        "paired": _paired(rows),
    }


def _row(approach: Approach, labels: NDArray[Any], groups: NDArray[Any]) -> dict[str, Any]:
    results = approach.results
    best = [r["history"][r["best_epoch"]] for r in results]
    figures = _figures(approach.logits, labels, groups, 0.0)
    return {
        "approach": approach.recipe.name,
        "bits": approach.bits,
        "models": approach.models,
        "recipe": to_plain(approach.recipe),
        "warm_start": [r["warm_start"] for r in results],
        "scales": [(r["precision"] or {}).get("scales", []) for r in results],
        "best_epochs": [r["best_epoch"] for r in results],
        "validation_auc": [b["validation_auc"] for b in best],
        "validation_loss": [b["validation_loss"] for b in best],
        "seeds": [r["seed"] for r in results],
        "collapsed": [
            r["seed"]
            for r, one in zip(results, figures["by_seed"], strict=True)
            if one["auc"] < COLLAPSED_AUC
        ],
        "over_budget": [line for r in results if (line := over_budget(r)) is not None],
        **figures,
    }


def _figures(
    scores: Sequence[NDArray[Any]], labels: NDArray[Any], groups: NDArray[Any], threshold: float
) -> dict[str, Any]:
    by_seed = [score(s, labels, threshold) for s in scores]
    curves = [roc_curve(s, labels) for s in scores]
    kept = np.mean(
        [c.bib_kept[np.searchsorted(c.signal_efficiency, _ROC_EFFICIENCIES)] for c in curves],
        axis=0,
    )
    return {
        "by_seed": by_seed,
        "summary": summarize(by_seed),
        "bootstrap_68": to_plain(bootstrap(scores, labels, groups, threshold=threshold)),
        "roc": {"signal_efficiency": _ROC_EFFICIENCIES.tolist(), "bib_kept": kept.tolist()},
    }


def _paired(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tests of all pairs at equal bits, corrected for the number of those of the same metric."""
    pairs = [
        (one, other)
        for one, other in itertools.combinations([r for r in rows if r["bits"]], 2)
        if one["bits"] == other["bits"]
    ]
    found: list[tuple[int, dict[str, Any]]] = []
    for metric in PAIRED_METRICS:
        tests = corrected([_pair(one, other, metric) for one, other in pairs])
        found += [
            (place, {"bits": one["bits"], **to_plain(test)})
            for place, ((one, _), test) in enumerate(zip(pairs, tests, strict=True))
        ]
    return [test for _, test in sorted(found, key=lambda pair: pair[0])]


def _pair(one: dict[str, Any], other: dict[str, Any], metric: str) -> PairedTest:
    better, worse = one, other
    if worse["summary"][metric]["mean"] > better["summary"][metric]["mean"]:
        better, worse = other, one
    return paired_test(
        metric,
        better["approach"],
        worse["approach"],
        [f[metric] for f in better["by_seed"]],
        [f[metric] for f in worse["by_seed"]],
    )


def with_counted_luts(
    run: Path,
    metrics: dict[str, Any],
    models: Mapping[int, Sequence[str]],
    on_model: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Count the LUTs of rows of `metrics` by Yosys; return and write what metrics.json then holds.

    `models` are the names of each row's models, one per seed, by the row's place. A row gets
    `luts` (alkaid's estimate) and `counted_luts`, mean and spread over seeds, or None if one of
    them is not known. The counts are kept in resources.json, so that an interrupted count is
    resumed.
    """
    for place, names in models.items():
        counted = counted_luts(run, names, on_model)
        metrics["rows"][place] |= {
            "luts": _of_all([one.estimate for one in counted]),
            "counted_luts": _of_all([one.luts for one in counted]),
        }
        write_json(run / "metrics.json", metrics)
    return metrics


def _of_all(values: Sequence[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    return mean_and_spread(known) if len(known) == len(values) else None
