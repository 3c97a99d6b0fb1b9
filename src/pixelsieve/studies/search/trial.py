"""One trial of a search, as a worker runs it: train, measure in integers, stop if hopeless."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import fingerprint, to_plain
from pixelsieve.core.errors import ConfigError, DataError
from pixelsieve.core.processes import scratch_folder
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.integer.exactness import Exactness, check_exactness
from pixelsieve.metrics.metrics import roc_auc
from pixelsieve.metrics.pareto import dominated_beyond
from pixelsieve.metrics.statistics import METRICS, score
from pixelsieve.networks.model_file import Model, load_model, save_model
from pixelsieve.networks.precision import LearnedPrecision, Precision
from pixelsieve.networks.spec import NetworkSpec
from pixelsieve.networks.weights import initial_weights
from pixelsieve.studies.search.goal import Goal, Measured
from pixelsieve.training.candidates import Candidate as BitsCandidate
from pixelsieve.training.engine import Monitor, Rows
from pixelsieve.training.job import Job, TrainingData, run_job
from pixelsieve.training.learned import refine_learned, train_learned
from pixelsieve.training.recipe import REFINED, Recipe, override

__all__ = [
    "BitsTrainer",
    "LearnedNetwork",
    "NoNetworkError",
    "SearchData",
    "Trainer",
    "Trial",
    "TrialResult",
    "file_of",
    "run_trial",
]

_MOST_CHECKED = 20
"""So many networks of a training of bits are measured, evenly along their list by size."""


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


def _not_exact(measured: Measured) -> str:
    return f"not exact: the logits of {measured.differing} clusters differ"


class NoNetworkError(Exception):
    """The training gave no network that can be measured."""


class Trainer:
    """Trains in a temporary folder: the float network once, where a recipe needs it."""

    def __init__(
        self, data: SearchData, spec: NetworkSpec, float_recipe: Recipe, mirror_x: bool, seed: int
    ) -> None:
        self._spec = spec
        self._seed = seed
        self._data = data.part(spec, mirror_x)
        self._float = Job(spec, None, float_recipe, seed)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._folder = self._stack.enter_context(scratch_folder())
        for name in ("models", "jobs"):
            (self._folder / name).mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def quantized(self, precision: Precision, recipe: Recipe) -> tuple[Measured, bytes]:
        """Train one quantized network; its figures and its file.

        Raises `NoNetworkError` where it diverges, always says the same, or is not exact.
        """
        folder = self._folder
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
            raise NoNetworkError(str(error)) from error
        measured = _measured(checked, self._data.validation.labels)
        if measured.differing:
            raise NoNetworkError(_not_exact(measured))
        return measured, path.read_bytes()


@dataclass(frozen=True, slots=True)
class LearnedNetwork:
    """An exact network of a training of bits."""

    measured: Measured
    model: Model
    candidate: BitsCandidate


@dataclass(frozen=True, slots=True)
class BitsTrainer:
    """Trains weights and bits of one network with one seed."""

    data: TrainingData
    spec: NetworkSpec
    precision: LearnedPrecision
    recipe: Recipe
    seed: int
    goal: Goal

    def networks(self) -> list[LearnedNetwork]:
        """The exact ones of the networks on the way down to the budget, largest first.

        Raises `NoNetworkError` where there is none.
        """
        start = initial_weights(self.spec, self.seed)
        try:
            candidates, _ = train_learned(
                self.spec,
                self.precision,
                self.recipe,
                start,
                Rows(self.data.training, self.data.validation),
                seed=self.seed,
                monitors=self._monitors(),
            )
        except (DataError, ConfigError) as error:
            raise NoNetworkError(str(error)) from error
        count = min(len(candidates), _MOST_CHECKED)
        chosen = np.unique(np.linspace(0, len(candidates) - 1, count).round().astype(int))
        found, reasons = self._exact([candidates[i] for i in chosen])
        if not found:
            raise NoNetworkError(reasons[0])
        return found

    def refined(self, network: LearnedNetwork) -> list[LearnedNetwork]:
        """The network trained further with its bits as they are, where that is exact."""
        try:
            candidates = refine_learned(
                self.spec,
                self.precision,
                override(REFINED, batch_size=self.recipe.batch_size),
                network.candidate,
                Rows(self.data.training, self.data.validation),
                seed=self.seed,
                monitors=self._monitors(),
            )
        except DataError:  # diverged
            return []
        return self._exact(candidates)[0]

    def _monitors(self) -> dict[str, Monitor]:
        metric = self.goal.metric
        return {metric: lambda logits, labels: score(logits, labels)[metric]}

    def _exact(self, candidates: Sequence[BitsCandidate]) -> tuple[list[LearnedNetwork], list[str]]:
        """Those that are exact, and why the others are not."""
        card = {"recipe": to_plain(self.recipe), "seed": self.seed}
        card |= {"learned": to_plain(self.precision)}
        card |= {k: to_plain(getattr(self.data, k)) for k in ("front_end", "detector")}
        validation = self.data.validation
        found, reasons = [], []
        for candidate in candidates:
            model = candidate.model(self.spec, self.data.training.features, card)
            try:
                measured = _measured(check_exactness(model, validation), validation.labels)
            except ConfigError as error:
                reasons.append(str(error))
                continue
            if measured.differing:
                reasons.append(_not_exact(measured))
            else:
                found.append(LearnedNetwork(measured, model, candidate))
        return found, reasons


def _measured(checked: Exactness, labels: NDArray[np.float32]) -> Measured:
    figures = score(checked.logits, labels)
    return Measured(
        **{name: figures[name] for name in METRICS},
        **{name: value for name, value in figures.items() if name.startswith("tie_loss_")},
        luts=checked.cost.luts,
        levels=checked.cost.levels,
        ebops=checked.cost.ebops,
        differing=max(checked.keras, checked.alkaid),
    )


def file_of(model: Model) -> bytes:
    """The bytes of the model's `.keras` file."""
    with scratch_folder() as folder:
        path = folder / "model.keras"
        save_model(path, model)
        return path.read_bytes()


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
