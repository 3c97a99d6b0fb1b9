"""The compiled array programs of uniform bits: one epoch per call, one compilation per shape."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from pixelsieve.build import logits_function
from pixelsieve.networks import NetworkSpec
from pixelsieve.training.objective import Softening, cross_entropy

__all__ = ["StepLimits", "UniformProgram", "uniform_program"]

Tree = Any


class StepLimits(NamedTuple):
    """What bounds a step: `clip_norm` (inf: no clipping), lowest and highest weight values."""

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

    forward = logits_function(spec, quantized)
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
