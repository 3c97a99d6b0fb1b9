"""Figures of merit against the bits of a weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelsieve.report.figures.canvas import canvas, colour_of

__all__ = ["metric_against_bits"]

# Metric, label, and how far below the best the axis reaches; what lies lower is drawn as a
# triangle on the edge.
_PANELS = (
    ("accuracy", "accuracy", 0.04),
    ("auc", "AUC", 0.03),
    ("rejection_98", "rejection at 98 %", 0.15),
)

_SHIFT = 1.02
"""Between the points of one width, as a factor, since the axis is logarithmic."""


def metric_against_bits(metrics: Mapping[str, Any], path: Path) -> None:
    """Mean over seeds with the spread as bars, side by side; float as a band.

    It takes two widths or more.
    """
    rows = metrics["rows"]
    every = list(dict.fromkeys(r["approach"] for r in rows))
    rows = [r for r in rows if not isinstance(r["bits"], str)]
    approaches = [a for a in every if any(r["approach"] == a for r in rows)]
    beside = [a for a in approaches if any(r["bits"] for r in rows if r["approach"] == a)]
    with canvas(path, (12.0, 4.2), 1, len(_PANELS)) as figure:
        for axes, (metric, label, reach) in zip(figure.axes, _PANELS, strict=True):
            best = max(r["summary"][metric]["mean"] for r in rows)
            bottom = best - reach
            for approach in approaches:
                points = [r for r in rows if r["approach"] == approach]
                values = [r["summary"][metric] for r in points]
                means, spreads = [v["mean"] for v in values], [v["spread"] for v in values]
                colour = colour_of(approach, every)
                if points[0]["bits"] is None:
                    axes.axhline(means[0], color=colour, ls="--", label=approach)
                    axes.axhspan(
                        means[0] - spreads[0], means[0] + spreads[0], color=colour, alpha=0.1
                    )
                else:
                    shift = _SHIFT ** (beside.index(approach) - (len(beside) - 1) / 2)
                    bits = [shift * r["bits"] for r in points]
                    axes.errorbar(bits, means, spreads, fmt="o-", color=colour, label=approach)
                    off = [b for b, m in zip(bits, means, strict=True) if m < bottom]
                    edge = [bottom + 0.02 * reach] * len(off)
                    axes.plot(off, edge, "v", ms=10, color=colour)
            axes.set_ylim(bottom, best + reach / 5)
            axes.set_xscale("log", base=2)
            widths = sorted({r["bits"] for r in rows if r["bits"]})
            axes.set_xticks(widths, [str(w) for w in widths], minor=False)
            axes.set_xticks([], minor=True)
            axes.set_xlabel("bits of a weight")
            axes.set_ylabel(label)
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(),
            loc="outside upper center",
            ncols=len(approaches),
        )
