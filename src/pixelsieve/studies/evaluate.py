"""Figures of merit of a saved model on one part of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.data.clusters import concatenate
from pixelsieve.data.detector import Detector
from pixelsieve.data.splits import require_disjoint
from pixelsieve.evaluation.data_rate import (
    OCCUPANCIES,
    Occupancy,
    Rate,
    Slice,
    data_rates,
    slices,
)
from pixelsieve.formats.dataset import Parts
from pixelsieve.metrics.metrics import EFFICIENCY, rejection_at
from pixelsieve.metrics.statistics import Interval, Metrics, bootstrap, score
from pixelsieve.networks.model_file import Model, require_same_keras
from pixelsieve.studies.models import constants_that_differ

__all__ = ["Evaluation", "evaluate_model", "occupancy_of", "only", "settings_that_differ"]


def only(parts: Parts, split: str) -> Parts:
    """Return that split alone; `all` joins whatever is there.

    Other splits need not be there, nor hold both classes; those that are share no particle group.
    Raise `DataError` if one does, or the split is not there.
    """
    if split == "all":
        tables = list(parts.parts.values())
        origins = dict.fromkeys(c.origin.removesuffix(f" [{n}]") for n, c in parts.parts.items())
        return replace(parts, parts={"all": concatenate(tables, ", ".join(origins))})
    require_disjoint(parts.parts)
    if split not in parts.parts:
        there = ", ".join(parts.parts)
        msg = (
            f"{next(iter(parts.parts.values())).origin}: no {split} split (by {parts.split_by}: "
            f"{there}); choose --split, or --split all for every cluster"
        )
        raise DataError(msg)
    return replace(parts, parts={split: parts.parts[split]})


def settings_that_differ(model: Model, front_end: Mapping[str, Any] | None) -> list[str]:
    """Return settings of the front end, as in `Parts.front_end`, that the training did not have."""
    own, now = model.card.front_end, front_end["settings"] if front_end else None
    if own is None or now is None:
        return [] if own == now else ["front end" if own is None else "no front end"]
    trained = to_plain(own)
    keys = [k for k in {**trained, **now} if trained.get(k) != now.get(k)]
    return [f"{key} {now.get(key)} (in training {trained.get(key)})" for key in keys]


def occupancy_of(
    detector: Detector, clusters_per_cm2: float | None, bits_per_pixel: float | None
) -> Occupancy | None:
    """Return the detector's preset with what is given in its place; None if that is not enough."""
    preset = OCCUPANCIES.get(detector.name)
    if preset is None:
        if clusters_per_cm2 is None and bits_per_pixel is None:
            return None
        known = ", ".join(OCCUPANCIES)
        msg = (
            f"--hit-density and --bits-per-pixel: detector '{detector.name}' has no preset of "
            f"crossings; known: {known}"
        )
        raise ConfigError(msg)
    return Occupancy(
        preset.clusters_per_cm2 if clusters_per_cm2 is None else clusters_per_cm2,
        preset.crossings_per_s,
        preset.bits_per_pixel if bits_per_pixel is None else bits_per_pixel,
    )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of merit of a model on the clusters of one part that are read out.

    `clusters` are counted by class, `front_end` counts those that are not read out; `..._differs`
    are settings that the training did not have. `bootstrap_68` are intervals of the `figures`;
    `data_rate` and `slices` (at 98 % signal efficiency) have thresholds from these clusters.
    """

    model: str
    split: str
    split_by: str
    clusters: dict[str, int]
    front_end: Mapping[str, Any] | None
    front_end_differs: tuple[str, ...]
    detector_differs: tuple[str, ...]
    figures: Metrics
    bootstrap_68: dict[str, Interval]
    occupancy: Occupancy | None
    data_rate: tuple[Rate, ...]
    slices: tuple[Slice, ...]


def evaluate_model(model: Model, part: Parts, occupancy: Occupancy | None = None) -> Evaluation:
    """Evaluate a model on the clusters of one part, with bootstrap intervals.

    Raise `RunError` if the model's file holds another network for Keras than for us.
    """
    ((split, clusters),) = part.parts.items()
    clusters.require_both_classes()
    require_same_keras(model)
    logits = model.logits(model.features.table(clusters))
    _, _, threshold = rejection_at(logits, clusters.signal, EFFICIENCY)
    read_out = _bib_read_out(part, split)
    return Evaluation(
        model=model.origin,
        split=split,
        split_by=part.split_by,
        clusters={"signal": clusters.n_signal, "bib": len(clusters) - clusters.n_signal},
        front_end=part.front_end,
        front_end_differs=tuple(settings_that_differ(model, part.front_end)),
        detector_differs=tuple(constants_that_differ(model, clusters.detector)),
        figures=score(logits, clusters.signal),
        bootstrap_68=bootstrap([logits], clusters.signal, clusters.groups()),
        occupancy=occupancy,
        data_rate=tuple(data_rates(logits, clusters, occupancy, read_out=read_out)),
        slices=tuple(slices(logits >= threshold, clusters)),
    )


def _bib_read_out(part: Parts, split: str) -> float:
    """Return the fraction of the BIB clusters that the front end reads out."""
    if part.front_end is None:
        return 1.0
    counts = part.front_end["clusters"][split]["bib"]
    return float(counts["read_out"] / counts["collected"])
