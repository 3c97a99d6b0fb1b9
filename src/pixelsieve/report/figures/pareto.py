"""Quality against cost of the networks of a search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelsieve.report.figures.canvas import APPROACH_COLOURS, canvas
from pixelsieve.report.page.search_charts import pareto_figure

__all__ = ["pareto"]


def pareto(metrics: Mapping[str, Any], path: Path) -> None:
    """Left every trial and the front on validation, right the final table on test."""
    with canvas(path, (12.0, 4.8), 1, 2) as figure:
        for axes, choice in zip(figure.axes, pareto_figure(metrics), strict=True):
            (chart,) = choice["charts"]
            for series in chart["series"]:
                points = series["points"]
                if not points:
                    continue
                grey = series["colour"] == "grey"
                colour = "#999999" if grey else APPROACH_COLOURS[series["colour"]]
                errors = [
                    [0.0 if p[2] is None else p[1] - p[2] for p in points],
                    [0.0 if p[3] is None else p[3] - p[1] for p in points],
                ]
                line = "o-" if series["draw"] == "front" else "o"
                values = ([p[0] for p in points], [p[1] for p in points])
                axes.errorbar(*values, errors, fmt=line, ms=4, color=colour, label=series["name"])
            axes.set_xscale("log")
            axes.set_xlabel(chart["x"]["label"])
            axes.set_ylabel(chart["y"]["label"])
            axes.legend()
