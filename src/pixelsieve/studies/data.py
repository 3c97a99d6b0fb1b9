"""Features of the splits that training may see, checked against the recipes."""

from __future__ import annotations

from collections.abc import Sequence

from pixelsieve.config import fingerprint
from pixelsieve.errors import DataError
from pixelsieve.features import FeatureSet
from pixelsieve.formats.dataset import Dataset
from pixelsieve.training.job import TrainingData
from pixelsieve.training.recipe import Recipe

__all__ = ["training_data"]


def training_data(
    dataset: Dataset, features: FeatureSet, recipes: Sequence[Recipe]
) -> TrainingData:
    """Train and validation inputs.

    Raises `DataError` where a column is missing or a recipe's batch is larger than the training
    split, before anything is written.
    """
    clusters = dataset.splits.train
    for recipe in recipes:
        if recipe.batch_size > len(clusters):
            msg = (
                f"{clusters.origin}: the training split holds {len(clusters)} clusters; recipe "
                f"'{recipe.name}' needs at least one batch of {recipe.batch_size}; lower "
                "batch_size or add clusters"
            )
            raise DataError(msg)
    return TrainingData(
        features.table(clusters),
        features.table(dataset.splits.validation),
        fingerprint([dataset.files, dataset.split_by, features.fingerprint]),
    )
