"""Train one network: the set on the device, one compiled call an epoch, resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.build import build
from pixelsieve.errors import DataError
from pixelsieve.features import FeatureTable
from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import Precision
from pixelsieve.training.checkpoint import Checkpoint, Saved
from pixelsieve.training.program import Softening, StepLimits, program
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.schedule import learning_rates
from pixelsieve.weights import Weights

__all__ = ["EpochRecord", "Monitor", "Trained", "roughness", "train"]

Monitor = Callable[[NDArray[Any], NDArray[Any]], float]
"""A figure of merit to follow: (logits, labels) -> number."""

_ROUGHNESS_EPOCHS = 10
_PART = 262_144  # clusters

EpochRecord = dict[str, float]
"""One epoch of the history: `epoch`, `train_loss`, `validation_loss`, one `validation_<monitor>`
each, `learning_rate` (last step), `gradient_norm` (mean before clipping), `gradient_norm_largest`,
`flip_share` (share of weight codes that changed over the epoch), `roughness`."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Weights of the epoch with the lowest validation loss, and how training went."""

    weights: Weights
    best_epoch: int
    history: list[EpochRecord] = field(default_factory=list)


def train(
    spec: NetworkSpec,
    precision: Precision | None,
    recipe: Recipe,
    start: Weights,
    training: FeatureTable,
    validation: FeatureTable,
    *,
    seed: int,
    copies: Sequence[FeatureTable] = (),
    soft_labels: Sequence[NDArray[np.float32]] | None = None,
    monitors: Mapping[str, Monitor] | None = None,
    checkpoint: Checkpoint | None = None,
    report: Callable[[EpochRecord], None] | None = None,
) -> Trained:
    """Train from `start` and return the best epoch by validation loss.

    `seed` decides the order of the rows. `copies` are what the network sees instead of `training`,
    one an epoch in turn: the same rows, each varied another way. `soft_labels`, where given,
    replace the labels, those of each copy (see `distillation.soft_labels`). With a `checkpoint` the
    state is saved as training goes on and picked up again, with the same numbers as without the
    interruption (same machine, one thread). Computes in float32. The set must hold at least one
    batch. Raises `DataError` where the loss stops being a number.
    """
    import jax.numpy as jnp

    model = build(spec, precision, start)
    softening = None
    if soft_labels is not None and recipe.temperature != 1:
        softening = Softening(recipe.distillation, recipe.temperature)
    compiled = program(spec, precision is not None, softening)
    grids = [np.array(v.value) for v in model.non_trainable_variables]
    keys = [tuple(v.path.split("/")) for v in model.trainable_variables]
    batches = len(training) // recipe.batch_size
    rates = learning_rates(recipe, batches).reshape(recipe.epochs, batches)
    limits = _limits(recipe, precision, keys)
    shown = _in_turn(spec.features, copies or [training], soft_labels)
    # What the layers give is larger than the inputs: a large set goes part by part.
    validation_parts = [
        {n: jnp.asarray(validation.inputs[n][i : i + _PART]) for n in spec.features}
        for i in range(0, len(validation), _PART)
    ]

    weights: Any = [jnp.array(start[layer][name]) for layer, name in keys]
    state = _State(weights, compiled.start(weights), [np.array(w) for w in weights], [])
    if checkpoint and (saved := checkpoint.load()):
        state = _restored(saved, state)
    codes = _codes(keys, state.weights, precision)

    for epoch in range(len(state.history), recipe.epochs):
        if _out_of_patience(state.history, recipe.patience):
            break
        order = np.random.default_rng((seed, epoch)).permutation(len(training))
        order = order[: batches * recipe.batch_size].reshape(batches, recipe.batch_size)
        inputs, labels = shown(epoch)
        state.weights, state.optimizer, (loss, norm, norm_largest) = compiled.epoch(
            state.weights,
            state.optimizer,
            grids,
            inputs,
            labels,
            order.astype(np.int32),
            rates[epoch],
            limits,
        )
        logits = np.concatenate(
            [np.asarray(compiled.logits(state.weights, grids, part)) for part in validation_parts]
        )
        previous, codes = codes, _codes(keys, state.weights, precision)
        losses = [r["validation_loss"] for r in state.history]
        validation_loss = _cross_entropy(logits, validation.labels)
        if not np.isfinite([float(loss), validation_loss]).all():
            msg = (
                f"recipe '{recipe.name}', seed {seed}: training diverged in epoch {epoch} (the "
                "loss is no number); lower initial_rate or set clip_norm"
            )
            raise DataError(msg)
        record: EpochRecord = {
            "epoch": epoch,
            "train_loss": float(loss),
            "validation_loss": validation_loss,
            "learning_rate": float(rates[epoch, -1]),
            "gradient_norm": float(norm),
            "gradient_norm_largest": float(norm_largest),
            "flip_share": float(np.mean(codes != previous)) if precision else 0.0,
            "roughness": roughness([*losses, validation_loss]),
        }
        for name, monitor in (monitors or {}).items():
            record[f"validation_{name}"] = monitor(logits, validation.labels)
        if validation_loss < min(losses, default=np.inf):
            state.best = [np.array(w) for w in state.weights]
        state.history.append(record)
        if report:
            report(record)
        if checkpoint:
            checkpoint.save_when_due(state.arrays, state.history)

    best_epoch = int(np.argmin([r["validation_loss"] for r in state.history]))
    return Trained(_by_layer(keys, state.best), best_epoch, state.history)


def _in_turn(
    names: Sequence[str],
    copies: Sequence[FeatureTable],
    soft_labels: Sequence[NDArray[np.float32]] | None,
) -> Callable[[int], tuple[dict[str, Any], Any]]:
    """Inputs and labels of an epoch on the device, which holds one copy at a time."""
    import jax.numpy as jnp

    labels = soft_labels or [copy.labels for copy in copies]

    @lru_cache(maxsize=1)
    def moved(number: int) -> tuple[dict[str, Any], Any]:
        inputs = {n: jnp.asarray(copies[number].inputs[n]) for n in names}
        return inputs, jnp.asarray(labels[number])

    return lambda epoch: moved(epoch % len(copies))


@dataclass(slots=True)
class _State:
    """All that an epoch changes: weights, the optimizer's state, the best weights so far."""

    weights: Any
    optimizer: Any
    best: list[NDArray[Any]]
    history: list[EpochRecord]

    def arrays(self) -> dict[str, list[NDArray[Any]]]:
        """Everything but the history, as lists of NumPy arrays."""
        import jax

        return {
            "weights": [np.asarray(w) for w in self.weights],
            "optimizer": [np.asarray(leaf) for leaf in jax.tree.leaves(self.optimizer)],
            "best": self.best,
        }


def _restored(saved: Saved, fresh: _State) -> _State:
    import jax
    import jax.numpy as jnp

    arrays = saved.arrays
    structure = jax.tree.structure(fresh.optimizer)
    return _State(
        [jnp.array(a) for a in arrays["weights"]],
        jax.tree.unflatten(structure, [jnp.array(a) for a in arrays["optimizer"]]),
        list(arrays["best"]),
        saved.history,
    )


def roughness(losses: list[float]) -> float:
    """Root mean square change of the loss from epoch to epoch, over the last ten epochs."""
    steps = np.diff(np.asarray(losses[-_ROUGHNESS_EPOCHS - 1 :], dtype=np.float64))
    return float(np.sqrt(np.mean(steps**2))) if len(steps) else 0.0


def _cross_entropy(logits: NDArray[Any], labels: NDArray[Any]) -> float:
    x = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # a diverged network is reported by its loss
        return float(np.mean(np.logaddexp(0.0, x) - labels * x))


def _out_of_patience(history: list[EpochRecord], patience: int | None) -> bool:
    if patience is None or not history:
        return False
    losses = [r["validation_loss"] for r in history]
    return len(losses) - 1 - int(np.argmin(losses)) >= patience


def _limits(recipe: Recipe, precision: Precision | None, keys: list[tuple[str, ...]]) -> StepLimits:
    clip = float(np.inf if recipe.clip_norm is None else recipe.clip_norm)
    lowest = np.full(len(keys), -np.inf, np.float32)
    highest = np.full(len(keys), np.inf, np.float32)
    if precision and recipe.keep_in_range:
        for i, (layer, name) in enumerate(keys):
            grid = precision.weights(layer)[name]
            lowest[i], highest[i] = grid.minimum, grid.maximum
    return StepLimits(clip, list(lowest), list(highest))


def _codes(
    keys: list[tuple[str, ...]], weights: list[Any], precision: Precision | None
) -> NDArray[np.int64]:
    if precision is None:
        return np.zeros(0, np.int64)
    return np.concatenate(
        [
            precision.weights(layer)[name].codes(np.asarray(w)).reshape(-1)
            for (layer, name), w in zip(keys, weights, strict=True)
        ]
    )


def _by_layer(keys: list[tuple[str, ...]], arrays: list[Any]) -> Weights:
    weights: Weights = {}
    for (layer, name), array in zip(keys, arrays, strict=True):
        weights.setdefault(layer, {})[name] = np.asarray(array)
    return weights
