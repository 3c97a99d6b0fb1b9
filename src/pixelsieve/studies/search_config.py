"""`SearchConfig`: what a search is for, and all that decides its result."""

from __future__ import annotations

from dataclasses import dataclass

from pixelsieve.errors import ConfigError, nearest
from pixelsieve.evaluation.scores import METRICS
from pixelsieve.networks import network
from pixelsieve.studies.final_training import Uniform
from pixelsieve.studies.search_goal import COSTS, Goal
from pixelsieve.studies.search_space import SearchSpace
from pixelsieve.training.recipe import RECIPES, Recipe

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
        if self.budget is not None and not self.budget > 0:
            msg = f"budget is {self.budget:g}; expected above 0"
            raise ConfigError(msg)
        for one in self.uniform():  # unknown networks and bits
            del one

    @property
    def goal(self) -> Goal:
        """The objectives."""
        cost = next(c for c in COSTS if c == self.cost)
        return Goal(self.metric, cost, self.margin, self.budget)

    def uniform(self) -> list[Uniform]:
        """The networks of the zoo to compare with."""
        return [
            Uniform(name, network(name, self.time_feature), self.reference_bits)
            for name in self.references
        ]
