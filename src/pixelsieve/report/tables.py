"""Tables of one scored model for the terminal, made from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from pixelsieve.report.comparison import METRIC_TITLES

__all__ = ["read_out_table", "scores_table"]


def scores_table(title: str, figures: Mapping[str, float], intervals: Mapping[str, Any]) -> Table:
    """Figures of merit of one model with their bootstrap intervals."""
    table = Table(title=title, title_justify="left")
    table.add_column("figure of merit")
    for column in ("value", "68 % interval", "achieved signal efficiency", "lost to ties"):
        table.add_column(column, justify="right")
    for name, text in METRIC_TITLES.items():
        achieved = figures.get(name.replace("rejection", "efficiency")) if "rej" in name else None
        lost = figures.get(name.replace("rejection", "tie_loss")) if "rej" in name else None
        interval = intervals[name]
        table.add_row(
            text,
            f"{figures[name]:.4f}",
            f"{interval['low']:.4f} to {interval['high']:.4f}",
            "" if achieved is None else f"{achieved:.4f}",
            "" if lost is None else f"{lost:.4f}",
        )
    return table


def read_out_table(front_end: Mapping[str, Any]) -> Table:
    """How many clusters have a pixel left after the front end; the others are not read out."""
    table = Table(title="Clusters read out by the front end", title_justify="left")
    table.add_column("split")
    for column in ("signal", "share", "BIB", "share"):
        table.add_column(column, justify="right")
    for name, by_class in front_end["clusters"].items():
        cells = [name]
        for kind in ("signal", "bib"):
            collected, seen = by_class[kind]["collected"], by_class[kind]["read_out"]
            cells += [f"{seen} of {collected}", f"{seen / collected:.4f}" if collected else "-"]
        table.add_row(*cells)
    return table
