"""Figures of merit of a saved model on one part of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pixelsieve.clusters import concatenate
from pixelsieve.config import to_plain
from pixelsieve.errors import DataError
from pixelsieve.evaluation.scores import bootstrap, score
from pixelsieve.formats.dataset import Parts
from pixelsieve.model_file import Model
from pixelsieve.splits import SPLIT_NAMES, Splits
from pixelsieve.studies.trained import constants_that_differ

__all__ = ["evaluate_model", "only", "settings_that_differ"]


def only(parts: Parts, split: str) -> Parts:
    """That split alone; `all` joins whatever is there.

    Other splits need not be there; where all three are, they must share no particle group.
    Raises `DataError` where the split is not there.
    """
    if split == "all":
        tables = list(parts.parts.values())
        origins = dict.fromkeys(c.origin.removesuffix(f" [{n}]") for n, c in parts.parts.items())
        return replace(parts, parts={"all": concatenate(tables, ", ".join(origins))})
    if len(parts.parts) == len(SPLIT_NAMES):
        Splits(*(parts.parts[name] for name in SPLIT_NAMES))
    if split not in parts.parts:
        there = ", ".join(parts.parts)
        msg = (
            f"{next(iter(parts.parts.values())).origin}: no {split} split (by {parts.split_by}: "
            f"{there}); choose --split, or --split all for every cluster"
        )
        raise DataError(msg)
    return replace(parts, parts={split: parts.parts[split]})


def settings_that_differ(model: Model, front_end: Mapping[str, Any] | None) -> list[str]:
    """Settings of the front end, as `Parts.front_end` has them, that the training did not have."""
    trained, now = model.card.get("front_end"), front_end["settings"] if front_end else None
    if trained is None or now is None:
        return [] if trained == now else ["front end" if trained is None else "no front end"]
    keys = [k for k in {**trained, **now} if trained.get(k) != now.get(k)]
    return [f"{key} {now.get(key)} (in training {trained.get(key)})" for key in keys]


def evaluate_model(model: Model, part: Parts) -> dict[str, Any]:
    """Figures of merit with bootstrap intervals, on clusters of one part, as plain data.

    `efficiency` and rejection are of the clusters that are read out; `front_end` counts the rest.
    """
    ((split, clusters),) = part.parts.items()
    clusters.require_both_classes()
    logits = model.logits(model.features.table(clusters))
    return {
        "model": model.origin,
        "split": split,
        "split_by": part.split_by,
        "clusters": {"signal": clusters.n_signal, "bib": len(clusters) - clusters.n_signal},
        "front_end": to_plain(part.front_end),
        "front_end_differs": settings_that_differ(model, part.front_end),
        "detector_differs": constants_that_differ(model, clusters.detector),
        "figures": score(logits, clusters.signal),
        "bootstrap_68": to_plain(bootstrap([logits], clusters.signal, clusters.groups())),
    }
