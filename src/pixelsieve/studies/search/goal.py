"""The goal of a search: more of a figure of merit at less cost, and all that decides its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, get_args

import numpy as np

from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.metrics.metrics import EFFICIENCY, LARGEST_TIE_LOSS, hypervolume, on_front
from pixelsieve.metrics.statistics import METRICS
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import NetworkSpec, network
from pixelsieve.studies.search.space import SearchSpace
from pixelsieve.training.recipe import RECIPES, Recipe, override

Cost = Literal["luts", "ebops", "levels"]
"""Costs to make small: LUTs by alkaid's estimate, effective bit operations, levels of adders."""

COSTS: tuple[Cost, ...] = get_args(Cost)

_COST_RANGE = (1.0, 2.0**20)
_CHANCE = {"accuracy": 0.5, "auc": 0.5}


@dataclass(frozen=True, slots=True)
class Measured:
    """A quantized network on the validation split, by the logits of its integer program.

    `luts`, `levels` and `ebops` as `LogicCost` has them; `differing` clusters have another logit
    in Keras or in alkaid's program; `tie_loss_NN` is what ties cost of `rejection_NN`.
    """

    accuracy: float
    auc: float
    rejection_90: float
    rejection_95: float
    rejection_98: float
    rejection_99: float
    luts: float
    levels: float
    ebops: int
    differing: int
    tie_loss_90: float = 0.0
    tie_loss_95: float = 0.0
    tie_loss_98: float = 0.0
    tie_loss_99: float = 0.0

    def __getitem__(self, name: str) -> float:
        return float(getattr(self, name))


@dataclass(frozen=True, slots=True)
class Goal:
    """The two objectives: more of `metric` on validation, less of `cost`.

    Trials stop early where an earlier one was better by `margin` at no more cost, both after the
    first, short training. `budget` is the largest cost of interest.
    """

    metric: str
    cost: Cost
    margin: float
    budget: float | None

    def point(self, measured: Measured) -> tuple[float, float]:
        """Return quality and cost; a network of no cost at all counts as one of cost 1."""
        return measured[self.metric], max(measured[self.cost], 1.0)

    def merit(self, measured: Measured) -> float:
        """Quality, less what ties cost of the rejection where that is more than 0.01.

        For the choice among networks of one training: one with coarse logits has a rejection that
        other clusters may not bear out, which AUC and accuracy do not tell.
        """
        share = self.metric.removeprefix("rejection_")
        loss = measured[f"tie_loss_{share if share.isdigit() else f'{100 * EFFICIENCY:.0f}'}"]
        return measured[self.metric] - (loss if loss > LARGEST_TIE_LOSS else 0.0)

    def volume(self, networks: Sequence[Measured]) -> float:
        """Hypervolume of their front, 0 to 1.

        The box reaches from chance to a quality of 1 and from a cost of 1 to about a million.
        """
        points = np.array([self.point(one) for one in networks]).reshape(-1, 2)
        worst = _CHANCE.get(self.metric, 0.0)
        return hypervolume(points[:, 0], points[:, 1], (worst, 1.0), _COST_RANGE)

    def front(self, networks: Sequence[Measured]) -> list[int]:
        """Which of them no other dominates, by rising cost."""
        points = np.array([self.point(one) for one in networks]).reshape(-1, 2)
        best = np.flatnonzero(on_front(points[:, 0], points[:, 1]))
        return sorted((int(i) for i in best), key=lambda i: (points[i, 1], i))


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """A search to run; together with the data files' hashes it identifies the run.

    A generation of `generation` trials is asked for at once, knowing all earlier ones, so results
    do not depend on how many workers there are. The front is trained again with `seeds` seeds,
    beside `references`, networks of the zoo at each width of `reference_bits`. Raise
    `ConfigError` for objectives that are not known.
    """

    space: SearchSpace
    metric: str = "rejection_98"
    cost: str = "luts"
    budget: float | None = None
    margin: float = 0.02
    generation: int = 10
    seed: int = 0
    seeds: int = 5
    references: tuple[str, ...] = ("model2",)
    reference_bits: tuple[int, ...] = (4,)
    reference_recipe: Recipe = RECIPES["sieve"]
    time_feature: str | None = None

    def __post_init__(self) -> None:
        for what, value, known in (("metric", self.metric, METRICS), ("cost", self.cost, COSTS)):
            if value not in known:
                msg = f"unknown {what} '{value}'{nearest(value, known)}; known: {', '.join(known)}"
                raise ConfigError(msg)
        for name, least in (("generation", 1), ("seed", 0), ("seeds", 1), ("margin", 0)):
            if getattr(self, name) < least:
                msg = f"{name} is {getattr(self, name)}; expected at least {least}"
                raise ConfigError(msg)
        if self.budget is not None and not 0 < self.budget < inf:
            msg = f"budget is {self.budget:g}; expected above 0"
            raise ConfigError(msg)
        for bits in self.reference_bits:
            Precision(bits)  # raises for what cannot be
        names = [name for name, _ in self.uniform()]  # raises for unknown networks
        for name in names:
            if names.count(name) > 1:
                msg = f"reference: two networks are called '{name}'; give each once"
                raise ConfigError(msg)

    @property
    def goal(self) -> Goal:
        """The objectives."""
        cost = next(c for c in COSTS if c == self.cost)
        return Goal(self.metric, cost, self.margin, self.budget)

    def uniform(self) -> list[tuple[str, NetworkSpec]]:
        """Return the networks to compare with, each with its name."""
        return [
            (spec.name if name.endswith(".toml") else name, spec)
            for name, spec in ((n, network(n, self.time_feature)) for n in self.references)
        ]

    @property
    def uniform_recipe(self) -> Recipe:
        """The recipe of the networks of the zoo, with the batches of the space."""
        return override(self.reference_recipe, batch_size=self.space.recipe.batch_size)
