"""Training of float networks and of uniform bits: HGQ2's layers, one compiled epoch a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixelsieve.networks.build import build, logits_function
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import NetworkSpec, Weights
from pixelsieve.training.engine import (
    Arrays,
    EpochRecord,
    OnDevice,
    Rows,
    Session,
    TrainedNetwork,
    clip_norm,
    train,
)
from pixelsieve.training.recipe import Recipe
from pixelsieve.training.teachers import Softening, cross_entropy, softening_of

Tree = Any


class StepLimits(NamedTuple):
    """The bounds of a step: `clip_norm` (inf: no clipping), lowest and highest weight values."""

    clip_norm: float
    lowest: list[Any]
    highest: list[Any]


class UniformProgram(NamedTuple):
    """Compiled functions of one network, shared by all widths and recipes.

    - `start(weights) -> state` of the optimizer;
    - `epoch(weights, state, grids, inputs, labels, order, rates, limits)` -> weights, state,
      (mean loss, mean and largest gradient norm before clipping); `weights` and `state` are
      donated. `order` is (batches, batch) row numbers, `rates` (batches,);
    - `logits(weights, grids, inputs)` -> (n,).

    `weights` and `grids` are the values of the Keras model's trainable and other variables.
    """

    start: Callable[..., Tree]
    epoch: Callable[..., tuple[Tree, Tree, tuple[Any, Any, Any]]]
    logits: Callable[..., Any]


@lru_cache(maxsize=8)
def uniform_program(
    spec: NetworkSpec, quantized: bool, softening: Softening | None = None
) -> UniformProgram:
    """The program of a network, float or quantized, compiled at its first use.

    The bits of a quantized network are arguments (`grids`), so that one compilation serves every
    width; learning rates, clipping and ranges are arguments too, so it serves every recipe.
    """
    import jax
    import jax.numpy as jnp
    import optax

    forward = logits_function(spec, Precision(8) if quantized else None)
    optimizer = optax.scale_by_adam()

    def loss(weights: Tree, grids: Tree, inputs: Tree, labels: Any) -> Any:
        return cross_entropy(forward(weights, grids, inputs), labels, softening)

    def epoch(
        weights: Tree,
        state: Tree,
        grids: Tree,
        inputs: Tree,
        labels: Any,
        order: Any,
        rates: Any,
        limits: StepLimits,
    ) -> tuple[Tree, Tree, tuple[Any, Any, Any]]:
        clip = optax.clip_by_global_norm(limits.clip_norm)

        def step(carry: tuple[Tree, Tree], batch: tuple[Any, Any]) -> tuple[Any, Any]:
            weights, state = carry
            rows, rate = batch
            batch_inputs = {name: values[rows] for name, values in inputs.items()}
            value, gradient = jax.value_and_grad(loss)(weights, grids, batch_inputs, labels[rows])
            norm = optax.tree.norm(gradient)
            gradient, _ = clip.update(gradient, clip.init(weights))
            update, state = optimizer.update(gradient, state)
            weights = [
                jnp.clip(w - rate * u, low, high)
                for w, u, low, high in zip(
                    weights, update, limits.lowest, limits.highest, strict=True
                )
            ]
            return (weights, state), (value, norm)

        (weights, state), (losses, norms) = jax.lax.scan(step, (weights, state), (order, rates))
        return weights, state, (losses.mean(), norms.mean(), norms.max())

    return UniformProgram(
        jax.jit(optimizer.init),
        jax.jit(epoch, donate_argnums=(0, 1)),
        jax.jit(forward),
    )


def train_uniform(
    spec: NetworkSpec,
    precision: Precision | None,
    recipe: Recipe,
    start: Weights,
    rows: Rows,
    session: Session,
) -> tuple[TrainedNetwork, tuple[EpochRecord, ...]]:
    """Train from `start`; return the network of the lowest validation loss, and the history.

    The history tells, besides, `gradient_norm` (mean before clipping), `gradient_norm_largest` and
    `flip_share` (fraction of weight codes that changed over the epoch). The rest as `engine.train`.
    """
    program = _Uniform(spec, precision, recipe, start, taught=rows.soft_labels is not None)
    history = train(program, recipe, rows, session)
    best_epoch = int(np.argmin([r["validation_loss"] for r in history]))
    best = _by_layer(program.keys, program.best)
    return TrainedNetwork(best_epoch, best, precision), history


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

    def taken(self, inputs: Mapping[str, NDArray[Any]]) -> OnDevice:
        import jax.numpy as jnp

        return {name: jnp.asarray(values) for name, values in inputs.items()}

    def epoch(self, inputs: OnDevice, labels: Any, order: Any, rates: Any) -> dict[str, float]:
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

    def logits(self, inputs: OnDevice) -> Any:
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
    lowest = np.full(len(keys), -np.inf, np.float32)
    highest = np.full(len(keys), np.inf, np.float32)
    if precision and recipe.keep_in_range:
        for i, (layer, name) in enumerate(keys):
            grid = precision.weights(layer)[name]
            lowest[i], highest[i] = grid.minimum, grid.maximum
    return StepLimits(clip_norm(recipe), list(lowest), list(highest))


def _by_layer(keys: list[tuple[str, ...]], arrays: list[Any]) -> Weights:
    weights: Weights = {}
    for (layer, name), array in zip(keys, arrays, strict=True):
        weights.setdefault(layer, {})[name] = np.asarray(array)
    return weights
