"""One trial of a search, as a worker runs it: train, measure in integers, stop where hopeless."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pixelsieve.config import fingerprint
from pixelsieve.errors import ConfigError, DataError
from pixelsieve.evaluation.metrics import roc_auc
from pixelsieve.evaluation.pareto import dominated_beyond
from pixelsieve.evaluation.scores import METRICS, score
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.firmware.exactness import check_exactness
from pixelsieve.model_file import load_model
from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import Precision
from pixelsieve.training.job import Job, TrainingData, run_job
from pixelsieve.training.recipe import Recipe

__all__ = [
    "COSTS",
    "Assignment",
    "Cost",
    "Goal",
    "Measured",
    "SearchData",
    "Trained",
    "Trial",
    "TrialResult",
    "run_trial",
    "train_assignment",
]

Cost = Literal["luts", "ebops", "levels"]
"""What may be made small: LUTs by alkaid's estimate, effective bit operations, levels of adders."""

COSTS: tuple[Cost, ...] = get_args(Cost)

_OVER_BUDGET = 2.0
"""A trial stops early where its first, short training costs this many budgets."""


@dataclass(frozen=True, slots=True)
class SearchData:
    """What each worker holds: all features that any network takes, as they are and mirrored."""

    plain: TrainingData
    mirrored: TrainingData

    def part(self, spec: NetworkSpec, mirror_x: bool) -> TrainingData:
        """The inputs of one network, in its order."""
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


@dataclass(frozen=True, slots=True)
class Measured:
    """A quantized network on the validation split, by the logits of its integer program.

    `luts`, `levels` and `ebops` as `LogicCost` has them; `differing` clusters have another logit
    in Keras or in alkaid's program.
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
        """Quality and cost; a network of no cost at all counts as one of cost 1."""
        return measured[self.metric], max(measured[self.cost], 1.0)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a worker needs to run one trial.

    `first_epochs` are those of the first, short training, 0 for none; `rivals` are what earlier
    generations reached after theirs, (quality, cost).
    """

    spec: NetworkSpec
    precision: Precision
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

    `first` is measured after the first, short training, `measured` at the end. A stopped trial
    has no `measured`, a failed one may have neither.
    """

    state: Literal["complete", "stopped", "failed"]
    reason: str | None = None
    first: Measured | None = None
    measured: Measured | None = None

    @property
    def last(self) -> Measured | None:
        """The latest that was measured."""
        return self.measured or self.first


@dataclass(frozen=True, slots=True)
class Assignment:
    """A float network of one seed, and the quantized ones that start from it."""

    spec: NetworkSpec
    float_recipe: Recipe
    mirror_x: bool
    seed: int
    quantized: tuple[tuple[Precision, Recipe], ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """A network of an `Assignment`: its file, and its figures or why it has none."""

    model: bytes
    measured: Measured | None
    reason: str | None


def run_trial(
    data: SearchData, trial: Trial, _report: Callable[[Any], None]
) -> tuple[TrialResult, bytes]:
    """Run one trial; its result, and the `.keras` file where it is complete."""
    first: Measured | None = None
    with _Trainer(data, trial.spec, trial.float_recipe, trial.mirror_x, trial.seed) as trainer:
        try:
            if trial.first_epochs:
                short = replace(trial.recipe, name="short", epochs=trial.first_epochs)
                first, _ = trainer.quantized(trial.precision, short)
                reason = _hopeless(first, trial)
                if reason:
                    return TrialResult("stopped", reason, first), b""
            measured, model = trainer.quantized(trial.precision, trial.recipe)
        except _NoNetworkError as error:
            return TrialResult("failed", str(error), first), b""
    if measured.differing:
        reason = _not_exact(measured)
        return TrialResult("failed", reason, first, measured), model
    return TrialResult("complete", None, first, measured), model


def train_assignment(
    data: SearchData, one: Assignment, _report: Callable[[Any], None]
) -> list[Trained]:
    """Train all networks of an assignment, in order."""
    results = []
    with _Trainer(data, one.spec, one.float_recipe, one.mirror_x, one.seed) as trainer:
        for precision, recipe in one.quantized:
            try:
                measured, model = trainer.quantized(precision, recipe)
            except _NoNetworkError as error:
                results.append(Trained(b"", None, str(error)))
                continue
            reason = _not_exact(measured) if measured.differing else None
            results.append(Trained(model, measured, reason))
    return results


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


def _not_exact(measured: Measured) -> str:
    return f"not exact: the logits of {measured.differing} clusters differ"


class _NoNetworkError(Exception):
    """The training gave no network that can be measured."""


class _Trainer:
    """Trains in a temporary folder: the float network once, where a recipe needs it."""

    def __init__(
        self, data: SearchData, spec: NetworkSpec, float_recipe: Recipe, mirror_x: bool, seed: int
    ) -> None:
        self._spec = spec
        self._seed = seed
        self._data = data.part(spec, mirror_x)
        self._float = Job(spec, None, float_recipe, seed)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="pixelsieve-")
        for name in ("models", "jobs"):
            (Path(self._folder.name) / name).mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def quantized(self, precision: Precision, recipe: Recipe) -> tuple[Measured, bytes]:
        """Train one quantized network; its figures and its file."""
        folder = Path(self._folder.name)
        job = Job(self._spec, precision, recipe, self._seed)
        monitors = {"auc": roc_auc}
        try:
            if recipe.needs_float:
                job = replace(job, source=self._float.name)
                run_job(self._float, folder, self._data, monitors)
            run_job(job, folder, self._data, monitors)
            path = folder / "models" / f"{job.name}.keras"
            checked = check_exactness(load_model(path), self._data.validation)
        except (DataError, ConfigError) as error:  # diverged, or the same logit for every input
            raise _NoNetworkError(str(error)) from error
        figures = score(checked.logits, self._data.validation.labels)
        measured = Measured(
            **{name: figures[name] for name in METRICS},
            luts=checked.cost.luts,
            levels=checked.cost.levels,
            ebops=checked.cost.ebops,
            differing=max(checked.keras, checked.alkaid),
        )
        return measured, path.read_bytes()
