"""Figures of what `inspect` found."""

from __future__ import annotations

from pixelsieve.report.figures.distributions import distributions
from pixelsieve.report.figures.event_display import event_display

__all__ = ["distributions", "event_display"]
