"""Signal efficiency and BIB rejection at a frozen threshold, a line per changed detector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelsieve.report.colours import colours
from pixelsieve.report.plot import canvas, colour

if TYPE_CHECKING:
    from pixelsieve.studies.robustness import ApproachRobustness, RobustnessResult

__all__ = ["robustness"]

_PANELS = (("signal_efficiency", "signal efficiency"), ("rejection", "BIB rejection"))


def robustness(result: RobustnessResult, path: Path) -> None:
    """Draw frozen thresholds filled, those set again open; bars are statistical, lines nominal."""
    hues = colours([one.approach for one in result.approaches])
    rows = result.approaches[0].rows
    labels = [row.label for row in rows]
    breaks = [i for i in range(1, len(rows)) if rows[i].kind != rows[i - 1].kind]
    with canvas(path, (9.0, 1.6 + 0.24 * len(labels)), 1, len(_PANELS)) as figure:
        for axes, (metric, title) in zip(figure.axes, _PANELS, strict=True):
            for number, one in enumerate(result.approaches):
                shift = 0.16 * (number - (len(hues) - 1) / 2)
                _draw(axes, one, metric, shift, colour(hues[one.approach]))
            axes.set_xlabel(title)
            axes.set_ylim(len(labels) - 0.5, -0.5)
            axes.set_yticks(range(len(labels)), labels)
            axes.set_yticks([], minor=True)
            axes.grid(axis="y", lw=0.3)
            for row in breaks:
                axes.axhline(row - 0.5, color="#777777", lw=0.6)
        figure.axes[1].tick_params(labelleft=False)
        figure.legend(loc="outside upper center", ncols=2 * len(hues))


def _draw(axes: Any, one: ApproachRobustness, metric: str, shift: float, hue: str) -> None:
    rows, name = one.rows, one.approach
    legend = metric == "rejection"
    styles = {metric: (f"{name}, frozen", hue)}
    if legend:
        styles["rejection_reset"] = (f"{name}, set again", "none")
    for key, (label, fill) in styles.items():
        found = [(i + shift, row.figures[key]) for i, row in enumerate(rows)]
        there = [(y, merit.mean, merit.error) for y, merit in found if merit.mean is not None]
        axes.errorbar(
            [mean for _, mean, _ in there],
            [y for y, *_ in there],
            xerr=[error or 0.0 for *_, error in there],
            fmt="o",
            ms=4,
            lw=1,
            color=hue,
            mfc=fill,
            label=label if legend else None,
        )
    nominal = rows[0].figures[metric].mean
    if nominal is not None:
        axes.axvline(nominal, color=hue, lw=0.8, ls=":")
