"""Training of weights and bits under a budget: one training gives networks of many sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.errors import ConfigError, DataError
from pixelsieve.features import FeatureSet, FeatureTable
from pixelsieve.fixed_point import FixedPoint, Overflow, Quantizer, Rounding
from pixelsieve.model_file import Model
from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import LearnedPrecision, MixedPrecision, NamedQuantizer
from pixelsieve.training.engine import EpochRecord, Monitor
from pixelsieve.training.learned_program import (
    DENSE_ONLY,
    INPUTS,
    LearnedProgram,
    Pressure,
    learned_program,
    start_variables,
)
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.schedule import learning_rates
from pixelsieve.weights import Weights

__all__ = ["LEARNED", "Candidate", "train_learned"]

LEARNED = Recipe(
    "learned",
    epochs=1200,
    initial_rate=4e-3,
    end_rate=4e-4,
    decay="cosine",
    warm_start=False,
)
"""How weights and bits are learned; slow, since bits follow weights only slowly."""

_FIRST_FACTOR = 1e-6
_SLICE = 0.05
"""One candidate is kept a monitor and slice of so much in log(EBOPs)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network met on the way down to the budget, its bits final.

    `ebops` and `merits` (monitors on the validation set) are those of training; exact ones come
    from its integers. Ranges are calibrated on the training set.
    """

    epoch: int
    ebops: float
    merits: dict[str, float]
    weights: Weights
    precision: MixedPrecision
    variables: Any = None

    def model(self, spec: NetworkSpec, features: FeatureSet, card: dict[str, Any]) -> Model:
        """A model to save, evaluate and put into firmware."""
        return Model(spec, self.precision, self.weights, features, card)


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
    `DataError` where the loss stops being a number and `ConfigError` where the budget is met by
    networks without any gate only.
    """
    import jax.numpy as jnp

    compiled = learned_program(spec, precision.without_budget())
    grid = precision.input()
    inputs = _on_grid(training, grid)
    validation_inputs = _on_grid(validation, grid)
    labels = jnp.asarray(training.labels if soft_labels is None else soft_labels, jnp.float32)
    variables, ranges = start_variables(spec, precision, start)
    state = compiled.start(variables)
    log_factor = jnp.asarray(log(_FIRST_FACTOR), jnp.float32)
    batches = len(training) // recipe.batch_size
    if not batches:
        msg = f"recipe '{recipe.name}': {len(training)} rows; expected at least batch_size rows"
        raise DataError(msg)
    rates = learning_rates(recipe, batches).reshape(recipe.epochs, batches)
    hold = min(recipe.epochs - 1, max(1, round(precision.hold * recipe.epochs)))
    clip = np.float32(np.inf if recipe.clip_norm is None else recipe.clip_norm)
    archive: list[_Met] = []
    first = ebops = 0.0
    for epoch in range(recipe.epochs):
        order = np.random.default_rng((seed, epoch)).permutation(len(training))
        order = order[: batches * recipe.batch_size].reshape(batches, recipe.batch_size)
        if epoch == hold:
            first = max(float(ebops), 1.0)
        steps = (epoch - hold + np.arange(1, batches + 1) / batches) / (recipe.epochs - hold)
        targets = log(max(first, 1.0)) + steps * log(precision.budget_ebops / max(first, 1.0))
        pressure = Pressure(targets.astype(np.float32), np.full(batches, epoch >= hold, np.float32))
        variables, state, ranges, log_factor, (loss, ebops) = compiled.epoch(
            variables,
            state,
            ranges,
            log_factor,
            inputs,
            labels,
            order.astype(np.int32),
            rates[epoch],
            pressure,
            clip,
            np.float32(1),
        )
        logits = np.asarray(compiled.logits(variables, validation_inputs)[0])
        if not np.isfinite([float(loss), *logits[:1]]).all():
            msg = (
                f"recipe '{recipe.name}', seed {seed}: training diverged in epoch {epoch} (the "
                "loss is no number); lower initial_rate or set clip_norm"
            )
            raise DataError(msg)
        merits = {name: float(of(logits, validation.labels)) for name, of in monitors.items()}
        if epoch >= hold and float(ebops) > 0:
            _meet(archive, _Met(epoch, float(ebops), merits), variables)
        if report:
            report(
                {
                    "epoch": epoch,
                    "train_loss": float(loss),
                    "ebops": float(ebops),
                    "pressure": float(np.exp(log_factor)),
                    **{f"validation_{name}": value for name, value in merits.items()},
                }
            )
    kept = sorted(_thinned(archive), key=lambda met: -met.ebops)
    if not kept:
        msg = f"budget_ebops {precision.budget_ebops:g}: no network was left of '{spec.name}'"
        raise ConfigError(msg)
    return [_candidate(spec, precision, compiled, inputs, met) for met in kept]


@dataclass(slots=True)
class _Met:
    epoch: int
    ebops: float
    merits: dict[str, float]
    variables: Any = None

    def beats(self, other: _Met) -> bool:
        """Whether it is as good in everything."""
        return self.ebops <= other.ebops and all(
            value >= other.merits[name] for name, value in self.merits.items()
        )


def _meet(archive: list[_Met], met: _Met, variables: Any) -> None:
    """Put it into the archive of those that nothing beats, unless something beats it."""
    import jax

    if any(one.beats(met) for one in archive):
        return
    met.variables = jax.tree.map(np.array, variables)
    archive[:] = [one for one in archive if not met.beats(one)] + [met]


def _thinned(archive: list[_Met]) -> list[_Met]:
    best: dict[tuple[str, int], _Met] = {}
    for met in archive:
        for name, value in met.merits.items():
            key = (name, int(log(met.ebops) / _SLICE))
            if key not in best or value > best[key].merits[name]:
                best[key] = met
    return list({id(met): met for met in best.values()}.values())


def _on_grid(table: FeatureTable, grid: FixedPoint) -> dict[str, Any]:
    import jax.numpy as jnp

    return {n: jnp.asarray(grid.quantize(v), jnp.float32) for n, v in table.inputs.items()}


def _candidate(
    spec: NetworkSpec,
    precision: LearnedPrecision,
    compiled: LearnedProgram,
    inputs: dict[str, Any],
    met: _Met,
) -> Candidate:
    _, extremes = compiled.logits(met.variables, inputs)
    modes = (precision.rounding, precision.overflow)

    def named(name: str, fractions: NDArray[Any]) -> NamedQuantizer:
        low, high = (np.asarray(end, np.float64) for end in extremes[name])
        return NamedQuantizer(name, _covering(low, high, fractions, *modes))

    weights: Weights = {
        layer.name: {
            name: _weights_on_grid(met.variables[layer.name], name) for name in ("kernel", "bias")
        }
        for layer in spec.layers
    }
    mixed = MixedPrecision(
        tuple(named(n, met.variables[INPUTS][n]) for n in spec.features),
        tuple(
            named(layer.name, met.variables[layer.name]["activation_bits"])
            for layer in spec.dense_layers(DENSE_ONLY)
            if layer.relu
        ),
        precision.input_bits,
    )
    return Candidate(met.epoch, met.ebops, met.merits, weights, mixed, met.variables)


def _weights_on_grid(variables: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    scale = np.exp2(np.rint(variables[f"{name}_bits"])).astype(np.float32)
    whole = np.floor(variables[name] * scale + np.float32(0.5))
    return np.asarray(whole / scale, np.float32)


def _covering(
    low: NDArray[Any],
    high: NDArray[Any],
    fractions: NDArray[Any],
    rounding: Rounding,
    overflow: Overflow,
) -> Quantizer:
    """The quantizer whose elements have these fractions and just hold `low` to `high`."""
    places = np.rint(fractions).astype(np.int64)
    top = np.rint(high * 2.0**places).astype(np.int64).tolist()
    bottom = np.rint(low * 2.0**places).astype(np.int64).tolist()
    signed = [b < 0 for b in bottom]
    sizes = [
        max(t.bit_length(), (-b - 1).bit_length() if b < 0 else 0)
        for t, b in zip(top, bottom, strict=True)
    ]
    bits = [n + s for n, s in zip(sizes, signed, strict=True)]
    integer = [n - int(f) if b else 0 for n, f, b in zip(sizes, places, bits, strict=True)]
    return Quantizer(tuple(signed), tuple(bits), tuple(integer), rounding, overflow)
