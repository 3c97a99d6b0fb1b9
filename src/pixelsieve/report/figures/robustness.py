"""Signal efficiency and BIB rejection at a frozen threshold, a line a changed detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixelsieve.report.charts import colours
from pixelsieve.report.plot import canvas, colour

__all__ = ["robustness"]

_PANELS = (("signal_efficiency", "signal efficiency"), ("rejection", "BIB rejection"))


def robustness(result: Mapping[str, Any], path: Path) -> None:
    """Frozen thresholds filled, those set again open; bars are statistical, lines nominal."""
    approaches: Sequence[Mapping[str, Any]] = result["approaches"]
    names = [one["approach"] for one in approaches]
    rows = approaches[0]["rows"]
    labels = [row["label"] for row in rows]
    breaks = [i for i in range(1, len(rows)) if rows[i]["kind"] != rows[i - 1]["kind"]]
    with canvas(path, (9.0, 1.6 + 0.24 * len(labels)), 1, len(_PANELS)) as figure:
        for axes, (metric, title) in zip(figure.axes, _PANELS, strict=True):
            for number, approach in enumerate(approaches):
                shift = 0.16 * (number - (len(names) - 1) / 2)
                _draw(axes, approach, metric, shift, colour(colours(names)[approach["approach"]]))
            axes.set_xlabel(title)
            axes.set_ylim(len(labels) - 0.5, -0.5)
            axes.set_yticks(range(len(labels)), labels)
            axes.set_yticks([], minor=True)
            axes.grid(axis="y", lw=0.3)
            for row in breaks:
                axes.axhline(row - 0.5, color="#777777", lw=0.6)
        figure.axes[1].tick_params(labelleft=False)
        figure.legend(loc="outside upper center", ncols=2 * len(names))


def _draw(axes: Any, approach: Mapping[str, Any], metric: str, shift: float, colour: str) -> None:
    rows, name = approach["rows"], approach["approach"]
    legend = metric == "rejection"
    styles = {metric: (f"{name}, frozen", colour)}
    if legend:
        styles["rejection_reset"] = (f"{name}, set again", "none")
    for key, (label, fill) in styles.items():
        found = [(i + shift, row["figures"][key]) for i, row in enumerate(rows)]
        there = [(y, one) for y, one in found if one["mean"] is not None]
        axes.errorbar(
            [one["mean"] for _, one in there],
            [y for y, _ in there],
            xerr=[one["error"] or 0.0 for _, one in there],
            fmt="o",
            ms=4,
            lw=1,
            color=colour,
            mfc=fill,
            label=label if legend else None,
        )
    nominal = rows[0]["figures"][metric]["mean"]
    if nominal is not None:
        axes.axvline(nominal, color=colour, lw=0.8, ls=":")
