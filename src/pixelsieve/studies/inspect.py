"""The numbers that describe a data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from pixelsieve.errors import DataError
from pixelsieve.features import LARGEST_INPUT, REGISTRY, FeatureSet
from pixelsieve.formats.dataset import Dataset

__all__ = ["inspect_dataset"]

_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


def inspect_dataset(dataset: Dataset) -> dict[str, Any]:
    """Counts by split and class, and for each feature (train split) its quantiles and saturation.

    Quantiles (0, 5, 50, 95, 100 %) are of the unscaled values in the feature's unit, by class;
    `saturated_share` is the share of inputs at the ends of [-1, 1) after scaling. Features whose
    column the data lack are left out.
    """
    splits = {
        name: {
            "clusters": len(part),
            "signal": part.n_signal,
            "bib": len(part) - part.n_signal,
            "groups": len(np.unique(part.groups())),
        }
        for name, part in dataset.splits.parts()
    }
    train = dataset.splits.train
    features = {}
    for name, feature in REGISTRY.items():
        try:
            table = FeatureSet((name,)).table(train)
        except DataError:
            continue
        values = np.asarray(feature.compute(train), dtype=np.float64).reshape(len(train), -1)
        inputs = table.inputs[name]
        features[name] = {
            "unit": feature.unit,
            "divisor": feature.divisor,
            "signal": np.quantile(values[train.signal > 0], _QUANTILES).tolist(),
            "bib": np.quantile(values[train.signal == 0], _QUANTILES).tolist(),
            "saturated_share": float(np.mean((inputs <= -1) | (inputs >= LARGEST_INPUT))),
        }
    return {
        "files": dataset.files,
        "split_by": dataset.split_by,
        "splits": splits,
        "features": features,
    }
