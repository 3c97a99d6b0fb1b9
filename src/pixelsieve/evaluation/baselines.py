"""What a network has to beat: a cut on time alone, and boosted trees on the same inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelsieve.clusters import Clusters
from pixelsieve.features import FeatureTable

__all__ = ["BaselineScores", "boosted_trees", "time_cut"]

_LARGEST_TREES = 800
_LEARNING_RATE = 0.08
_TREES_WITHOUT_GAIN = 20


@dataclass(frozen=True, slots=True)
class BaselineScores:
    """Scores (n,) of the test clusters, and the score above which one counts as signal."""

    scores: NDArray[np.float64]
    threshold: float


def time_cut(training: Clusters, test: Clusters) -> BaselineScores | None:
    """Keep clusters whose 30 ps time is near 0: the score is -|t| in ns.

    The threshold is the one with the best accuracy on the training clusters. None without times.
    """
    if training.hit_time_30ps_ns is None or test.hit_time_30ps_ns is None:
        return None
    known = -np.abs(training.hit_time_30ps_ns.astype(np.float64))
    order = np.argsort(-known)
    right = np.cumsum(np.where(training.signal[order] > 0, 1, -1))
    best = int(np.argmax(right))
    after = known[order[min(best + 1, len(order) - 1)]]
    return BaselineScores(-np.abs(test.hit_time_30ps_ns.astype(np.float64)), float(after))


def boosted_trees(
    training: FeatureTable, validation: FeatureTable, test: FeatureTable, seed: int
) -> BaselineScores:
    """scikit-learn's histogram gradient boosting on the network's inputs.

    Up to 800 trees of 31 leaves at rate 0.08, stopped by the validation loss.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        max_iter=_LARGEST_TREES,
        learning_rate=_LEARNING_RATE,
        early_stopping=True,
        n_iter_no_change=_TREES_WITHOUT_GAIN,
        random_state=seed,
    )
    trees.fit(
        _matrix(training),
        training.labels,
        X_val=_matrix(validation),
        y_val=validation.labels,
    )
    return BaselineScores(trees.decision_function(_matrix(test)), 0.0)


def _matrix(table: FeatureTable) -> NDArray[np.float32]:
    return np.concatenate([table.inputs[n] for n in table.features.names], axis=1)
