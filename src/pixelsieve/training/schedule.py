"""Learning rates, step by step, from a recipe (Optax schedules)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixelsieve.training.recipe import Recipe

__all__ = ["learning_rates"]


def learning_rates(recipe: Recipe, batches: int) -> NDArray[np.float32]:
    """Learning rate of every step, float32 of shape (epochs x batches,).

    The decay ends with the last step; its length comes from epochs x batches.
    """
    import optax

    steps = recipe.epochs * batches
    warm_up = round(recipe.warm_up * steps)
    rest = max(1, steps - warm_up)
    if recipe.decay == "constant":
        decay = optax.constant_schedule(recipe.initial_rate)
    elif recipe.decay == "polynomial":
        decay = optax.polynomial_schedule(
            recipe.initial_rate, recipe.end_rate, recipe.power, transition_steps=rest
        )
    else:
        share = recipe.end_rate / recipe.initial_rate
        decay = optax.cosine_decay_schedule(recipe.initial_rate, rest, alpha=share)
    schedule = (
        optax.join_schedules(
            [optax.linear_schedule(0.0, recipe.initial_rate, warm_up), decay], [warm_up]
        )
        if warm_up
        else decay
    )
    return np.asarray(schedule(np.arange(steps)), dtype=np.float32) * np.ones(steps, np.float32)
