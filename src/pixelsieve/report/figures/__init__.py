"""Figures of a run: one figure a file, drawn from metrics.json and history.parquet."""

from __future__ import annotations

from pixelsieve.report.figures.metric_against_bits import metric_against_bits
from pixelsieve.report.figures.roc import roc
from pixelsieve.report.figures.training_curves import training_curves

__all__ = ["metric_against_bits", "roc", "training_curves"]
