"""Figures of merit of a saved model on one part of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import differences, to_plain
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
from pixelsieve.formats.dataset import Dataset
from pixelsieve.front_end import FrontEnd, FrontEndSummary
from pixelsieve.metrics.metrics import EFFICIENCY, rejection_at
from pixelsieve.metrics.statistics import Interval, Metrics, bootstrap, score
from pixelsieve.networks.model_file import Model, require_same_keras


def only(dataset: Dataset, split: str) -> Dataset:
    """Return that split alone; `all` joins whatever is there.

    Other splits need not be there, nor hold both classes; those that are share no particle group.
    Raise `DataError` if one does, or the split is not there.
    """
    parts = dataset.parts
    if split == "all":
        origins = dict.fromkeys(c.origin.removesuffix(f" [{n}]") for n, c in parts.items())
        return dataset.with_parts({"all": concatenate([*parts.values()], ", ".join(origins))})
    require_disjoint(parts)
    if split not in parts:
        msg = (
            f"{next(iter(parts.values())).origin}: no {split} split (by {dataset.split_by}: "
            f"{', '.join(parts)}); choose --split, or --split all for every cluster"
        )
        raise DataError(msg)
    return dataset.with_parts({split: parts[split]})


def settings_that_differ(model: Model, front_end: FrontEnd | None) -> list[str]:
    """Return the settings of the front end that the training did not have."""
    trained, now = to_plain(model.card.front_end), to_plain(front_end)
    if trained is None or now is None:
        return [] if trained == now else ["front end" if trained is None else "no front end"]
    keys = [k for k in {**trained, **now} if trained.get(k) != now.get(k)]
    return [f"{key} {now.get(key)} (in training {trained.get(key)})" for key in keys]


def constants_that_differ(model: Model, detector: Detector) -> list[str]:
    """Return what the training's detector had otherwise; nothing for models that name none."""
    trained = model.card.detector
    found = differences(detector, trained) if trained else {}
    return [f"{key} {now} (in training {then})" for key, (now, then) in found.items()]


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
    front_end: FrontEndSummary | None
    front_end_differs: tuple[str, ...]
    detector_differs: tuple[str, ...]
    figures: Metrics
    bootstrap_68: dict[str, Interval]
    occupancy: Occupancy | None
    data_rate: tuple[Rate, ...]
    slices: tuple[Slice, ...]


def evaluate_model(
    model: Model,
    part: Dataset,
    occupancy: Occupancy | None = None,
    logits: NDArray[np.float32] | None = None,
) -> Evaluation:
    """Evaluate a model on the clusters of one part, with bootstrap intervals.

    `logits` are the model's, if they are known. Raise `RunError` if the model's file holds another
    network for Keras than for us.
    """
    ((split, clusters),) = part.parts.items()
    clusters.require_both_classes()
    require_same_keras(model)
    if logits is None:
        logits = model.logits(model.features.table(clusters))
    _, _, threshold = rejection_at(logits, clusters.signal, EFFICIENCY)
    bib = part.counts[split]["bib"]
    read_out = bib.read_out / bib.collected
    return Evaluation(
        model=model.origin,
        split=split,
        split_by=part.split_by,
        clusters={"signal": clusters.n_signal, "bib": len(clusters) - clusters.n_signal},
        front_end=part.summary,
        front_end_differs=tuple(settings_that_differ(model, part.front_end)),
        detector_differs=tuple(constants_that_differ(model, clusters.detector)),
        figures=score(logits, clusters.signal),
        bootstrap_68=bootstrap([logits], clusters.signal, clusters.groups()),
        occupancy=occupancy,
        data_rate=tuple(data_rates(logits, clusters, occupancy, read_out=read_out)),
        slices=tuple(slices(logits >= threshold, clusters)),
    )
