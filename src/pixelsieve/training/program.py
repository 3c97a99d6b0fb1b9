"""The compiled array programs of training: one epoch a call, one compilation a network shape."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from pixelsieve.build import logits_function
from pixelsieve.networks import NetworkSpec

__all__ = ["Program", "Softening", "StepLimits", "program"]

Tree = Any


class StepLimits(NamedTuple):
    """What bounds a step: `clip_norm` (inf: no clipping), lowest and highest weight values."""

    clip_norm: float
    lowest: list[Any]
    highest: list[Any]


class Program(NamedTuple):
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


class Softening(NamedTuple):
    """Distillation at a temperature T other than 1 (Hinton et al. 2015, arXiv:1503.02531).

    The loss of a cluster is (1 - share) H(label, logit) + share T^2 H(teacher's probability at T,
    logit / T), where H is the cross-entropy; labels are (n, 2) then.
    """

    share: float
    temperature: float


@lru_cache(maxsize=8)
def program(spec: NetworkSpec, quantized: bool, softening: Softening | None = None) -> Program:
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
        logits = forward(weights, grids, inputs)
        if softening is None:
            return optax.sigmoid_binary_cross_entropy(logits, labels).mean()
        share, heat = softening
        told = optax.sigmoid_binary_cross_entropy(logits, labels[:, 0])
        taught = optax.sigmoid_binary_cross_entropy(logits / heat, labels[:, 1])
        return ((1 - share) * told + share * heat**2 * taught).mean()

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

    return Program(
        jax.jit(optimizer.init),
        jax.jit(epoch, donate_argnums=(0, 1)),
        jax.jit(forward),
    )
