"""The threshold of the keep bit, and figures of merit at one that stays where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError
from pixelsieve.metrics.metrics import (
    EFFICIENCY,
    auc_of,
    rank,
    rejection_at,
    rejection_of,
    roc_auc,
)

FIGURES = ("signal_efficiency", "rejection", "rejection_reset", "auc")
"""At the frozen threshold the first two; at one set again for the same efficiency the third."""

_CHUNK = 25

Values = dict[str, NDArray[np.float64]]
Figures = Mapping[str, float | None]
"""A number by the names of `FIGURES`; None if a class that it needs has no cluster."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold on the logit, and what it does on the split that it was chosen on."""

    threshold: float
    efficiency: float
    validation_efficiency: float
    validation_rejection: float

    @property
    def code(self) -> int:
        """The threshold of an integer program, whose logits are codes."""
        return int(self.threshold)


def choose_threshold(
    logits: NDArray[Any], signal: NDArray[Any], efficiency: float = EFFICIENCY
) -> Threshold:
    """Return the largest threshold that keeps `efficiency` of the signal; equal logits are kept.

    Raise `ConfigError` for an efficiency out of range and `DataError` without both classes.
    """
    if not 0 < efficiency <= 1:
        msg = f"--efficiency is {efficiency:g}; expected a fraction above 0, at most 1"
        raise ConfigError(msg)
    rejection, achieved, threshold = rejection_at(logits, signal, efficiency)
    return Threshold(threshold, efficiency, achieved, rejection)


@dataclass(frozen=True, slots=True)
class Seen:
    """Clusters that are read out, as some networks see them.

    `logits` are (n,) per network, `signal` (n,) the labels, `groups` (n,) the index of each
    cluster's particle group among all that were collected.
    """

    logits: tuple[NDArray[Any], ...]
    signal: NDArray[np.bool_]
    groups: NDArray[np.intp]


def figures_at(
    logits: NDArray[Any], signal: NDArray[np.bool_], frozen: Threshold
) -> dict[str, float | None]:
    """Return the `FIGURES` of one network."""
    kept = logits >= frozen.threshold
    found: dict[str, float | None] = dict.fromkeys(FIGURES)
    if signal.any():
        found["signal_efficiency"] = float(kept[signal].mean())
    if not signal.all():
        found["rejection"] = float(1 - kept[~signal].mean())
    if signal.any() and not signal.all():
        found["rejection_reset"] = rejection_at(logits, signal, frozen.efficiency)[0]
        found["auc"] = roc_auc(logits, signal)
    return found


def draw_groups(n_groups: int, resamples: int = 200, seed: int = 0) -> NDArray[np.uint16]:
    """Return how often each particle group is drawn, (resamples, groups), with replacement."""
    shares = np.full(n_groups, 1 / n_groups)
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_groups, shares, size=resamples).astype(np.uint16)


def resampled(seen: Seen, frozen: Sequence[Threshold], draws: NDArray[np.uint16]) -> Values:
    """Return `FIGURES` on each of the `draws`, mean over networks; NaN if a class is missing.

    Two calls with the same draws are paired: what both share cancels in their difference.
    """
    signal = seen.signal
    if signal.all() or not signal.any():
        return {name: np.full(len(draws), np.nan) for name in FIGURES}
    ranked = [rank(one, signal) for one in seen.logits]
    parts: list[Values] = []
    for first in range(0, len(draws), _CHUNK):
        weights = draws[first : first + _CHUNK, seen.groups].astype(np.float64)
        totals = {name: np.zeros(len(weights)) for name in FIGURES}
        for one, its_rank, cut in zip(seen.logits, ranked, frozen, strict=True):
            kept = one >= cut.threshold
            kept_signal, kept_bib = its_rank.kept(weights)
            with np.errstate(invalid="ignore", divide="ignore"):
                share = weights[:, signal & kept].sum(axis=1) / kept_signal[:, -1]
                totals["signal_efficiency"] += share
                of_bib = weights[:, ~signal & kept].sum(axis=1) / kept_bib[:, -1]
                totals["rejection"] += 1 - of_bib
                reset = rejection_of(kept_signal, kept_bib, cut.efficiency)[0]
                totals["rejection_reset"] += np.where(kept_signal[:, -1] > 0, reset, np.nan)
                totals["auc"] += auc_of(kept_signal, kept_bib)
        parts.append({name: total / len(seen.logits) for name, total in totals.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in FIGURES}


def error_of(values: Mapping[str, NDArray[np.float64]]) -> dict[str, float | None]:
    """Return the standard deviation over draws with both classes; None for fewer than two."""
    found: dict[str, float | None] = {}
    for name, one in values.items():
        there = one[np.isfinite(one)]
        found[name] = float(there.std(ddof=1)) if len(there) > 1 else None
    return found
