"""What a comparison's report draws of the test split: histograms, slices, single clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import to_plain
from pixelsieve.data.clusters import Clusters
from pixelsieve.evaluation.baselines import BaselineScores, time_of
from pixelsieve.evaluation.data_rate import slices
from pixelsieve.metrics.metrics import EFFICIENCY, rejection_at, score_histogram
from pixelsieve.studies.inspect import display

if TYPE_CHECKING:
    from pixelsieve.studies.summary import Approach

__all__ = ["CURVES", "curves"]

CURVES = "curves.json"
"""The file of a run that holds them."""

_SHOWN = 12
"""Clusters to look at of each kind."""


def curves(
    approaches: Sequence[Approach], baselines: Mapping[str, BaselineScores], test: Clusters
) -> dict[str, Any]:
    """Plain data of `curves.json`; every threshold keeps 98 % of the test split's signal.

    - `rows`, `baselines`: in the order of `metrics.json`; by seed the `thresholds`, the `histogram`
      of scores (networks only), and `slices` with shares that are means over seeds.
    - `seen`: what one network keeps and loses, that with the best AUC on validation among the
      quantized (first seed): mean charges and a few clusters of each kind, with the `scores` that
      the first seed of every approach gives them.
    """
    return {
        "schema": 1,
        "split": "test",
        "signal_efficiency": EFFICIENCY,
        "rows": [
            {
                "approach": one.recipe.name,
                "bits": one.bits,
                "histogram": to_plain(score_histogram(one.logits, test.signal)),
                **_cut(one.logits, test),
            }
            for one in approaches
        ],
        "baselines": [
            {"approach": name, **_cut([one.scores], test)} for name, one in baselines.items()
        ],
        "seen": _seen(approaches, test),
    }


def _threshold(scores: NDArray[Any], test: Clusters) -> float:
    return rejection_at(scores, test.signal, EFFICIENCY)[2]


def _cut(scores: Sequence[NDArray[Any]], test: Clusters) -> dict[str, Any]:
    thresholds = [_threshold(one, test) for one in scores]
    kept = np.mean([one >= t for one, t in zip(scores, thresholds, strict=True)], axis=0)
    return {"thresholds": thresholds, "slices": to_plain(slices(kept, test))}


def _seen(approaches: Sequence[Approach], test: Clusters) -> dict[str, Any]:
    chosen = max(approaches, key=lambda a: (a.bits is not None, _validation_auc(a)))
    kept = chosen.logits[0] >= _threshold(chosen.logits[0], test)
    signal = test.signal > 0
    groups = {
        "signal_kept": signal & kept,
        "signal_lost": signal & ~kept,
        "bib_dropped": ~signal & ~kept,
        "bib_kept": ~signal & kept,
    }
    return {
        "approach": chosen.recipe.name,
        "bits": chosen.bits,
        "seed": chosen.results[0].seed,
        "model": chosen.models[0],
        "networks": [
            {
                "approach": one.recipe.name,
                "bits": one.bits,
                "threshold": _threshold(one.logits[0], test),
            }
            for one in approaches
        ],
        "groups": {name: _group(inside, approaches, test) for name, inside in groups.items()},
    }


def _validation_auc(approach: Approach) -> float:
    return float(np.mean([r.validation_auc for r in approach.results]))


def _group(
    inside: NDArray[np.bool_], approaches: Sequence[Approach], test: Clusters
) -> dict[str, Any]:
    """Mean charges (None without a cluster) and clusters evenly spaced over the rows."""
    rows = np.flatnonzero(inside)
    which = np.linspace(0, len(rows) - 1, min(_SHOWN, len(rows))).round().astype(int)
    mean = test.pixels_e[rows].mean(axis=0, dtype=np.float64) if len(rows) else None
    return {
        "clusters": len(rows),
        "mean_e": None if mean is None else mean.round(1).tolist(),
        "displays": [
            {
                **display(test, int(row)),
                **_told(test, int(row)),
                "scores": [round(float(one.logits[0][row]), 4) for one in approaches],
            }
            for row in rows[which]
        ],
    }


def _told(test: Clusters, row: int) -> dict[str, Any]:
    """Charge, size, and what is known of time and momentum."""
    pixels, truth = test.pixels_e[row], test.truth
    time = time_of(test)
    values = {
        "charge_e": float(pixels.sum()),
        "pixels": int((pixels > 0).sum()),
        "time_ns": None if time is None else float(getattr(test, f"{time}_ns")[row]),
        "true_time_ns": float(truth["hit_time_ns"][row]) if "hit_time_ns" in truth else None,
        "true_pt_gev": float(truth["truth_pt_gev"][row]) if "truth_pt_gev" in truth else None,
    }
    return {k: None if v is None or not np.isfinite(v) else round(v, 4) for k, v in values.items()}
