"""Histograms of a data set by class, and single clusters to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.clusters import Clusters

__all__ = ["display", "displays", "distributions"]

Values = NDArray[Any]

_BINS = 50
_MOST_PIXELS = 60
_TIMES_NS = np.linspace(-0.5, 2.5, 61)
_MARGIN_MM = 0.1


@dataclass(frozen=True, slots=True)
class _Quantity:
    """What to count: values of some clusters (None: not there) in bins that fit the detector."""

    label: str
    scale: Literal["linear", "log"]
    edges: Callable[[Clusters], Values]
    values: Callable[[Clusters], Values | None]


def _whole(count: int) -> Values:
    return np.arange(count + 1) + 0.5


def _y_edges(clusters: Clusters) -> Values:
    barrel = clusters.detector.barrel
    return np.linspace(barrel.y_low_mm - _MARGIN_MM, barrel.y_high_mm + _MARGIN_MM, _BINS + 1)


_QUANTITIES = {
    "total_charge_e": _Quantity(
        "cluster charge (e)",
        "log",
        lambda _: np.logspace(2.5, 5, _BINS + 1),
        lambda c: np.asarray(c.pixels_e.sum(axis=(1, 2))),
    ),
    "pixel_charge_e": _Quantity(
        "pixel charge (e), pixels above 0 e",
        "log",
        lambda _: np.logspace(1, 5, _BINS + 1),
        lambda c: c.pixels_e[c.pixels_e > 0],
    ),
    "x_size": _Quantity(
        "columns hit (x)",
        "linear",
        lambda c: _whole(c.detector.sensor.columns),
        lambda c: (c.pixels_e > 0).any(axis=1).sum(axis=1),
    ),
    "y_size": _Quantity(
        "rows hit (y)",
        "linear",
        lambda c: _whole(c.detector.sensor.rows),
        lambda c: (c.pixels_e > 0).any(axis=2).sum(axis=1),
    ),
    "n_pixels": _Quantity(
        "pixels hit",
        "linear",
        lambda _: _whole(_MOST_PIXELS),
        lambda c: np.asarray((c.pixels_e > 0).sum(axis=(1, 2))),
    ),
    "abs_z_global_mm": _Quantity(
        "|z_global| (mm)",
        "linear",
        lambda c: np.linspace(0, c.detector.barrel.half_length_mm, _BINS + 1),
        lambda c: np.abs(c.z_global_mm),
    ),
    "y_local_mm": _Quantity("y_local (mm)", "linear", _y_edges, lambda c: c.y_local_mm),
    "hit_time_30ps_ns": _Quantity(
        "time, 30 ps (ns)", "linear", lambda _: _TIMES_NS, lambda c: c.hit_time_30ps_ns
    ),
    "hit_time_60ps_ns": _Quantity(
        "time, 60 ps (ns)", "linear", lambda _: _TIMES_NS, lambda c: c.hit_time_60ps_ns
    ),
    "hit_time_measured_ns": _Quantity(
        "time, measured (ns)", "linear", lambda _: _TIMES_NS, lambda c: c.hit_time_measured_ns
    ),
    "hit_time_ns": _Quantity(
        "time, truth (ns)", "linear", lambda _: _TIMES_NS, lambda c: c.truth.get("hit_time_ns")
    ),
}


def distributions(clusters: Clusters) -> dict[str, Any]:
    """Histograms by name: `label`, `scale`, `edges`, counts of `signal` and `bib`, `outside`.

    `outside` counts, by class, what lies beyond the edges. Columns that are not there are left out.
    """
    classes = {
        kind: clusters.select(np.flatnonzero(clusters.signal == label))
        for kind, label in (("signal", 1), ("bib", 0))
        if np.any(clusters.signal == label)
    }
    found = {}
    for name, quantity in _QUANTITIES.items():
        edges = quantity.edges(clusters)
        one: dict[str, Any] = {"label": quantity.label, "scale": quantity.scale}
        one |= {"edges": edges.tolist(), "outside": {}}
        for kind in ("signal", "bib"):
            values = quantity.values(classes[kind]) if kind in classes else np.zeros(0)
            if values is None:
                break
            counts, _ = np.histogram(values, edges)
            one[kind] = counts.tolist()
            one["outside"][kind] = len(values) - int(counts.sum())
        else:
            found[name] = one
    return found


def displays(clusters: Clusters, count: int) -> dict[str, list[dict[str, Any]]]:
    """`count` clusters of each class, evenly spaced over the rows, with their charges."""
    chosen: dict[str, list[dict[str, Any]]] = {}
    for kind, label in (("signal", 1), ("bib", 0)):
        rows = np.flatnonzero(clusters.signal == label)
        which = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
        chosen[kind] = [display(clusters, int(row)) for row in rows[which]]
    return chosen


def display(clusters: Clusters, row: int) -> dict[str, Any]:
    """One cluster to look at: where it is and the charge of each pixel."""
    return {
        "row": row,
        "z_global_mm": round(float(clusters.z_global_mm[row]), 3),
        "y_local_mm": round(float(clusters.y_local_mm[row]), 3),
        "pixels_e": clusters.pixels_e[row].round(1).tolist(),
    }
