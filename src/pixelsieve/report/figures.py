"""Figures as PNG and PDF files: charts by matplotlib in the field's style, clusters, robustness."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixelsieve.core.files import replacing, telling_unwritable
from pixelsieve.core.runs import RunFolder
from pixelsieve.networks.precision import bits_suffix
from pixelsieve.report.charts import bits_choices, colours, drawn, widths
from pixelsieve.report.record import RunRecord
from pixelsieve.report.spec import BASELINE, INK, Axis, Chart, Choice, Series
from pixelsieve.studies.explain import SeenClusters
from pixelsieve.studies.inspect import Display
from pixelsieve.studies.robustness import ApproachRobustness, RobustnessResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOWEST_MEAN_E, _LOWEST_PIXEL_E = 1.0, 10.0
_COLUMNS = {"slices": 2, "training_curves": 4}
_SIZES = {"roc": (5.0, 4.4), "slices": (5.5, 3.2), "pareto": (6.0, 4.8), "volume": (6.0, 4.8)}
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours that can be told apart by everyone (Okabe and Ito 2008)."""

CLASS_COLOURS = {"signal": ("signal", _PALETTE[0]), "bib": ("BIB", _PALETTE[1])}
"""Name and colour of each class."""

_NAMED = {INK: "#000000", BASELINE: "#777777"}
_LINES, _MARKERS = ("-", "--", ":"), ("o", "s", "D")
"""By the dash of a series, as on the page."""
_LEGEND_COLUMNS = 4
_MANY, _LONG = 4, 24
"""Categories, and letters of all of them, above which they are written aslant."""


def colour(one: int | str) -> str:
    """Return the colour of a series: its number in the palette, or its name."""
    return _NAMED[one] if isinstance(one, str) else _PALETTE[one % len(_PALETTE)]


@contextmanager
def canvas(
    path: Path, size: tuple[float, float] = (7.0, 5.0), rows: int = 1, columns: int = 1
) -> Iterator[Figure]:
    """Give a figure with a grid of axes; save it as `path`.png and `path`.pdf afterwards."""
    import matplotlib as mpl
    import mplhep
    from matplotlib.figure import Figure

    style = {
        **mplhep.style.CMS,
        "font.size": 11,
        "axes.titlesize": 11,
        "axes.labelsize": 12,
        "legend.fontsize": 9,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "figure.figsize": size,
        "lines.linewidth": 1.4,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "mathtext.fontset": "dejavusans",
    }
    with mpl.rc_context(style):
        made = Figure(figsize=size, layout="constrained")
        made.subplots(rows, columns, squeeze=False)
        yield made
        for suffix in (".png", ".pdf"):
            with replacing(path.with_name(path.name + suffix)) as temporary:
                made.savefig(temporary, dpi=150)


def figure(
    choices: Sequence[Choice],
    path: Path,
    *,
    columns: int = 3,
    size: tuple[float, float] = (4.6, 3.8),
) -> None:
    """Draw the charts of all choices, each once, into `path`.png and `path`.pdf.

    `size` is that of one chart in inches. A chart without a title has its choice's label.
    """
    titled = {chart: chart.title or choice.label for choice in choices for chart in choice.charts}
    columns = max(1, min(len(titled), columns))
    rows = max(1, -(-len(titled) // columns))
    with canvas(path, (size[0] * columns, size[1] * rows), rows, columns) as made:
        for unused in made.axes[len(titled) :]:
            unused.remove()
        legend: dict[str, Any] = {}
        for axes, (chart, title) in zip(made.axes, titled.items(), strict=True):
            _draw_chart(axes, chart)
            axes.set_title(title, loc="left")
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
                legend.setdefault(name, handle)
        if len(legend) > 1:
            made.legend(
                list(legend.values()),
                list(legend),
                loc="outside upper center",
                ncols=min(len(legend), _LEGEND_COLUMNS),
                title=choices[0].label if len(choices) == 1 else None,
            )


def _draw_chart(axes: Axes, chart: Chart) -> None:
    for mark in chart.marks:
        axes.axvline(mark, color="#999999", lw=0.8)
    for number, series in enumerate(chart.series):
        apart = min(0.08, 0.7 / len(chart.series)) if chart.x.categories else 0.0
        shift = apart * (number - (len(chart.series) - 1) / 2)
        _draw_series(axes, series, chart, shift)
    _set_x(axes, chart.x)
    axes.set_yscale("log" if chart.y.scale == "log" else "linear")
    axes.set_ylabel(chart.y.label)
    axes.set_ylim(chart.y.low, chart.y.high)
    if chart.y.high is not None and chart.y.scale != "log":
        low, high = axes.get_ylim()
        axes.set_ylim(top=high + 0.02 * (high - low))


def _set_x(axes: Axes, axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    if axis.categories:
        long = len(axis.categories) > _MANY and sum(map(len, axis.categories)) > _LONG
        aslant: dict[str, Any] = {"rotation": 20, "ha": "right"} if long else {}
        axes.set_xticks(range(len(axis.categories)), axis.categories, **aslant)
        axes.set_xticks([], minor=True)
        axes.set_xlim(-0.5, len(axis.categories) - 0.5)
    else:
        axes.set_xscale("log" if axis.scale == "log" else "linear")
        if axis.whole:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(axis.low, axis.high)
    axes.set_xlabel(axis.label)


def _draw_series(axes: Axes, series: Series, chart: Chart, shift: float) -> None:
    points = [p for p in series.points if p.y is not None and (p.y > 0 or chart.y.scale != "log")]
    y, hue = _as_float(p.y for p in points), colour(series.colour)
    places = {name: i for i, name in enumerate(chart.x.categories)}
    x = [places[p.x] + shift if isinstance(p.x, str) else float(p.x) for p in points]
    width = 0.9 if series.thin else None
    if series.draw == "step":
        edges = [float(p.x) for p in series.points]
        counts = [p.y or 0.0 for p in series.points[:-1]]
        axes.stairs(counts, edges, color=hue, label=series.name)
        return
    if series.draw == "line":
        dotted = isinstance(series.colour, int) and series.colour >= len(_PALETTE)
        line = ":" if dotted else _LINES[series.dash]
        if chart.x.categories:  # on both sides of the points of others
            x, y = [-0.5, *(at - shift for at in x), len(places) - 0.5], [y[0], *y, y[-1]]
        axes.plot(x, y, line, color=hue, lw=width, label=series.name)
        return
    if series.draw == "errors":  # a faint line, not across a category without a point
        there = {round(at - shift): value for at, value in zip(x, y, strict=True)}
        every = [(i + shift, there.get(i, math.nan)) for i in range(len(places))]
        axes.plot([at for at, _ in every], [one for _, one in every], color=hue, lw=0.8, alpha=0.4)
    low = _as_float(0.0 if p.low is None else max((p.y or 0.0) - p.low, 0.0) for p in points)
    high = _as_float(0.0 if p.high is None else max(p.high - (p.y or 0.0), 0.0) for p in points)
    axes.errorbar(
        x,
        y,
        [low, high],
        fmt=_MARKERS[series.dash] + ("-" if series.draw == "front" else ""),
        ms=4,
        mfc="none" if series.dash > 1 else hue,
        lw=1,
        color=hue,
        label=series.name,
    )


def _as_float(values: Iterator[float | None]) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]


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
        _draw_images(made, panels, _LOWEST_MEAN_E, "mean charge (e)")


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
        _draw_images(made, panels, _LOWEST_PIXEL_E, "charge (e)")


def _draw_images(
    made: Figure, panels: Sequence[tuple[Axes, str, Any]], lowest_e: float, label: str
) -> None:
    """Draw charges (None: none) by one logarithmic scale that begins at `lowest_e`."""
    from matplotlib.colors import LogNorm

    highest = (float(pixels.data.max()) for _, _, pixels in panels if pixels is not None)
    norm = LogNorm(lowest_e, max(2 * lowest_e, *highest), clip=True)
    image = None
    for axes, title, pixels in panels:
        axes.set_title(title, loc="left")
        axes.set_xlabel("column (x)")
        axes.set_ylabel("row (y)")
        if pixels is not None:
            image = axes.imshow(pixels, norm=norm, cmap="viridis_r", origin="lower")
    if image is not None:
        made.colorbar(image, ax=made.axes, label=label)


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
                _draw_approach(axes, one, metric, shift, colour(hues[one.approach]))
            axes.set_xlabel(title)
            axes.set_ylim(len(labels) - 0.5, -0.5)
            axes.set_yticks(range(len(labels)), labels)
            axes.set_yticks([], minor=True)
            axes.grid(axis="y", lw=0.3)
            for row in breaks:
                axes.axhline(row - 0.5, color="#777777", lw=0.6)
        figure.axes[1].tick_params(labelleft=False)
        figure.legend(loc="outside upper center", ncols=2 * len(hues))


def _draw_approach(axes: Any, one: ApproachRobustness, metric: str, shift: float, hue: str) -> None:
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
