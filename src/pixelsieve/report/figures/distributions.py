"""How signal and BIB are distributed: a panel a quantity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixelsieve.report.plot import CLASS_COLOURS, canvas

__all__ = ["distributions"]

_COLUMNS = 4
_FLAT = ("abs_z_global_mm", "y_local_mm")


def distributions(summary: Mapping[str, Any], path: Path) -> None:
    """Shares of each class by bin, from the histograms of `inspect`; log but for the places."""
    histograms = summary["distributions"]
    lines = -(-len(histograms) // _COLUMNS)
    with canvas(path, (3.8 * _COLUMNS, 3.2 * lines), lines, _COLUMNS) as figure:
        for unused in figure.axes[len(histograms) :]:
            unused.remove()
        for axes, (name, one) in zip(figure.axes, histograms.items(), strict=True):
            for kind, (label, colour) in CLASS_COLOURS.items():
                counts = np.array(one[kind], dtype=float)
                total = counts.sum() + one["outside"][kind]
                if total:
                    axes.stairs(counts / total, one["edges"], color=colour, label=label)
            axes.set_xscale(one["scale"])
            axes.set_yscale("linear" if name in _FLAT else "log")
            axes.set_xlabel(one["label"])
            axes.set_ylabel("share a bin")
        figure.axes[0].legend()
