"""How a frozen threshold fares where the detector is not what it was in training."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.splits import require_disjoint
from pixelsieve.evaluation.robustness import Measured, Network, compared, measure, seen_by
from pixelsieve.formats.dataset import Dataset
from pixelsieve.front_end import Chip, FrontEnd, NothingReadOutError
from pixelsieve.metrics.metrics import EFFICIENCY
from pixelsieve.metrics.threshold import freeze
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
    given: Dataset,
    others: Mapping[str, Dataset],
    asked: Asked,
    on_row: Callable[[str, int, int], None] = lambda _label, _row, _rows: None,
) -> dict[str, Any]:
    """Thresholds frozen on the validation split, and by approach a row a variation, plain data.

    All clusters are collected charge; `others` are further samples by label. Nothing is chosen on
    the split that is measured. `on_row` hears each row's label, its number and how many there are.
    Raises `DataError` where a split or a column is missing and `ConfigError` for what the front
    end or the sensor refuses, before anything is measured.
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
            approaches, validation, test, plan, samples, asked.efficiency, on_row
        ),
    }


def _split(dataset: Dataset, name: str) -> Clusters:
    parts = dataset.parts
    if name not in parts:
        first, there = next(iter(parts.values())).origin, ", ".join(parts)
        why = "the threshold is frozen on it" if name == "validation" else "choose --split"
        msg = f"{first}: no {name} split (by {dataset.split_by}: {there}); {why}"
        raise DataError(msg)
    return parts[name]


def _measured(
    approaches: Approaches,
    validation: Clusters,
    test: Clusters,
    plan: Plan,
    others: Mapping[str, Clusters],
    efficiency: float,
    on_row: Callable[[str, int, int], None],
) -> list[dict[str, Any]]:
    nominal_chip = plan.variations[0].chip
    built = {name: [Network(model) for model in models] for name, models in approaches.items()}
    _try(built, plan, others)
    seen = seen_by(built, validation, nominal_chip)
    frozen = {
        name: [freeze(one, seen[name].signal, efficiency) for one in seen[name].logits]
        for name in approaches
    }
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in approaches}
    nominal: dict[str, tuple[str, Measured]] = {}
    total = len(plan.variations) + len(others)

    def add(told: dict[str, Any], clusters: Clusters, chip: Chip) -> None:
        measured = measure(built, frozen, clusters, chip)
        kind, label = told["kind"], told["label"]
        against, reference = nominal.get(kind) or nominal.get("front_end") or (None, None)
        for name in approaches:
            row = {**told, "clusters": measured.clusters, "against": against}
            rows[name].append({**row, **compared(name, measured, reference)})
        if kind != "other":
            nominal.setdefault(kind, (label, measured))
        on_row(label, len(rows[name]), total)

    for one in plan.variations:
        source = test if one.sample is None else _generated(one.sample)
        told = {"kind": one.kind, "field": one.field, "value": one.value, "label": one.label}
        add(told, recorded(source, one.resolution_ps), one.chip)
    for label, clusters in others.items():
        add({"kind": "other", "field": None, "value": None, "label": label}, clusters, nominal_chip)
    return [
        {
            "approach": name,
            "networks": [model.origin for model in models],
            "frozen": to_plain(frozen[name]),
            "rows": rows[name],
        }
        for name, models in approaches.items()
    ]


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
