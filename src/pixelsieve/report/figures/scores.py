"""Histograms of the scores of signal and BIB, a panel an approach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixelsieve.networks.precision import bits_text
from pixelsieve.report.figures.canvas import CLASS_COLOURS, canvas

__all__ = ["scores"]

_COLUMNS = 3


def scores(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """From rows of curves.json: counts of all seeds together, thresholds of 98 % as grey lines."""
    columns = min(len(rows), _COLUMNS)
    lines = -(-len(rows) // columns)
    with canvas(path, (4.6 * columns, 3.8 * lines), lines, columns) as figure:
        for unused in figure.axes[len(rows) :]:
            unused.remove()
        for axes, row in zip(figure.axes, rows, strict=True):
            histogram = row["histogram"]
            for threshold in row["thresholds"]:
                axes.axvline(threshold, color="#999999", lw=0.8)
            for kind, (label, colour) in CLASS_COLOURS.items():
                axes.stairs(histogram[kind], histogram["edges"], color=colour, label=label)
            axes.set_yscale("log")
            axes.set_xlabel("score (logit)")
            axes.set_ylabel("clusters a bin")
            bits = f", {bits_text(row['bits'])}" if row["bits"] else ""
            axes.set_title(f"{row['approach']}{bits}", loc="left")
        figure.axes[0].legend()
