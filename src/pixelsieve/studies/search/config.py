"""`SearchConfig`: what a search is for, and all that decides its result."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.metrics.statistics import METRICS
from pixelsieve.networks.spec import network
from pixelsieve.studies.search.final import Uniform
from pixelsieve.studies.search.goal import COSTS, Goal
from pixelsieve.studies.search.space import SearchSpace
from pixelsieve.training.recipe import RECIPES, Recipe, override

__all__ = ["SearchConfig"]


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """What to search; together with the data files' hashes it identifies the run.

    A generation of `generation` trials is asked for at once, knowing all earlier ones, so results
    do not depend on how many workers there are. The front is trained again with `seeds` seeds,
    beside `references`, networks of the zoo at each width of `reference_bits`. Raises
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
        names = [one.name for one in self.uniform()]  # raises for unknown networks and bits
        for name in names:
            if names.count(name) > 1:
                msg = f"reference: two networks are called '{name}'; give each once"
                raise ConfigError(msg)

    @property
    def goal(self) -> Goal:
        """The objectives."""
        cost = next(c for c in COSTS if c == self.cost)
        return Goal(self.metric, cost, self.margin, self.budget)

    def uniform(self) -> list[Uniform]:
        """The networks of the zoo to compare with."""
        return [
            Uniform(spec.name if name.endswith(".toml") else name, spec, self.reference_bits)
            for name, spec in ((n, network(n, self.time_feature)) for n in self.references)
        ]

    @property
    def uniform_recipe(self) -> Recipe:
        """The recipe of the networks of the zoo, with the batches of the space."""
        return override(self.reference_recipe, batch_size=self.space.recipe.batch_size)
