"""How a frozen threshold fares where the detector is not what it was in training."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.core.workers import Task, workers_of
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.splits import require_disjoint
from pixelsieve.evaluation.robustness import Measured, Network, compared, measure, seen_by
from pixelsieve.formats.dataset import Parts
from pixelsieve.front_end import Chip, FrontEnd, NothingReadOutError
from pixelsieve.metrics.metrics import EFFICIENCY
from pixelsieve.metrics.threshold import Frozen, freeze
from pixelsieve.networks.model_file import Model
from pixelsieve.simulation.generate import Sample, generate
from pixelsieve.studies.models import front_end_of
from pixelsieve.studies.robustness_plan import (
    Plan,
    Variations,
    default_variations,
    make_plan,
    recorded,
)

__all__ = ["Asked", "nominal_front_end", "robustness"]

_CHUNK = 20_000
_FEW = 64
_GIVEN = ""
"""The split to measure on, among samples by label."""

Approaches = Mapping[str, Sequence[Model]]


def nominal_front_end(approaches: Approaches) -> FrontEnd | None:
    """The front end that all models were trained with; `ConfigError` where they differ."""
    models = [model for every in approaches.values() for model in every]
    for model in models:
        if front_end_of(model) != front_end_of(models[0]):
            msg = (
                f"{model.origin}: trained with another front end than {models[0].origin}; give "
                "models of one front end"
            )
            raise ConfigError(msg)
    return front_end_of(models[0])


@dataclass(frozen=True, slots=True)
class Asked:
    """What to measure: threshold, split and changes.

    The threshold keeps `efficiency` of the signal. `variations` None is the default set, else
    `where` names the file they are of. `simulated` clusters (0: none) of `seed` are made for each
    changed sensor.
    """

    efficiency: float = EFFICIENCY
    split: str = "test"
    variations: Variations | None = None
    where: str | None = None
    simulated: int = 20_000
    seed: int = 0


def robustness(
    approaches: Approaches,
    given: Parts,
    others: Mapping[str, Parts],
    asked: Asked,
    on_row: Callable[[str, int, int], None] = lambda _label, _row, _rows: None,
    *,
    workers: int = 1,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Return thresholds frozen on the validation split, and per approach one row per variation.

    All clusters are collected charge; `others` are further samples by label. Nothing is chosen on
    the split that is measured. `on_row` gets each row's label as soon as it is measured, how many
    are, and how many there will be. Rows are measured by `workers` processes (1: in this one), or
    those of the Dask scheduler at that address. Raise `DataError` if a split or a column is
    missing and `ConfigError` for what the front end or the sensor refuses, before anything is
    measured.
    """
    require_disjoint(given.parts)
    validation, test = _split(given, "validation"), _split(given, asked.split)
    for clusters in (validation, test):
        clusters.require_both_classes()
    samples = {label: _split(parts, asked.split) for label, parts in others.items()}
    front_end = nominal_front_end(approaches)
    plan = make_plan(
        asked.variations or default_variations(test.detector),
        asked.where if asked.variations else None,
        front_end,
        {n for models in approaches.values() for m in models for n in m.features.names},
        test.detector,
        asked.simulated,
        asked.seed,
        true_times="hit_time_ns" in test.truth,
    )
    return {
        "schema": 1,
        "efficiency": asked.efficiency,
        "split": asked.split,
        "split_by": given.split_by,
        "data": given.files,
        "others": {label: parts.files for label, parts in others.items()},
        "front_end": to_plain(front_end),
        "simulated": {"clusters": asked.simulated, "seed": asked.seed},
        "left_out": list(plan.left_out),
        "approaches": _measured(
            approaches,
            validation,
            {_GIVEN: test, **samples},
            plan,
            asked.efficiency,
            on_row,
            workers,
            scheduler,
        ),
    }


def _split(parts: Parts, name: str) -> Clusters:
    if name not in parts.parts:
        first, there = next(iter(parts.parts.values())).origin, ", ".join(parts.parts)
        why = "the threshold is frozen on it" if name == "validation" else "choose --split"
        msg = f"{first}: no {name} split (by {parts.split_by}: {there}); {why}"
        raise DataError(msg)
    return parts.parts[name]


@dataclass(frozen=True, slots=True, eq=False)
class _Shared:
    """What each worker gets once."""

    approaches: Approaches
    frozen: Mapping[str, Sequence[Frozen]]
    samples: Mapping[str, Clusters]


def _measured(
    approaches: Approaches,
    validation: Clusters,
    samples: Mapping[str, Clusters],
    plan: Plan,
    efficiency: float,
    on_row: Callable[[str, int, int], None],
    workers: int,
    scheduler: str | None,
) -> list[dict[str, Any]]:
    nominal_chip = plan.variations[0].chip
    built = _built(approaches)
    others = {label: clusters for label, clusters in samples.items() if label != _GIVEN}
    _try(built, plan, others)
    seen = seen_by(built, validation, nominal_chip)
    frozen = {
        name: [freeze(one, seen[name].signal, efficiency) for one in seen[name].logits]
        for name in approaches
    }
    told = [
        {"kind": one.kind, "field": one.field, "value": one.value, "label": one.label}
        for one in plan.variations
    ]
    told += [{"kind": "other", "field": None, "value": None, "label": label} for label in others]
    calls: list[tuple[Any, ...]] = [
        (one.sample or _GIVEN, one.resolution_ps, one.chip) for one in plan.variations
    ]
    calls += [(label, None, nominal_chip) for label in others]
    tasks = [Task(str(i), _measure, call) for i, call in enumerate(calls)]
    found: dict[int, Measured] = {}
    here = workers == 1 and scheduler is None
    shared = _Shared(approaches, frozen, samples)
    with workers_of(shared, workers, scheduler, threads=here) as pool:
        for number, measured in pool.run(tasks):
            found[int(number)] = measured
            on_row(str(told[int(number)]["label"]), len(found), len(tasks))
    rows = _rows(list(approaches), told, [found[i] for i in range(len(tasks))])
    return [
        {
            "approach": name,
            "networks": [model.origin for model in models],
            "frozen": to_plain(frozen[name]),
            "rows": rows[name],
        }
        for name, models in approaches.items()
    ]


def _measure(
    shared: _Shared,
    source: str | Sample,
    resolution_ps: float | None,
    chip: Chip,
    _report: Callable[[Any], None],
) -> Measured:
    clusters = shared.samples[source] if isinstance(source, str) else _generated(source)
    return measure(_networks(shared), shared.frozen, recorded(clusters, resolution_ps), chip)


@lru_cache(maxsize=1)
def _networks(shared: _Shared) -> dict[str, list[Network]]:
    return _built(shared.approaches)


def _built(approaches: Approaches) -> dict[str, list[Network]]:
    return {name: [Network(model) for model in models] for name, models in approaches.items()}


def _rows(
    approaches: Sequence[str], told: Sequence[dict[str, Any]], measured: Sequence[Measured]
) -> dict[str, list[dict[str, Any]]]:
    """Compare each row with the nominal one of its kind, or with that of the front end."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in approaches}
    nominal: dict[str, tuple[str, Measured]] = {}
    for about, one in zip(told, measured, strict=True):
        kind, label = about["kind"], about["label"]
        against, reference = nominal.get(kind) or nominal.get("front_end") or (None, None)
        for name in approaches:
            row = {**about, "clusters": one.clusters, "against": against}
            rows[name].append({**row, **compared(name, one, reference)})
        if kind != "other":
            nominal.setdefault(kind, (label, one))
    return rows


def _try(
    built: Mapping[str, Sequence[Network]], plan: Plan, others: Mapping[str, Clusters]
) -> None:
    """Show a few clusters of every kind to the networks; raises as `seen_by`."""
    few = [clusters.select(slice(0, _FEW)) for clusters in others.values()]
    samples = [one.sample for one in plan.variations if one.sample is not None]
    few += [generate(one, 0, min(_FEW, len(one))) for one in samples[:1]]
    for clusters in few:
        with contextlib.suppress(NothingReadOutError):
            seen_by(built, clusters, plan.variations[0].chip)


def _generated(sample: Sample) -> Clusters:
    """The whole sample; chunks bound what is in memory beside it."""
    starts = range(0, len(sample), _CHUNK)
    return concatenate([generate(sample, s, min(_CHUNK, len(sample) - s)) for s in starts])
