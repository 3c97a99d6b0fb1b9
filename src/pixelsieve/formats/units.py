"""Columns whose values do not look like the unit in their name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.clusters import Clusters

__all__ = ["doubtful_units"]

_SHARE = 0.05
"""Share of a column's values outside of the detector that makes its unit doubtful."""

_SLACK = 0.1
"""Of the barrel's size; real samples reach 0.1 mm beyond it."""

_CHARGE_E_PER_UM = (10.0, 1200.0)
"""Median charge of a cluster a um of sensor: muons and BIB have about 100."""

_LATEST_NS = 25.0
"""The real samples end at 13 ns."""

_EARLIEST_NS = 1e-3
"""No clock tells times apart that all lie this close together."""


def doubtful_units(parts: Iterable[Clusters]) -> list[str]:
    """One line for each column that looks like another unit, of the first table that does.

    Collected charge is asked for, before any front end. Places are held against the barrel, charge
    against the sensor's thickness, times against a bunch crossing; nothing is refused, because a
    detector of one's own may be larger than the preset that its files are taken for.
    """
    found: dict[str, str] = {}
    for clusters in parts:
        for column, text in _of(clusters):
            found.setdefault(column, f"{clusters.origin}: column '{column}': {text}")
    return list(found.values())


def _of(clusters: Clusters) -> Iterable[tuple[str, str]]:
    barrel, name = clusters.detector.barrel, clusters.detector.name
    for column, low, high in (
        ("z_global_mm", -barrel.half_length_mm, barrel.half_length_mm),
        ("y_local_mm", barrel.y_low_mm, barrel.y_high_mm),
    ):
        slack = _SLACK * (high - low)
        share = _share_outside(clusters.columns()[column], low - slack, high + slack)
        if share > _SHARE:
            where = f"the {low:g} to {high:g} mm of {name}"
            yield column, f"{100 * share:.0f} % of the values lie outside {where}; is it in mm?"
    charge = clusters.pixels_e.clip(min=0).sum(axis=(1, 2), dtype=np.float64)
    median = float(np.median(charge[charge > 0])) if (charge > 0).any() else None
    lowest, highest = (c * clusters.detector.sensor.thickness_um for c in _CHARGE_E_PER_UM)
    if median is not None and not lowest <= median <= highest:
        usual = f"{lowest:g} to {highest:g} e are usual"
        yield (
            "pixels_e",
            f"the median charge of a cluster is {median:.3g} e ({usual}); is it in electrons?",
        )
    for column in ("hit_time_30ps_ns", "hit_time_60ps_ns", "hit_time_measured_ns", "hit_time_ns"):
        times = clusters.columns().get(column)
        if times is None:
            continue
        share = _share_outside(times, -_LATEST_NS, _LATEST_NS)
        if share > _SHARE:
            yield column, f"{100 * share:.0f} % of |t| are above {_LATEST_NS:g} ns; is it in ns?"
        elif 0 < np.abs(times).max() < _EARLIEST_NS:
            yield column, f"all |t| are below {1000 * _EARLIEST_NS:g} ps; is it in ns?"


def _share_outside(values: NDArray[Any], low: float, high: float) -> float:
    return float(np.mean((values < low) | (values > high)))
