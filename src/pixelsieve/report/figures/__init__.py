"""Figures, one per file, drawn from a run's JSON and history.parquet or of clusters."""

from __future__ import annotations

from pixelsieve.report.figures.event_display import event_display
from pixelsieve.report.figures.metric_against_bits import metric_against_bits
from pixelsieve.report.figures.roc import roc
from pixelsieve.report.figures.training_curves import training_curves

__all__ = [
    "event_display",
    "metric_against_bits",
    "roc",
    "training_curves",
]
