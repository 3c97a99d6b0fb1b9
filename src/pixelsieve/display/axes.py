"""Draw charts and images by matplotlib, in the field's style (mplhep)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelsieve.core.files import replacing
from pixelsieve.display.spec import BASELINE, INK, Axis, Chart, Choice, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours that can be told apart by everyone (Okabe and Ito 2008)."""

LOWEST_PIXEL_E = 10.0
"""Where the scale of the charge of pixels begins."""

_NAMED = {INK: "#000000", BASELINE: "#777777"}
_LINES, _MARKERS = ("-", "--", ":"), ("o", "s", "D")
"""By the dash of a series, as on the page."""
_LEGEND_COLUMNS = 4
_MANY, _LONG = 4, 24
"""Categories, and letters of all of them, above which they are written aslant."""


def colour(one: int | str) -> str:
    """Return the colour of a series: its number in the palette, or its name."""
    return _NAMED[one] if isinstance(one, str) else _PALETTE[one % len(_PALETTE)]


def draw(chart: Chart, ax: Axes | None = None) -> Axes:
    """Draw a chart into `ax`, or into new axes in the field's style; return them.

    Beside what is drawn there its series have other colours, and all are in one legend.
    """
    with drawing(ax, (5.0, 4.2)) as (axes, taken):
        apart = (replace(s, colour=shifted(s.colour, taken)) for s in chart.series)
        _draw_chart(axes, replace(chart, series=tuple(apart)))
        if chart.title:
            axes.set_title(chart.title, loc="left")
        if taken + len(chart.series) > 1:
            axes.legend()
    return axes


@contextmanager
def drawing(ax: Axes | None, size: tuple[float, float]) -> Iterator[tuple[Axes, int]]:
    """Give `ax` and how many series it has, or axes of a new figure that pyplot shows, styled."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    if ax is not None:
        yield ax, len(ax.get_legend_handles_labels()[1])
        return
    with mpl.rc_context(_style(size)):
        yield plt.subplots(layout="constrained")[1], 0


def shifted(one: int | str, taken: int) -> int | str:
    """Return the colour of a series beside so many others; one that has a name keeps it."""
    return one if isinstance(one, str) else one + taken


@contextmanager
def canvas(
    path: Path, size: tuple[float, float] = (7.0, 5.0), rows: int = 1, columns: int = 1
) -> Iterator[Figure]:
    """Give a figure with a grid of axes; save it as `path`.png and `path`.pdf afterwards."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_style(size)):
        made = Figure(figsize=size, layout="constrained")
        made.subplots(rows, columns, squeeze=False)
        yield made
        for suffix in (".png", ".pdf"):
            with replacing(path.with_name(path.name + suffix)) as temporary:
                made.savefig(temporary, dpi=150)


def _style(size: tuple[float, float]) -> dict[Any, Any]:
    import mplhep

    return {
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


def draw_image(pixels_e: NDArray[Any], title: str, ax: Axes | None = None) -> Axes:
    """Draw charges of one cluster, (rows, columns), into `ax` or into new axes; return them.

    An image that is there goes.
    """
    import numpy as np

    shown = np.ma.masked_less_equal(pixels_e, 0)
    with drawing(ax, (5.0, 3.4)) as (axes, _):
        for before in [*axes.images]:  # two images, or two scales, would hide each other
            if before.colorbar is not None:
                before.colorbar.remove()
            before.remove()
        draw_images(axes.figure, [(axes, title, shown)], LOWEST_PIXEL_E, "charge (e)")
    return axes


def draw_images(
    made: Figure | SubFigure, panels: Sequence[tuple[Axes, str, Any]], lowest_e: float, label: str
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
        made.colorbar(image, ax=[axes for axes, *_ in panels], label=label)
