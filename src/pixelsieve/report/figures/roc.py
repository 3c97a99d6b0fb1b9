"""ROC curves: share of BIB kept, on a log axis, against signal efficiency."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixelsieve.networks.precision import bits_order, bits_text
from pixelsieve.report.figures.canvas import BASELINE_COLOUR, BASELINE_LINES, canvas, colour_of

__all__ = ["roc"]

_COLUMNS = 3


def roc(metrics: Mapping[str, Any], path: Path) -> None:
    """One panel a width; curves are means over seeds at equal signal efficiency."""
    rows = metrics["rows"]
    widths = sorted({r["bits"] for r in rows if r["bits"]}, key=bits_order) or [None]
    approaches = [r["approach"] for r in rows]
    columns = min(len(widths), _COLUMNS)
    lines = -(-len(widths) // columns)
    with canvas(path, (5.0 * columns, 4.4 * lines), lines, columns) as figure:
        for unused in figure.axes[len(widths) :]:
            unused.remove()
        for axes, bits in zip(figure.axes, widths, strict=True):
            for row in rows:
                if row["bits"] in (bits, None):
                    _draw(axes, row, colour_of(row["approach"], approaches), "-")
            for row, style in zip(metrics["baselines"], BASELINE_LINES, strict=False):
                _draw(axes, row, BASELINE_COLOUR, style)
            axes.set_yscale("log")
            axes.set_xlim(0.8, 1.0)
            axes.set_ylim(0.01, 1.0)
            axes.set_xlabel("signal efficiency")
            axes.set_ylabel("share of BIB clusters kept")
            axes.set_title(bits_text(bits), loc="left")
            axes.legend(loc="upper left")


def _draw(axes: Any, row: Mapping[str, Any], colour: str, style: str) -> None:
    curve = row["roc"]
    kept = np.maximum(curve["bib_kept"], 1e-6)
    axes.plot(curve["signal_efficiency"], kept, style, color=colour, label=row["approach"])
