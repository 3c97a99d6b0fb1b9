"""Figures of runs as PNG and PDF files: charts, clusters, robustness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pixelsieve.core.errors import ConfigError, nearest
from pixelsieve.core.files import telling_unwritable
from pixelsieve.core.runs import RunFolder
from pixelsieve.display.axes import (
    LOWEST_PIXEL_E,
    canvas,
    colour,
    draw_images,
    drawing,
    figure,
    shifted,
)
from pixelsieve.display.spec import Choice
from pixelsieve.networks.precision import bits_suffix
from pixelsieve.reporting.charts import bits_choices, colours, drawn, widths
from pixelsieve.reporting.record import RunRecord
from pixelsieve.studies.explain import SeenClusters
from pixelsieve.studies.inspect import Display
from pixelsieve.studies.robustness import ApproachRobustness, RobustnessResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOWEST_MEAN_E = 1.0
_COLUMNS = {"slices": 2, "training_curves": 4}
_SIZES = {"roc": (5.0, 4.4), "slices": (5.5, 3.2), "pareto": (6.0, 4.8), "volume": (6.0, 4.8)}

CLASS_COLOURS = {"signal": ("signal", colour(0)), "bib": ("BIB", colour(1))}
"""Name and colour of each class."""


def figures_of_run(run: RunRecord) -> list[str]:
    """Draw what the run's JSON holds into its folder figures/; return paths without suffix.

    Raise `RunError` if the folder cannot be written.
    """
    folder = RunFolder(run.path).figures
    with telling_unwritable(folder):
        folder.mkdir(exist_ok=True)
        names = [_draw(name, one, folder) for name, one in _charts_of(run)]
        if run.curves is not None:
            mean_clusters(run.curves.seen, folder / "mean_clusters")
            names.append("mean_clusters")
    return [str(folder / name) for name in names]


def figures_of_comparison(run: RunRecord) -> None:
    """Draw those that `compare` draws: ROC, figures of merit by bits, training curves."""
    charts = dict(_charts_of(run))
    if run.comparison is not None:
        charts["metric_against_bits"] = bits_choices(run.comparison)
    for name, one in charts.items():
        if name.startswith(("roc", "metric", "training")) and one:
            _draw(name, one, RunFolder(run.path).figures)


def _charts_of(run: RunRecord) -> list[tuple[str, tuple[Choice, ...]]]:
    """Return the figures by the name of their file; slices and training are one per width."""
    rows = run.comparison.rows if run.comparison else ()
    found = drawn(run, [r.approach for r in rows])
    named: list[tuple[str, tuple[Choice, ...]]] = [
        ("metric_against_bits" if name == "bits" else name, found[name])
        for name in ("pareto", "roc", "bits", "scores")
        if name in found
    ]
    bits = widths(run.curves.rows) if run.curves else []
    for width, one in zip(bits, found.get("slices", ()), strict=False):
        named.append((f"slices_{bits_suffix(width)}", (one,)))
    for width, one in zip(widths(run.jobs.values()), found.get("training", ()), strict=False):
        named.append((f"training_curves_{bits_suffix(width)}", (one,)))
    return named


def _draw(name: str, choices: tuple[Choice, ...], folder: Path) -> str:
    kind = next((k for k in (*_COLUMNS, *_SIZES) if name.startswith(k)), "")
    size, columns = _SIZES.get(kind, (4.6, 3.8)), _COLUMNS.get(kind, 3)
    figure(choices, folder / name, columns=columns, size=size)
    return name


def mean_clusters(seen: SeenClusters, path: Path) -> None:
    """Draw the mean charge of what a network keeps and loses: signal above, BIB below."""
    with canvas(path, (9.0, 6.4), 2, 2) as made:
        panels = []
        for axes, (name, group) in zip(made.axes, seen.groups.items(), strict=True):
            kind, fate = name.split("_")
            title = f"{CLASS_COLOURS[kind][0]}, {fate}: {group.clusters} clusters"
            shown = group.mean_e and np.ma.masked_less(np.array(group.mean_e), _LOWEST_MEAN_E)
            panels.append((axes, title, shown))
        draw_images(made, panels, _LOWEST_MEAN_E, "mean charge (e)")


def event_display(displays: Mapping[str, Sequence[Display]], path: Path) -> None:
    """Draw signal above, BIB below, pixels without charge blank; one logarithmic scale."""
    shown = {kind: displays[kind] for kind in CLASS_COLOURS if displays[kind]}
    columns = max(len(each) for each in shown.values())
    with canvas(path, (4.2 * columns, 3.1 * len(shown)), len(shown), columns) as made:
        grid = np.array(made.axes).reshape(len(shown), columns)
        panels = []
        for line, (kind, each) in zip(grid, shown.items(), strict=True):
            for unused in line[len(each) :]:
                unused.remove()
            for axes, one in zip(line, each, strict=False):
                place = f"z {one.z_global_mm:.1f} mm, y {one.y_local_mm:.1f} mm"
                pixels = np.ma.masked_less_equal(np.array(one.pixels_e), 0)
                panels.append((axes, f"{CLASS_COLOURS[kind][0]}, {place}", pixels))
        draw_images(made, panels, LOWEST_PIXEL_E, "charge (e)")


_PANELS = {"signal_efficiency": "signal efficiency", "rejection": "BIB rejection"}


def robustness(result: RobustnessResult, path: Path) -> None:
    """Draw frozen thresholds filled, those set again open; bars are statistical, lines nominal."""
    with canvas(path, _robustness_size(result, 9.0), 1, len(_PANELS)) as figure:
        for axes, metric in zip(figure.axes, _PANELS, strict=True):
            _draw_panel(axes, result, metric, legend=metric == "rejection")
        figure.axes[1].tick_params(labelleft=False)
        figure.legend(loc="outside upper center", ncols=2 * len(result.approaches))


def robustness_panel(result: RobustnessResult, metric: str, ax: Axes | None = None) -> Axes:
    """Draw one of the two panels into `ax` or into new axes; return them.

    Raise `ConfigError` for a figure that is not drawn.
    """
    if metric not in _PANELS:
        msg = f"unknown figure '{metric}'{nearest(metric, _PANELS)}; known: {', '.join(_PANELS)}"
        raise ConfigError(msg)
    with drawing(ax, _robustness_size(result, 5.6)) as (axes, taken):
        _draw_panel(axes, result, metric, legend=True, taken=taken)
        axes.legend()
    return axes


def _robustness_size(result: RobustnessResult, width: float) -> tuple[float, float]:
    return width, 1.6 + 0.24 * len(result.approaches[0].rows)


def _draw_panel(
    axes: Axes, result: RobustnessResult, metric: str, *, legend: bool, taken: int = 0
) -> None:
    hues = colours([one.approach for one in result.approaches])
    rows = result.approaches[0].rows
    labels = [row.label for row in rows]
    breaks = [i for i in range(1, len(rows)) if rows[i].kind != rows[i - 1].kind]
    for number, one in enumerate(result.approaches):
        shift = 0.16 * (number - (len(hues) - 1) / 2)
        hue = colour(shifted(hues[one.approach], taken))
        _draw_approach(axes, one, metric, shift, hue, legend=legend)
    axes.set_xlabel(_PANELS[metric])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_yticks([], minor=True)
    axes.grid(axis="y", lw=0.3)
    for row in breaks:
        axes.axhline(row - 0.5, color="#777777", lw=0.6)


def _draw_approach(
    axes: Axes, one: ApproachRobustness, metric: str, shift: float, hue: str, *, legend: bool
) -> None:
    rows, name = one.rows, one.approach
    styles = {metric: (f"{name}, frozen", hue)}
    if metric == "rejection":
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
