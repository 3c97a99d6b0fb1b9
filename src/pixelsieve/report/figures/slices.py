"""BIB rejection and signal efficiency by slices of the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixelsieve.report.colours import BASELINE
from pixelsieve.report.figures.canvas import (
    BASELINE_COLOUR,
    BASELINE_MARKERS,
    canvas,
    colour_of,
)
from pixelsieve.report.page.slice_charts import slices_figure

__all__ = ["slices"]


def slices(curves: Mapping[str, Any], folder: Path) -> list[str]:
    """One figure a width, `slices_NNb`; returns their names. A row of panels a variable."""
    approaches = [row["approach"] for row in curves["rows"]]
    names = []
    for choice in slices_figure(curves):
        charts: Sequence[Mapping[str, Any]] = choice["charts"]
        names.append(f"slices_{_file_name(choice['label'])}")
        lines = -(-len(charts) // 2)
        with canvas(folder / names[-1], (11.0, 3.2 * lines), lines, 2) as figure:
            for unused in figure.axes[len(charts) :]:
                unused.remove()
            for axes, chart in zip(figure.axes, charts, strict=True):
                _draw(axes, chart, approaches)
            handles = figure.axes[0].get_legend_handles_labels()
            figure.legend(*handles, loc="outside upper center", ncols=4)
    return names


def _draw(axes: Any, chart: Mapping[str, Any], approaches: list[str]) -> None:
    ranges = chart["x"]["categories"]
    drawn = chart["series"]
    for number, series in enumerate(drawn):
        shift = 0.08 * (number - (len(drawn) - 1) / 2)
        name = series["name"]
        of_us = series["colour"] != BASELINE
        colour = colour_of(name, approaches) if of_us else BASELINE_COLOUR
        marker = "o" if of_us else BASELINE_MARKERS[series["dash"] - 1]
        points = series["points"]
        axes.errorbar(
            [ranges.index(p[0]) + shift for p in points],
            [p[1] for p in points],
            [[max(p[1] - p[2], 0) for p in points], [max(p[3] - p[1], 0) for p in points]],
            fmt=marker,
            ms=3,
            mfc="none" if series["dash"] > 1 else colour,
            lw=1,
            color=colour,
            label=name,
        )
    axes.set_xticks(range(len(ranges)), ranges, rotation=20, ha="right")
    axes.set_xticks([], minor=True)
    axes.set_xlabel(chart["x"]["label"])
    axes.set_ylabel(chart["y"]["label"])
    axes.set_ylim(top=1 + 0.02 * (1 - axes.get_ylim()[0]))


def _file_name(label: str) -> str:
    """`4 bits` and `learned:300` as names of files say them."""
    return label.replace(" bits", "b").replace("learned:", "") + "ebops" * ("learned" in label)
