"""How a frozen threshold fares if the detector is not what it was in training."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.core.workers import Scheduler, Task, workers_of
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.splits import require_disjoint
from pixelsieve.evaluation.robustness import (
    Answered,
    Merits,
    Network,
    answer,
    compared,
    seen_by,
)
from pixelsieve.formats.dataset import Dataset
from pixelsieve.front_end import Chip, FrontEnd, NothingReadOutError
from pixelsieve.metrics.metrics import EFFICIENCY
from pixelsieve.metrics.threshold import Threshold, choose_threshold
from pixelsieve.networks.model_file import Model
from pixelsieve.simulation.generate import Sample, generate
from pixelsieve.studies.robustness_plan import (
    Plan,
    Variation,
    Variations,
    default_variations,
    make_plan,
    recorded,
)

_CHUNK = 20_000
_FEW = 64
_GIVEN = ""
"""The split to measure on, among samples by label."""

Approaches = Mapping[str, Sequence[Model]]


def nominal_front_end(approaches: Approaches) -> FrontEnd | None:
    """Return the front end that all models had in training; raise `ConfigError` if they differ."""
    first, *others = [model for every in approaches.values() for model in every]
    for model in others:
        if model.card.front_end != first.card.front_end:
            msg = (
                f"{model.origin}: trained with another front end than {first.origin}; give "
                "models of one front end"
            )
            raise ConfigError(msg)
    return first.card.front_end


@dataclass(frozen=True, slots=True)
class RobustnessSettings:
    """The threshold, the split and the changes to measure.

    The threshold keeps `efficiency` of the signal. `variations` None is the default set, else
    `where` names the file that they are from. `simulated` clusters (0: none) of `seed` are made
    for each changed sensor.
    """

    efficiency: float = EFFICIENCY
    split: str = "test"
    variations: Variations | None = None
    where: str | None = None
    simulated: int = 20_000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """Figures of merit of one approach on one changed detector.

    `clusters` counts by class what was `collected` and `read_out`; `difference` is to the row
    `against`, `paired` if of the same particles.
    """

    kind: Literal["front_end", "simulated", "other"]
    field: str | None
    value: object
    label: str
    clusters: dict[str, dict[str, int]]
    against: str | None
    figures: Merits
    difference: Merits | None
    paired: bool | None


@dataclass(frozen=True, slots=True)
class ApproachRobustness:
    """The networks of an approach, the frozen threshold of each, and a row per variation."""

    approach: str
    networks: tuple[str, ...]
    frozen: tuple[Threshold, ...]
    rows: tuple[RobustnessRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessResult:
    """What `robustness` measured; as plain data it is robustness.json.

    `data` and the `others`, by label, are files with their hashes, `simulated` the number of
    clusters and their seed; `left_out` says what of the default set cannot be, and why.
    """

    schema: int = 1
    efficiency: float
    split: str
    split_by: str
    data: dict[str, str]
    others: dict[str, dict[str, str]]
    front_end: FrontEnd | None
    simulated: dict[str, int]
    left_out: tuple[str, ...]
    approaches: tuple[ApproachRobustness, ...]


def robustness(
    approaches: Approaches,
    given: Dataset,
    others: Mapping[str, Dataset],
    settings: RobustnessSettings,
    on_row: Callable[[str, int, int], None] = lambda _label, _row, _rows: None,
    *,
    workers: int = 1,
    scheduler: Scheduler | None = None,
) -> RobustnessResult:
    """Freeze thresholds on the validation split and measure them on every variation.

    All clusters are collected charge; `others` are further samples by label. Nothing is chosen on
    the split that is measured. `on_row` gets each row's label as soon as it is measured, how many
    are, and how many there will be. Rows are measured by `workers` processes (1: in this one), or
    those of a Dask `scheduler`, an address or a `Client`. Raise `DataError` if a split or a column
    is missing and `ConfigError` for what the front end or the sensor refuses, before anything is
    measured.
    """
    require_disjoint(given.parts)
    validation, test = _split(given, "validation"), _split(given, settings.split)
    for clusters in (validation, test):
        clusters.require_both_classes()
    samples = {label: _split(parts, settings.split) for label, parts in others.items()}
    front_end = nominal_front_end(approaches)
    plan = make_plan(
        settings.variations or default_variations(test.detector),
        settings.where if settings.variations else None,
        front_end,
        {n for models in approaches.values() for m in models for n in m.features.names},
        test.detector,
        settings.simulated,
        settings.seed,
        true_times="hit_time_ns" in test.truth,
    )
    return RobustnessResult(
        efficiency=settings.efficiency,
        split=settings.split,
        split_by=given.split_by,
        data=dict(given.files),
        others={label: dict(parts.files) for label, parts in others.items()},
        front_end=front_end,
        simulated={"clusters": settings.simulated, "seed": settings.seed},
        left_out=plan.left_out,
        approaches=_measured(
            approaches,
            validation,
            {_GIVEN: test, **samples},
            plan,
            settings.efficiency,
            on_row,
            workers,
            scheduler,
        ),
    )


def _split(dataset: Dataset, name: str) -> Clusters:
    parts = dataset.parts
    if name not in parts:
        first, there = next(iter(parts.values())).origin, ", ".join(parts)
        why = "the threshold is frozen on it" if name == "validation" else "choose --split"
        msg = f"{first}: no {name} split (by {dataset.split_by}: {there}); {why}"
        raise DataError(msg)
    return parts[name]


@dataclass(frozen=True, slots=True, eq=False)
class _Shared:
    """What each worker gets once."""

    approaches: Approaches
    frozen: Mapping[str, Sequence[Threshold]]
    samples: Mapping[str, Clusters]


def _measured(
    approaches: Approaches,
    validation: Clusters,
    samples: Mapping[str, Clusters],
    plan: Plan,
    efficiency: float,
    on_row: Callable[[str, int, int], None],
    workers: int,
    scheduler: Scheduler | None,
) -> tuple[ApproachRobustness, ...]:
    nominal_chip = plan.variations[0].chip
    built = _built(approaches)
    others = {label: clusters for label, clusters in samples.items() if label != _GIVEN}
    _try(built, plan, others)
    seen = seen_by(built, validation, nominal_chip)
    frozen = {
        name: [choose_threshold(one, seen[name].signal, efficiency) for one in seen[name].logits]
        for name in approaches
    }
    changed = [(one, one.label, one.sample or _GIVEN) for one in plan.variations]
    changed += [(Variation("other", None, None, nominal_chip), label, label) for label in others]
    tasks = [
        Task(str(i), _measure, (source, one.resolution_ps, one.chip))
        for i, (one, _, source) in enumerate(changed)
    ]
    found: dict[int, Answered] = {}
    here = workers == 1 and scheduler is None
    shared = _Shared(approaches, frozen, samples)
    with workers_of(shared, workers, scheduler, threads=here) as pool:
        for number, answered in pool.run(tasks):
            found[int(number)] = answered
            on_row(changed[int(number)][1], len(found), len(tasks))
    measured = [(one, label, found[i]) for i, (one, label, _) in enumerate(changed)]
    return tuple(
        ApproachRobustness(
            name, tuple(m.origin for m in models), tuple(frozen[name]), _rows(name, measured)
        )
        for name, models in approaches.items()
    )


def _measure(
    shared: _Shared,
    source: str | Sample,
    resolution_ps: float | None,
    chip: Chip,
    _report: Callable[[Any], None],
) -> Answered:
    clusters = shared.samples[source] if isinstance(source, str) else _generated(source)
    return answer(_networks(shared), shared.frozen, recorded(clusters, resolution_ps), chip)


@lru_cache(maxsize=1)
def _networks(shared: _Shared) -> dict[str, list[Network]]:
    return _built(shared.approaches)


def _built(approaches: Approaches) -> dict[str, list[Network]]:
    return {name: [Network(model) for model in models] for name, models in approaches.items()}


def _rows(
    name: str, measured: Sequence[tuple[Variation, str, Answered]]
) -> tuple[RobustnessRow, ...]:
    """Compare each row with the nominal one of its kind, or with that of the front end."""
    rows = []
    nominal: dict[str, tuple[str, Answered]] = {}
    for one, label, answered in measured:
        against, reference = nominal.get(one.kind) or nominal.get("front_end") or (None, None)
        told = (one.kind, one.field, one.value, label, answered.clusters, against)
        rows.append(RobustnessRow(*told, *compared(name, answered, reference)))
        if one.kind != "other":
            nominal.setdefault(one.kind, (label, answered))
    return tuple(rows)


def _try(
    built: Mapping[str, Sequence[Network]], plan: Plan, others: Mapping[str, Clusters]
) -> None:
    """Show a few clusters of every kind to the networks; raise as `seen_by`."""
    few = [clusters.select(slice(0, _FEW)) for clusters in others.values()]
    samples = [one.sample for one in plan.variations if one.sample is not None]
    few += [generate(one, 0, min(_FEW, len(one))) for one in samples[:1]]
    for clusters in few:
        with contextlib.suppress(NothingReadOutError):
            seen_by(built, clusters, plan.variations[0].chip)


def _generated(sample: Sample) -> Clusters:
    """Return the whole sample; chunks bound what is in memory beside it."""
    starts = range(0, len(sample), _CHUNK)
    return concatenate([generate(sample, s, min(_CHUNK, len(sample) - s)) for s in starts])
