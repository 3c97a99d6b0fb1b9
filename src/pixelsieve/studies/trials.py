"""One trial of a search, as a worker runs it: train, measure in integers, stop where hopeless."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pixelsieve.evaluation.pareto import dominated_beyond
from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import LearnedPrecision, Precision
from pixelsieve.studies.network_training import (
    BitsTrainer,
    NoNetworkError,
    SearchData,
    Trainer,
    file_of,
)
from pixelsieve.studies.search_goal import Goal, Measured
from pixelsieve.training.recipe import Recipe

__all__ = ["Trial", "TrialResult", "run_trial"]


_OVER_BUDGET = 2.0
"""A trial stops early where its first, short training costs this many budgets."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a worker needs to run one trial.

    `first_epochs` are those of the first, short training, 0 for none; `rivals` are what earlier
    generations reached after theirs, (quality, cost). Learned bits have no short training.
    """

    spec: NetworkSpec
    precision: Precision | LearnedPrecision
    recipe: Recipe
    float_recipe: Recipe
    mirror_x: bool
    seed: int
    goal: Goal
    first_epochs: int
    rivals: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended; `reason` says why it stopped or failed.

    `first` is measured after the first, short training, `networks` at the end: one of uniform
    bits, or those of a training of bits that do not dominate each other, by rising cost. Only a
    complete trial has any, and all of them are exact.
    """

    state: Literal["complete", "stopped", "failed"]
    reason: str | None = None
    first: Measured | None = None
    networks: tuple[Measured, ...] = ()


def run_trial(
    data: SearchData, trial: Trial, _report: Callable[[Any], None]
) -> tuple[TrialResult, list[bytes]]:
    """Run one trial; its result, and the `.keras` files of its networks."""
    first: Measured | None = None
    try:
        if isinstance(trial.precision, LearnedPrecision):
            part = data.part(trial.spec, trial.mirror_x)
            found = BitsTrainer(
                part, trial.spec, trial.precision, trial.recipe, trial.seed, trial.goal
            ).networks()
            best = [found[i] for i in trial.goal.front([one.measured for one in found])]
            models = [file_of(one.model) for one in best]
            return TrialResult("complete", networks=tuple(one.measured for one in best)), models
        with Trainer(data, trial.spec, trial.float_recipe, trial.mirror_x, trial.seed) as trainer:
            if trial.first_epochs:
                short = replace(trial.recipe, name="short", epochs=trial.first_epochs)
                first, _ = trainer.quantized(trial.precision, short)
                reason = _hopeless(first, trial)
                if reason:
                    return TrialResult("stopped", reason, first), []
            measured, model = trainer.quantized(trial.precision, trial.recipe)
            return TrialResult("complete", None, first, (measured,)), [model]
    except NoNetworkError as error:
        return TrialResult("failed", str(error), first), []


def _hopeless(first: Measured, trial: Trial) -> str | None:
    goal = trial.goal
    quality, cost = goal.point(first)
    if goal.budget is not None and cost > _OVER_BUDGET * goal.budget:
        return f"over {_OVER_BUDGET:g} budgets after {trial.first_epochs} epochs"
    others: Sequence[float] = [q for q, _ in trial.rivals]
    costs: Sequence[float] = [c for _, c in trial.rivals]
    if dominated_beyond(goal.margin, quality, cost, others, costs):
        return f"dominated by more than {goal.margin:g} after {trial.first_epochs} epochs"
    return None
