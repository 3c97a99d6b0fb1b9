"""One trial of a search, as a worker runs it: train, measure in integers, stop if hopeless."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pixelsieve.core.config import fingerprint, from_mapping
from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.core.processes import scratch_folder
from pixelsieve.core.runs import RunFolder
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.metrics.metrics import dominated_beyond, roc_auc
from pixelsieve.metrics.statistics import score
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.studies.endings import Fitting, OnFront
from pixelsieve.studies.search.goal import Goal, Measured
from pixelsieve.training.engine import Monitor
from pixelsieve.training.job import Job, TrainingData
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.run import run_job


@dataclass(frozen=True, slots=True)
class SearchData:
    """The data of each worker: all features that any network takes, as they are and mirrored.

    `folder` is that of the run, for the final training.
    """

    folder: Path
    plain: TrainingData
    mirrored: TrainingData

    def part(self, spec: NetworkSpec, mirror_x: bool) -> TrainingData:
        """Return the inputs of one network, in its order."""
        whole = self.mirrored if mirror_x else self.plain
        features = FeatureSet(spec.features, mirror_x, window=spec.window)

        def part(table: FeatureTable) -> FeatureTable:
            return FeatureTable(
                features, {n: table.inputs[n] for n in features.names}, table.labels
            )

        return replace(
            whole,
            training=part(whole.training),
            validation=part(whole.validation),
            fingerprint=fingerprint([whole.fingerprint, features.fingerprint]),
        )


def train_exactly(
    job: Job, float_job: Job, data: TrainingData, folder: Path, ending: OnFront | Fitting
) -> dict[str, Measured] | str:
    """Train a job in `folder`, and the float network that it starts from, if any.

    Returns the figures of the exact networks that `ending` keeps, by name, or why there is none:
    diverged, the same logit for every input, not exact, over the budget.
    """
    monitors: dict[str, Monitor] = {"auc": roc_auc}
    if job.recipe.learns_bits:
        metric = ending.goal.metric
        monitors = {metric: lambda logits, labels: score(logits, labels)[metric]}
    try:
        if job.recipe.needs_float:
            job = replace(job, source=float_job.name)
            run_job(float_job, folder, data, monitors)
        result = run_job(job, folder, data, monitors, ending=ending)
    except (DataError, ConfigError) as error:
        return str(error)
    where = str(RunFolder(folder).job(job.name))
    return {one.model: from_mapping(Measured, one.exact, where) for one in result.networks}


_OVER_BUDGET = 2.0
"""A trial stops early if its first, short training costs this many budgets."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial to run by a worker.

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
    """The end of a trial; `reason` says why it stopped or failed.

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
    """Run one trial in a temporary folder; its result, and the `.keras` files of its networks."""
    part = data.part(trial.spec, trial.mirror_x)
    float_job = Job(trial.spec, None, trial.float_recipe, trial.seed)
    with scratch_folder() as folder:
        RunFolder(folder).make()

        def trained(recipe: Recipe) -> dict[str, Measured] | str:
            job = Job(trial.spec, trial.precision, recipe, trial.seed)
            return train_exactly(job, float_job, part, folder, OnFront(trial.goal))

        first: Measured | None = None
        if trial.first_epochs and not trial.recipe.learns_bits:
            short = trained(replace(trial.recipe, name="short", epochs=trial.first_epochs))
            if isinstance(short, str):
                return TrialResult("failed", short), []
            (first,) = short.values()
            if reason := _hopeless(first, trial):
                return TrialResult("stopped", reason, first), []
        found = trained(trial.recipe)
        if isinstance(found, str):
            return TrialResult("failed", found, first), []
        files = [RunFolder(folder).model(name).read_bytes() for name in found]
        return TrialResult("complete", None, first, tuple(found.values())), files


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
