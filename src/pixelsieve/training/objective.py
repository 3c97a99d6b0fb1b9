"""The loss of a training: cross-entropy with the labels or with a teacher."""

from __future__ import annotations

from typing import Any, NamedTuple

from pixelsieve.training.recipe import Recipe

__all__ = ["Softening", "cross_entropy", "softening_of"]


class Softening(NamedTuple):
    """Distillation at a temperature T other than 1 (Hinton et al. 2015, arXiv:1503.02531).

    The loss of a cluster is (1 - share) H(label, logit) + share T^2 H(teacher's probability at T,
    logit / T), where H is the cross-entropy; labels are (n, 2) then.
    """

    share: float
    temperature: float


def softening_of(recipe: Recipe, *, taught: bool) -> Softening | None:
    """Return the recipe's softening; None without a teacher and at temperature 1."""
    if not taught or recipe.temperature == 1:
        return None
    return Softening(recipe.distillation, recipe.temperature)


def cross_entropy(logits: Any, labels: Any, softening: Softening | None) -> Any:
    """Return the mean loss of a batch (JAX); labels (n,) may be a teacher's probabilities."""
    import optax

    if softening is None:
        return optax.sigmoid_binary_cross_entropy(logits, labels).mean()
    share, heat = softening
    told = optax.sigmoid_binary_cross_entropy(logits, labels[:, 0])
    taught = optax.sigmoid_binary_cross_entropy(logits / heat, labels[:, 1])
    return ((1 - share) * told + share * heat**2 * taught).mean()
