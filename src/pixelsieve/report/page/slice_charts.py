"""Rejection and signal efficiency by slices of the test split, as plain data of charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixelsieve.report.colours import BASELINE, colours
from pixelsieve.report.page.charts import DASH, Chart, Figure, axis, by_bits, series_of, short

__all__ = ["slices_figure"]

_FEWEST = 10
"""Clusters in a slice that is drawn: fewer say nothing and stretch the axis."""

_MEV_BELOW_GEV = 0.5
_VARIABLES = {
    "truth_pt": ("true transverse momentum", "GeV"),
    "z_global": ("z along the beam", "mm"),
    "y_local": ("y across the ladder", "mm"),
    "cluster_size": ("cluster size", "pixels"),
    "hit_time": ("true arrival time", "ns"),
    "hit_time_measured": ("measured arrival time", "ns"),
    "hit_time_30ps": ("arrival time, 30 ps", "ns"),
    "hit_time_60ps": ("arrival time, 60 ps", "ns"),
}
_KINDS = {"bib_kept": ("BIB rejection", "n_bib"), "signal_kept": ("signal efficiency", "n_signal")}

Slice = Mapping[str, Any]


def slices_figure(curves: Mapping[str, Any], approaches: Sequence[str] = ()) -> Figure:
    """Two charts a variable; without a slice of `_FEWEST` clusters a chart is left out.

    `approaches` in the order of the other figures have the colours that they have there.
    """
    rows, baselines = curves["rows"], curves["baselines"]
    colour = colours([*approaches, *(r["approach"] for r in rows)])
    variables = list(dict.fromkeys(s["variable"] for s in rows[0]["slices"]))
    figure = []
    for label, which in by_bits(rows):
        drawn = [(rows[i], colour[rows[i]["approach"]], 0) for i in which]
        drawn += [(one, BASELINE, 1 + i) for i, one in enumerate(baselines)]
        charts = []
        for variable in variables:
            both = [_chart(drawn, variable, kind) for kind in _KINDS]
            charts.append([c for c in both if c["x"]["categories"]])
        charts.sort(key=len, reverse=True)  # those side by side first
        figure.append({"label": label, "charts": [c for both in charts for c in both]})
    return figure


def _chart(
    drawn: Sequence[tuple[Mapping[str, Any], int | str, int]], variable: str, kind: str
) -> Chart:
    what, count = _KINDS[kind]
    every = [s for s in drawn[0][0]["slices"] if s["variable"] == variable]
    filled = [i for i, s in enumerate(every) if s[count] >= _FEWEST]
    span = range(filled[0], filled[-1] + 1) if len(filled) > 1 else range(0)
    name, unit = _VARIABLES.get(variable, (variable, ""))
    if variable == "truth_pt" and span and (every[span[-1]]["high"] or 1) <= _MEV_BELOW_GEV:
        unit = "MeV"
    told = [_range(s, unit) for s in every]
    series = []
    for row, colour, dash in drawn:
        mine = [s for s in row["slices"] if s["variable"] == variable]
        points = [_point(mine[i], kind, told[i]) for i in filled if i in span]
        series.append(series_of(row["approach"], colour, "errors", points, dash=dash))
    label = f"{name} ({unit})" if unit else name
    return {
        "pair": True,
        "title": f"{what} by {name}",
        "x": axis(label, "category", categories=[told[i] for i in span]),
        "y": axis(what, high=1.0),
        "series": series,
    }


def _point(one: Slice, kind: str, told: str) -> list[Any]:
    value, low, high = one[kind]
    if kind == "bib_kept":
        value, low, high = 1 - value, 1 - high, 1 - low
    return [told, short(value), short(low), short(high), f"n = {one[_KINDS[kind][1]]}"]


def _range(one: Slice, unit: str) -> str:
    low, high = one["low"], one["high"]
    if one["variable"] == "cluster_size":
        if high is None:
            return f"≥ {low:.0f}"
        return f"{low:.0f}" if high == low + 1 else f"{low:.0f}{DASH}{high - 1:.0f}"
    scale = 1000 if unit == "MeV" else 1
    low, high = (
        None if v is None else f"{scale * v:.3g}".replace("-", "\N{MINUS SIGN}")
        for v in (low, high)
    )
    if low is None:
        return f"< {high}"
    return f"≥ {low}" if high is None else f"{low} to {high}"
