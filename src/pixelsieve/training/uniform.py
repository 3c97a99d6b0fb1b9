"""Training of a float network, and of one with the same bits everywhere: HGQ2's layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.build import build
from pixelsieve.networks import NetworkSpec
from pixelsieve.precision import Precision
from pixelsieve.training.checkpoint import Arrays, Checkpoint
from pixelsieve.training.engine import EpochRecord, Monitor, Rows, train
from pixelsieve.training.objective import softening_of
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.uniform_program import StepLimits, uniform_program
from pixelsieve.weights import Weights

__all__ = ["Trained", "train_uniform"]


@dataclass(frozen=True, slots=True)
class Trained:
    """Weights of the epoch with the lowest validation loss, and how training went."""

    weights: Weights
    best_epoch: int
    history: list[EpochRecord] = field(default_factory=list)


def train_uniform(
    spec: NetworkSpec,
    precision: Precision | None,
    recipe: Recipe,
    start: Weights,
    rows: Rows,
    *,
    seed: int,
    monitors: Mapping[str, Monitor] | None = None,
    checkpoint: Checkpoint | None = None,
    report: Callable[[EpochRecord], None] | None = None,
) -> Trained:
    """Train from `start` and return the best epoch by validation loss; the rest as `engine.train`.

    The history tells, besides, `gradient_norm` (mean before clipping), `gradient_norm_largest` and
    `flip_share` (fraction of weight codes that changed over the epoch).
    """
    program = _Uniform(spec, precision, recipe, start, taught=rows.soft_labels is not None)
    history = train(
        program,
        recipe,
        rows,
        seed=seed,
        monitors=monitors,
        checkpoint=checkpoint,
        report=report,
    )
    best_epoch = int(np.argmin([r["validation_loss"] for r in history]))
    return Trained(_by_layer(program.keys, program.best), best_epoch, history)


class _Uniform:
    """The `engine.Program` of uniform bits; keeps the weights of the best epoch."""

    def __init__(
        self,
        spec: NetworkSpec,
        precision: Precision | None,
        recipe: Recipe,
        start: Weights,
        *,
        taught: bool,
    ) -> None:
        import jax.numpy as jnp

        model = build(spec, precision, start)
        softening = softening_of(recipe, taught=taught)
        self._compiled = uniform_program(spec, precision is not None, softening)
        self._grids = [np.array(v.value) for v in model.non_trainable_variables]
        self._precision = precision
        self.keys = [tuple(v.path.split("/")) for v in model.trainable_variables]
        self._limits = _limits(recipe, precision, self.keys)
        self._weights: Any = [jnp.array(start[layer][name]) for layer, name in self.keys]
        self._optimizer = self._compiled.start(self._weights)
        self.best = [np.array(w) for w in self._weights]
        self._lowest_loss = np.inf
        self._codes = self._codes_now()

    def taken(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        import jax.numpy as jnp

        return {name: jnp.asarray(values) for name, values in inputs.items()}

    def epoch(
        self, inputs: dict[str, Any], labels: Any, order: Any, rates: Any
    ) -> dict[str, float]:
        self._weights, self._optimizer, (loss, norm, largest) = self._compiled.epoch(
            self._weights, self._optimizer, self._grids, inputs, labels, order, rates, self._limits
        )
        previous, self._codes = self._codes, self._codes_now()
        return {
            "train_loss": float(loss),
            "gradient_norm": float(norm),
            "gradient_norm_largest": float(largest),
            "flip_share": float(np.mean(self._codes != previous)) if self._precision else 0.0,
        }

    def logits(self, inputs: dict[str, Any]) -> Any:
        return self._compiled.logits(self._weights, self._grids, inputs)

    def keep(self, record: EpochRecord) -> None:
        if record["validation_loss"] < self._lowest_loss:
            self._lowest_loss = record["validation_loss"]
            self.best = [np.array(w) for w in self._weights]

    def arrays(self) -> Arrays:
        import jax

        return {
            "weights": [np.asarray(w) for w in self._weights],
            "optimizer": [np.asarray(leaf) for leaf in jax.tree.leaves(self._optimizer)],
            "best": self.best,
        }

    def restore(self, arrays: Arrays, history: Sequence[EpochRecord]) -> None:
        import jax
        import jax.numpy as jnp

        structure = jax.tree.structure(self._optimizer)
        self._weights = [jnp.array(a) for a in arrays["weights"]]
        self._optimizer = jax.tree.unflatten(structure, [jnp.array(a) for a in arrays["optimizer"]])
        self.best = list(arrays["best"])
        self._lowest_loss = min((r["validation_loss"] for r in history), default=np.inf)
        self._codes = self._codes_now()

    def _codes_now(self) -> NDArray[np.int64]:
        if self._precision is None:
            return np.zeros(0, np.int64)
        return np.concatenate(
            [
                self._precision.weights(layer)[name].codes(np.asarray(w)).reshape(-1)
                for (layer, name), w in zip(self.keys, self._weights, strict=True)
            ]
        )


def _limits(recipe: Recipe, precision: Precision | None, keys: list[tuple[str, ...]]) -> StepLimits:
    clip = float(np.inf if recipe.clip_norm is None else recipe.clip_norm)
    lowest = np.full(len(keys), -np.inf, np.float32)
    highest = np.full(len(keys), np.inf, np.float32)
    if precision and recipe.keep_in_range:
        for i, (layer, name) in enumerate(keys):
            grid = precision.weights(layer)[name]
            lowest[i], highest[i] = grid.minimum, grid.maximum
    return StepLimits(clip, list(lowest), list(highest))


def _by_layer(keys: list[tuple[str, ...]], arrays: list[Any]) -> Weights:
    weights: Weights = {}
    for (layer, name), array in zip(keys, arrays, strict=True):
        weights.setdefault(layer, {})[name] = np.asarray(array)
    return weights
