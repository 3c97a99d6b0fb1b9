"""How a frozen threshold fares where the detector is not what it was in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pixelsieve.clusters import Clusters, concatenate
from pixelsieve.config import to_plain
from pixelsieve.errors import ConfigError
from pixelsieve.evaluation.robustness import freeze
from pixelsieve.front_end import FrontEnd
from pixelsieve.model_file import Model
from pixelsieve.simulation.generate import Sample, generate
from pixelsieve.studies.robustness_measure import Measured, Network, compared, measure, seen_by
from pixelsieve.studies.robustness_plan import Plan, with_resolution
from pixelsieve.studies.trained import front_end_of

__all__ = ["ROBUSTNESS", "nominal_front_end", "robustness"]

ROBUSTNESS = "robustness.json"
"""The file that holds what `robustness` returns."""

_CHUNK = 20_000

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


def robustness(
    approaches: Approaches,
    validation: Clusters,
    test: Clusters,
    plan: Plan,
    others: Mapping[str, Clusters],
    efficiency: float,
    on_row: Callable[[str, int, int], None] = lambda _label, _done, _of: None,
) -> list[dict[str, Any]]:
    """By approach the frozen thresholds and a row a variation, as plain data.

    All clusters are collected charge. Thresholds keep `efficiency` of the signal of `validation`
    behind the nominal front end, network by network, and stay; nothing is chosen on what is
    measured. `others` are further samples by label. `on_row` hears each row's label, its number
    and the number of rows.
    """
    front_end = nominal_front_end(approaches)
    built = {name: [Network(model) for model in models] for name, models in approaches.items()}
    seen = seen_by(built, validation, front_end)
    frozen = {
        name: [freeze(one, seen[name].signal, efficiency) for one in seen[name].logits]
        for name in approaches
    }
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in approaches}
    nominal: dict[str, tuple[str, Measured]] = {}
    total = len(plan.variations) + len(others)

    def add(told: dict[str, Any], clusters: Clusters, behind: FrontEnd | None) -> None:
        measured = measure(built, frozen, clusters, behind)
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
        add(told, with_resolution(source, one.resolution_ps), one.front_end)
    for label, clusters in others.items():
        add({"kind": "other", "field": None, "value": None, "label": label}, clusters, front_end)
    return [
        {
            "approach": name,
            "networks": [model.origin for model in models],
            "frozen": to_plain(frozen[name]),
            "rows": rows[name],
        }
        for name, models in approaches.items()
    ]


def _generated(sample: Sample) -> Clusters:
    """The whole sample; chunks bound what is in memory beside it."""
    starts = range(0, len(sample), _CHUNK)
    return concatenate([generate(sample, s, min(_CHUNK, len(sample) - s)) for s in starts])
