"""Distillation: who teaches a student, and what the student is told of each cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.networks import NetworkSpec, network
from pixelsieve.training.recipe import BOOSTED_TREES, OWN_FLOAT, Recipe
from pixelsieve.training.trees import TREE_FEATURES, TreesTeacher

__all__ = ["soft_labels", "teacher_network", "trees_teacher"]


def soft_labels(
    recipe: Recipe, labels: NDArray[np.float32], logits: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """What the student is told instead of `labels` (n,), given its teacher's `logits` (n,).

    At temperature 1 labels (n,) with `recipe.distillation` of the teacher's probabilities in them;
    the loss is linear in them. Else (n, 2): labels, and the probabilities at that temperature,
    for the loss of `training.program`.
    """
    from scipy.special import expit

    if recipe.temperature == 1:
        share = np.float32(recipe.distillation)
        mixed: NDArray[np.float32] = (1 - share) * labels + share * expit(logits)
        return mixed
    softened = expit(np.asarray(logits, np.float64) / recipe.temperature)
    return np.stack([labels, softened.astype(np.float32)], axis=1)


def teacher_network(recipe: Recipe, student: NetworkSpec) -> NetworkSpec | None:
    """The float network that teaches by `recipe`; None for a student's own, and for trees.

    It sees the arrival time where the student does. Raises `ConfigError` for unknown networks.
    """
    if not recipe.distillation or recipe.teacher in {OWN_FLOAT, BOOSTED_TREES}:
        return None
    time = next((f for f in student.features if f.startswith("hit_time")), None)
    return network(recipe.teacher, time).with_window(student.window)


def trees_teacher(recipe: Recipe, student: NetworkSpec, seed: int) -> TreesTeacher | None:
    """The trees that teach by `recipe`, None for other teachers."""
    if not recipe.distillation or recipe.teacher != BOOSTED_TREES:
        return None
    return TreesTeacher(tuple(dict.fromkeys((*student.features, *TREE_FEATURES))), seed)
