"""Endings of trainings whose networks are measured exactly: fronts, and the best that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.features import FeatureTable
from pixelsieve.integer.logic import check_exactness
from pixelsieve.metrics.statistics import METRICS, score
from pixelsieve.networks.precision import LearnedPrecision
from pixelsieve.studies.search.goal import Goal, Measured
from pixelsieve.training.run import Kept, Offer, at_budget

_MOST_CHECKED = 20
"""So many networks of a training of bits are measured, evenly along their list by size."""

_TIE_LOSSES = tuple(f"tie_loss_{n}" for n in (90, 95, 98, 99))

_MERITS = ("auc", "rejection_98")
"""A network belongs to the front of `Refined` if no smaller one equals it in one of these."""


@dataclass(frozen=True, slots=True)
class _Exact:
    """A network whose three forms agree; `traced_luts` as `LogicCost` has them."""

    network: Offer
    measured: Measured
    traced_luts: float


@dataclass(frozen=True, slots=True)
class OnFront:
    """The networks that do not dominate each other, by rising cost; the first is the job's."""

    goal: Goal

    def __call__(self, networks: Sequence[Offer], validation: FeatureTable) -> Kept:
        """Return the front of what is exact."""
        found = _some(_evenly(networks), validation)
        best = [found[i] for i in self.goal.front([one.measured for one in found])]
        return best[0].network, _named({f"{i:02d}": one for i, one in enumerate(best)})


@dataclass(frozen=True, slots=True)
class Fitting:
    """For each of `limits`, by name, the best network that costs no more, the smallest if none.

    It is trained further with its bits as they are if that is better. The first is the job's.
    None is no limit. `budget` is the largest cost of interest.
    """

    goal: Goal
    limits: dict[str, float | None]
    budget: float | None

    def __call__(self, networks: Sequence[Offer], validation: FeatureTable) -> Kept:
        """Return the best for each limit."""
        found = _some(_evenly(networks), validation)
        least = min(self._cost(one) for one in found)
        if self.budget is not None and least > self.budget:
            msg = (
                f"the smallest of its networks costs {least:.1f} {self.goal.cost}, over the budget"
            )
            raise DataError(msg)
        kept = {}
        for name, limit in self.limits.items():
            most = None if limit is None else max(limit, least)
            chosen = self._best(found, most)
            kept[name] = self._best([chosen, *_further([chosen], validation)], most)
        return next(iter(kept.values())).network, _named(kept)

    def _best(self, found: Sequence[_Exact], most: float | None) -> _Exact:
        able = [one for one in found if most is None or self._cost(one) <= most]
        return max(able, key=lambda one: (self.goal.merit(one.measured), -self._cost(one)))

    def _cost(self, one: _Exact) -> float:
        return self.goal.point(one.measured)[1]


@dataclass(frozen=True, slots=True)
class Refined:
    """The networks of at most `largest_ebops` on a front, and what becomes of them, largest first.

    Those that no smaller one equals in AUC or in rejection are trained further with their bits as
    they are, and what is then on the front is kept, as `NAME_00`, `NAME_01`, ...; the job's is the
    best at the budget.
    """

    name: str
    precision: LearnedPrecision
    largest_ebops: float

    def __call__(self, networks: Sequence[Offer], validation: FeatureTable) -> Kept:
        """Return the front after further training."""
        small = [one for one in networks if (one.ebops or 0.0) <= self.largest_ebops]
        if not small:
            least = min(one.ebops or 0.0 for one in networks)
            msg = (
                f"--refine {self.largest_ebops:g}: no network of so few EBOPs, the smallest has "
                f"{least:.0f}; give more, or a smaller budget"
            )
            raise ConfigError(msg)
        found = _some(small, validation)
        kept = _traced_front([*found, *_further(_traced_front(found), validation)])
        kept.sort(key=lambda one: -one.measured.luts)
        named = {f"{self.name}_{i:02d}": one for i, one in enumerate(kept)}
        return at_budget([one.network for one in kept], self.precision, "auc"), _named(named)


def _named(found: dict[str, _Exact]) -> dict[str, tuple[Offer, dict[str, int | float] | None]]:
    return {name: (one.network, to_plain(one.measured)) for name, one in found.items()}


def _evenly(networks: Sequence[Offer]) -> list[Offer]:
    count = min(len(networks), _MOST_CHECKED)
    return [
        networks[i] for i in np.unique(np.linspace(0, len(networks) - 1, count).round()).astype(int)
    ]


def _some(networks: Sequence[Offer], validation: FeatureTable) -> list[_Exact]:
    found, reasons = _exact(networks, validation)
    if not found:
        raise DataError(reasons[0])
    return found


def _further(found: Sequence[_Exact], validation: FeatureTable) -> list[_Exact]:
    """Return the exact ones of what `found` become, trained further."""
    further: list[Offer] = []
    for one in found:
        try:
            further += one.network.refine()
        except DataError:  # diverged
            continue
    return _exact(further, validation)[0]


def _exact(networks: Sequence[Offer], validation: FeatureTable) -> tuple[list[_Exact], list[str]]:
    """Return those that are exact, and why the others are not."""
    found, reasons = [], []
    for network in networks:
        try:
            checked = check_exactness(network.model, validation)
        except ConfigError as error:  # the same logit for every input
            reasons.append(str(error))
            continue
        figures = score(checked.logits, validation.labels)
        differing = max(checked.keras, checked.alkaid)
        if differing:
            reasons.append(f"not exact: the logits of {differing} clusters differ")
            continue
        measured = Measured(
            **{name: figures[name] for name in METRICS},
            **{name: figures[name] for name in _TIE_LOSSES},
            luts=checked.cost.luts,
            levels=checked.cost.levels,
            ebops=checked.cost.ebops,
            differing=differing,
        )
        found.append(_Exact(network, measured, checked.cost.traced_luts))
    return found, reasons


def _traced_front(found: Sequence[_Exact]) -> list[_Exact]:
    """Return those that no smaller one equals or beats in a merit, in their order."""
    kept: set[int] = set()
    for merit in _MERITS:
        best = -np.inf
        for one in sorted(found, key=lambda one: (one.traced_luts, -one.measured[merit])):
            if one.measured[merit] > best:
                best = one.measured[merit]
                kept.add(id(one))
    return [one for one in found if id(one) in kept]
