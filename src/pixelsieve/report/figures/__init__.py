"""Figures, one a file, drawn from a run's JSON and history.parquet or from what `inspect` found."""

from __future__ import annotations

from pixelsieve.report.figures.distributions import distributions
from pixelsieve.report.figures.event_display import event_display
from pixelsieve.report.figures.metric_against_bits import metric_against_bits
from pixelsieve.report.figures.roc import roc
from pixelsieve.report.figures.training_curves import training_curves

__all__ = [
    "distributions",
    "event_display",
    "metric_against_bits",
    "roc",
    "training_curves",
]
