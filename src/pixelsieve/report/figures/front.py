"""What a search found: quality against cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelsieve.report.figures.canvas import APPROACH_COLOURS, canvas
from pixelsieve.report.tables import COST_TITLES, METRIC_TITLES

__all__ = ["front"]

_REACH = 0.25
"""So far below the best the axis reaches."""


def front(metrics: Mapping[str, Any], path: Path) -> None:
    """Every network of every trial on validation, and the rows of the table with their spreads."""
    metric, cost = metrics["metric"], metrics["cost"]
    networks = [one for trial in metrics["trials"] for one in trial["networks"]]
    best = max(one[metric] for one in networks)
    with canvas(path, (7.0, 5.0)) as figure:
        (axes,) = figure.axes
        axes.plot(
            [one[cost] for one in networks],
            [one[metric] for one in networks],
            ".",
            color="#999999",
            ms=4,
            label="trials, validation",
        )
        for number, (kind, label) in enumerate((("front", "front"), ("uniform", "uniform bits"))):
            rows = [row for row in metrics["rows"] if row["kind"] == kind]
            for part, marker in (("validation", "o"), ("test", "s")):
                values = [row[part] if part == "validation" else row[part][metric] for row in rows]
                axes.errorbar(
                    [row[cost]["mean"] for row in rows],
                    [value["mean"] for value in values],
                    [value["spread"] for value in values],
                    [row[cost]["spread"] for row in rows],
                    marker,
                    color=APPROACH_COLOURS[number],
                    mfc=APPROACH_COLOURS[number] if part == "validation" else "white",
                    ms=5,
                    label=f"{label}, {len(metrics['seeds'])} seeds, {part}",
                )
        axes.set_xscale("log")
        axes.set_ylim(best - _REACH, min(1.0, best + _REACH / 5))
        axes.set_xlabel(COST_TITLES[cost])
        axes.set_ylabel(METRIC_TITLES[metric])
        axes.legend(loc="lower right")
