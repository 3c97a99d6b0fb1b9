"""Training of weights and bits under a budget: one training gives networks of many sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConfigError, DataError
from pixelsieve.features import FeatureTable
from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import LearnedPrecision
from pixelsieve.training.candidates import Candidate, Met, Variables, final, meet, thinned
from pixelsieve.training.engine import EpochRecord, Monitor
from pixelsieve.training.learned_program import (
    LearnedProgram,
    Pressure,
    learned_program,
    start_ranges,
    start_variables,
)
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.schedule import learning_rates
from pixelsieve.weights import Weights

__all__ = ["LEARNED", "LEAST_EPOCHS", "REFINED", "refine_learned", "train_learned"]

LEARNED = Recipe(
    "learned",
    epochs=2000,
    initial_rate=8e-3,
    end_rate=8e-4,
    decay="cosine",
    warm_start=False,
)
"""How weights and bits are learned; slow, since bits follow weights only slowly."""

REFINED = Recipe(
    "refined",
    epochs=60,
    initial_rate=1e-3,
    end_rate=1e-6,
    decay="cosine",
    warm_start=False,
)
"""How the weights of a candidate are trained further with its bits as they are."""

_LEAST_HOLD = 2
"""Epochs before the EBOPs go down: those after the last but one of them are where they start."""

LEAST_EPOCHS = _LEAST_HOLD + 1
"""Fewest epochs of a training of bits."""

_FIRST_FACTOR = 1e-6
_NO_FACTOR = 1e-9
_PRUNED = -24.0
"""Bits behind the binary point with which every weight is zero."""


def train_learned(
    spec: NetworkSpec,
    precision: LearnedPrecision,
    recipe: Recipe,
    start: Weights,
    training: FeatureTable,
    validation: FeatureTable,
    *,
    seed: int,
    monitors: Mapping[str, Monitor],
    soft_labels: NDArray[np.float32] | None = None,
    report: Callable[[EpochRecord], None] | None = None,
) -> list[Candidate]:
    """Train weights and bits from `start` and return all sizes worth a look, largest first.

    `seed` decides the order of the rows. A candidate is an epoch that no other beats in EBOPs and
    in every monitor on the validation set (larger is better). `soft_labels` (n,) replace the
    labels of the training set (distillation). `report` gets `epoch`, `train_loss`, `ebops`,
    `pressure` (factor of the cost in the loss) and `validation_<monitor>` of each epoch. Raises
    `DataError` for fewer rows than a batch and where the loss stops being a number, `ConfigError`
    where no network is left under the budget.
    """
    data = _Data.on_device(precision, recipe, training, validation, soft_labels)
    if recipe.epochs < LEAST_EPOCHS:
        msg = f"recipe '{recipe.name}': epochs is {recipe.epochs}; learned bits need {LEAST_EPOCHS}"
        raise ConfigError(msg)
    hold = min(recipe.epochs - 1, max(_LEAST_HOLD, round(precision.hold * recipe.epochs)))
    path = _Path(precision.budget_ebops, hold, recipe.epochs)
    variables = start_variables(spec, precision, start)
    archive: list[Met] = []
    run = _Run(spec, precision, recipe, data, variables, seed)
    for met in run.epochs(path, _FIRST_FACTOR, monitors, report):
        if met.epoch >= hold and met.ebops > 0:
            meet(archive, met)
    if not archive:
        msg = f"budget_ebops {precision.budget_ebops:g}: no network was left of '{spec.name}'"
        raise ConfigError(msg)
    return [final(spec, precision, met, run.extremes) for met in thinned(archive)]


def refine_learned(
    spec: NetworkSpec,
    precision: LearnedPrecision,
    recipe: Recipe,
    candidate: Candidate,
    training: FeatureTable,
    validation: FeatureTable,
    *,
    seed: int,
    monitors: Mapping[str, Monitor],
    soft_labels: NDArray[np.float32] | None = None,
) -> list[Candidate]:
    """Train the weights of `candidate` further, all bits fixed, weights of zero kept at zero.

    Returns the epoch that is best in each monitor. Raises as `train_learned`.
    """
    data = _Data.on_device(precision, recipe, training, validation, soft_labels)
    variables = {name: dict(values) for name, values in candidate.variables.items()}
    for layer, weights in candidate.weights.items():
        for name, values in weights.items():
            own = variables[layer]
            own[f"{name}_bits"] = np.where(values == 0, _PRUNED, own[f"{name}_bits"])
    run = _Run(spec, precision, recipe, data, variables, seed, bits_rate=0.0)
    best: dict[str, Met] = {}
    for met in run.epochs(None, _NO_FACTOR, monitors, None):
        for name, value in met.merits.items():
            if name not in best or value > best[name].merits[name]:
                found: list[Met] = []
                meet(found, met)
                best[name] = found[0]
    several = {met.epoch: met for met in best.values()}
    return [final(spec, precision, met, run.extremes) for met in several.values()]


@dataclass(frozen=True, slots=True)
class _Data:
    """Inputs on their grid and labels, on the device."""

    inputs: dict[str, Any]
    labels: Any
    validation_inputs: dict[str, Any]
    validation_labels: NDArray[Any]
    batches: int

    @classmethod
    def on_device(
        cls,
        precision: LearnedPrecision,
        recipe: Recipe,
        training: FeatureTable,
        validation: FeatureTable,
        soft_labels: NDArray[np.float32] | None,
    ) -> _Data:
        import jax.numpy as jnp

        def moved(table: FeatureTable) -> dict[str, Any]:
            grid = precision.input()
            return {n: jnp.asarray(grid.quantize(v), jnp.float32) for n, v in table.inputs.items()}

        batches = len(training) // recipe.batch_size
        if not batches:
            msg = (
                f"recipe '{recipe.name}': batch_size is {recipe.batch_size}, the training set has "
                f"{len(training)} rows; expected at least one batch"
            )
            raise DataError(msg)
        labels = training.labels if soft_labels is None else soft_labels
        return cls(
            moved(training),
            jnp.asarray(labels, jnp.float32),
            moved(validation),
            validation.labels,
            batches,
        )


@dataclass(frozen=True, slots=True)
class _Path:
    """EBOPs over a training: free until `hold`, then evenly in the logarithm to the budget."""

    budget: float
    hold: int
    epochs: int

    def pressure(self, epoch: int, first: float, batches: int) -> Pressure:
        """That of an epoch, `first` being the EBOPs before the last epoch of the hold."""
        done = (epoch - self.hold + np.arange(1, batches + 1) / batches) / (self.epochs - self.hold)
        targets = log(first) + done * log(self.budget / first)
        follows = np.full(batches, epoch >= self.hold, np.float32)
        return Pressure(targets.astype(np.float32), follows)


class _Run:
    """A training as it goes on, epoch by epoch."""

    def __init__(
        self,
        spec: NetworkSpec,
        precision: LearnedPrecision,
        recipe: Recipe,
        data: _Data,
        variables: Any,
        seed: int,
        *,
        bits_rate: float = 1.0,
    ) -> None:
        import jax
        import jax.numpy as jnp

        self._program: LearnedProgram = learned_program(spec, precision.without_budget())
        self._recipe = recipe
        self._data = data
        self._seed = seed
        self._bits_rate = np.float32(bits_rate)
        self._variables = jax.tree.map(jnp.array, variables)

    def extremes(self, variables: Variables) -> Any:
        """Smallest and largest values on the training set, by feature and layer."""
        return self._program.logits(variables, self._data.inputs)[1]

    def epochs(
        self,
        path: _Path | None,
        factor: float,
        monitors: Mapping[str, Monitor],
        report: Callable[[EpochRecord], None] | None,
    ) -> Iterator[Met]:
        """Train and give what comes out of each epoch; without a path `factor` stays."""
        import jax.numpy as jnp

        recipe, data = self._recipe, self._data
        rates = learning_rates(recipe, data.batches).reshape(recipe.epochs, data.batches)
        clip = np.float32(np.inf if recipe.clip_norm is None else recipe.clip_norm)
        state = self._program.start(self._variables)
        ranges = start_ranges(self._variables)
        log_factor = jnp.asarray(log(factor), jnp.float32)
        first = ebops = 1.0
        for epoch in range(recipe.epochs):
            if path is None or epoch < path.hold:
                pressure = Pressure(*np.zeros((2, data.batches), np.float32))
                first = max(ebops, 1.0)
            else:
                pressure = path.pressure(epoch, first, data.batches)
            *carry, (loss, found) = self._program.epoch(
                self._variables,
                state,
                ranges,
                log_factor,
                data.inputs,
                data.labels,
                self._order(epoch),
                rates[epoch],
                pressure,
                clip,
                self._bits_rate,
            )
            self._variables, state, ranges, log_factor = carry
            ebops = float(found)
            logits = np.asarray(self._program.logits(self._variables, data.validation_inputs)[0])
            if not (np.isfinite(float(loss)) and np.isfinite(logits).all()):
                msg = (
                    f"recipe '{recipe.name}', seed {self._seed}: training diverged in epoch "
                    f"{epoch} (the loss is no number); lower initial_rate or set clip_norm"
                )
                raise DataError(msg)
            merits = {n: float(of(logits, data.validation_labels)) for n, of in monitors.items()}
            if report:
                record = {"epoch": epoch, "train_loss": float(loss), "ebops": ebops}
                record["pressure"] = exp(float(log_factor))
                report(record | {f"validation_{n}": value for n, value in merits.items()})
            yield Met(epoch, ebops, merits, self._variables)

    def _order(self, epoch: int) -> NDArray[np.int32]:
        """Row numbers of an epoch, (batches, batch)."""
        data, size = self._data, self._recipe.batch_size
        rows = np.random.default_rng((self._seed, epoch)).permutation(len(data.labels))
        return rows[: data.batches * size].reshape(data.batches, size).astype(np.int32)
