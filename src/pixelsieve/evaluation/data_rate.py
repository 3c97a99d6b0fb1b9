"""What the detector gains: what leaves the first layer before and after, and whose signal pays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, inf, log10, pi, sqrt
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import require_between
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import MUON_COLLIDER_VXD, Barrel
from pixelsieve.evaluation.baselines import time_of
from pixelsieve.metrics.metrics import EFFICIENCIES, rejection_at

_PT_EDGES_GEV = (0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.5, 1, 2, 5, 10, 50, inf)
"""BIB has some MeV, signal some GeV."""

_TIME_EDGES_NS = (-inf, -0.09, 0.15, 0.5, 1, 5, inf)
"""-0.09 to 0.15 ns is the window of the usual reconstruction."""
_SIZE_EDGES = (1, 2, 3, 4, 6, 9, 15, 25, inf)
_PLACES = 6


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How much BIB meets the layer, and what reading it out takes.

    `clusters_per_cm2` a crossing, before any cut; `bits_per_pixel` are address, charge, time and
    protocol of one pixel. Raises `ConfigError` for values out of range.
    """

    clusters_per_cm2: float
    crossings_per_s: float
    bits_per_pixel: float

    def __post_init__(self) -> None:
        require_between(self, "clusters_per_cm2", 0.0, 1e7)
        require_between(self, "crossings_per_s", 0.0, 1e9)
        require_between(self, "bits_per_pixel", 1.0, 10_000.0)


OCCUPANCIES = MappingProxyType({MUON_COLLIDER_VXD.name: Occupancy(1000.0, 30_000.0, 32.0)})
"""By detector. Crossings are those of the ring; density and bits only give the scale (see docs)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What is read out where `signal_efficiency` (as achieved) is kept.

    `bib_clusters` and `bib_pixels` are the shares of the BIB that are left, `bib_pixels` None where
    the BIB has no pixel above 0 e. The others, None where no occupancy is given, are of the whole
    layer: clusters a cm^2 and crossing, and Gbit/s of BIB pixels.
    """

    efficiency: float
    signal_efficiency: float
    bib_clusters: float
    bib_pixels: float | None
    clusters_per_cm2: float | None
    pixels_per_cm2: float | None
    gbit_per_s: float | None


@dataclass(frozen=True, slots=True)
class Slice:
    """Clusters with `low` <= `variable` < `high` (`unit`), and the shares of them that are kept.

    Intervals are Wilson's, 68 %; None where there is no cluster of that kind.
    """

    variable: str
    unit: str
    low: float | None
    high: float | None
    n_signal: int
    n_bib: int
    signal_kept: tuple[float, float, float] | None
    bib_kept: tuple[float, float, float] | None


def layer_area_cm2(barrel: Barrel) -> float:
    """The cylinder at the layer's radius."""
    return 2 * pi * barrel.radius_mm * 2 * barrel.half_length_mm / 100


def data_rates(
    scores: NDArray[Any],
    clusters: Clusters,
    occupancy: Occupancy | None,
    *,
    read_out: float = 1.0,
) -> list[Rate]:
    """Before (everything is kept), and at each efficiency of `EFFICIENCIES`.

    `scores` (n,) grow with the likeness to signal; a cluster's pixels are those above 0 e.
    `read_out` is the share of the BIB clusters that the front end reads out at all.
    """
    pixels = (clusters.pixels_e > 0).sum(axis=(1, 2))
    bib = clusters.signal == 0
    n_pixels = pixels[bib].sum()
    area = layer_area_cm2(clusters.detector.barrel)
    rates = []
    for efficiency in (1.0, *EFFICIENCIES[::-1]):
        kept = np.ones(len(scores), np.bool_)
        if efficiency < 1:
            kept = scores >= rejection_at(scores, clusters.signal, efficiency)[2]
        share = float(kept[bib].mean())
        of_pixels = float(pixels[bib & kept].sum() / n_pixels) if n_pixels else None
        density = per_cm2 = gbit = None
        if occupancy is not None:
            density = occupancy.clusters_per_cm2 * read_out * share
            before = occupancy.clusters_per_cm2 * read_out * float(pixels[bib].mean())
            per_cm2 = before * (of_pixels or 0.0)
            gbit = per_cm2 * area * occupancy.crossings_per_s * occupancy.bits_per_pixel / 1e9
        achieved = float(kept[~bib].mean())
        rates.append(Rate(efficiency, achieved, share, of_pixels, density, per_cm2, gbit))
    return rates


def slices(kept: NDArray[Any], clusters: Clusters) -> list[Slice]:
    """Shares kept by transverse momentum, place, number of pixels, and arrival time.

    `kept` (n,) says which clusters are kept, or by which share of several networks (0 to 1); the
    interval then is of the mean share. Momentum and true time are there for simulated clusters
    alone (`truth`); without a true time it is a measured one. A pixel is one above 0 e.
    """
    barrel = clusters.detector.barrel
    z = _round_edges(-barrel.half_length_mm, barrel.half_length_mm)
    y = _round_edges(barrel.y_low_mm, barrel.y_high_mm)
    variables = [
        ("z_global", "mm", clusters.z_global_mm, (-inf, *z, inf)),
        ("y_local", "mm", clusters.y_local_mm, (-inf, *y, inf)),
        ("cluster_size", "pixels", (clusters.pixels_e > 0).sum(axis=(1, 2)), _SIZE_EDGES),
    ]
    truth = clusters.truth
    if "truth_pt_gev" in truth:
        variables.insert(0, ("truth_pt", "GeV", truth["truth_pt_gev"], _PT_EDGES_GEV))
    time = time_of(clusters)
    if "hit_time_ns" in truth:
        variables.append(("hit_time", "ns", truth["hit_time_ns"], _TIME_EDGES_NS))
    elif time is not None:
        variables.append((time, "ns", getattr(clusters, f"{time}_ns"), _TIME_EDGES_NS))
    found = []
    for name, unit, values, edges in variables:
        column = np.asarray(values, np.float64)
        for low, high in pairwise(edges):
            inside = (column >= low) & (column < high)
            if inside.any():
                signal, bib = (inside & (clusters.signal == label) for label in (1, 0))
                counts = int(signal.sum()), int(bib.sum())
                shares = _share(kept[signal]), _share(kept[bib])
                found.append(Slice(name, unit, _end(low), _end(high), *counts, *shares))
    return found


def _round_edges(low: float, high: float) -> list[float]:
    """Multiples of a round step between `low` and `high`, for about `_PLACES` slices."""
    rough = (high - low) / _PLACES
    power = 10 ** floor(log10(rough))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - rough))
    edges = [i * step for i in range(ceil(low / step), floor(high / step) + 1)]
    return [e for e in edges if low + step / 2 <= e <= high - step / 2]


def _end(edge: float) -> float | None:
    return float(edge) if np.isfinite(edge) else None


def _share(kept: NDArray[Any]) -> tuple[float, float, float] | None:
    """Share with its interval at one standard deviation (Wilson 1927): value, low, high."""
    n = len(kept)
    if not n:
        return None
    share = float(kept.mean())
    centre = (share + 1 / (2 * n)) / (1 + 1 / n)
    half = sqrt(share * (1 - share) / n + 1 / (4 * n * n)) / (1 + 1 / n)
    return share, max(centre - half, 0.0), min(centre + half, 1.0)
