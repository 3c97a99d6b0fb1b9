"""The field's label columns, their names and units here; who is signal; time of flight."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError, nearest
from pixelsieve.data.clusters import Clusters, Columns
from pixelsieve.data.detector import MUON_PDG, Detector, straight_flight_ns

LABELS = MappingProxyType(
    {
        "x-entry": "truth_x_entry_um",
        "y-entry": "truth_y_entry_um",
        "z-entry": "truth_z_entry_um",
        "n_x": "truth_n_x",
        "n_y": "truth_n_y",
        "n_z": "truth_n_z",
        "number_eh_pairs": "total_charge_e",
        "y-local": "y_local_mm",
        "z-global": "z_global_mm",
        "pt": "truth_pt_gev",
        "hit_time": "truth_hit_time_ns",
        "PID": "truth_pdg",
        "cotAlpha": "truth_cot_alpha",
        "cotBeta": "truth_cot_beta",
        "adjusted_hit_time": "hit_time_ns",
        "adjusted_hit_time_30ps_gaussian": "hit_time_30ps_ns",
        "adjusted_hit_time_60ps_gaussian": "hit_time_60ps_ns",
        "hit_time_measured": "hit_time_measured_ns",
        "group_id": "group_id",
        "event_id": "event_id",
    }
)
"""Label column to column of `Clusters`; the last three are written by pixelsieve alone."""

_ALIASES = {"hit_z": "z-global"}
_NEEDED = ("y-local", "z-global")
_WHOLE: dict[str, type[np.signedinteger[Any]]] = {
    "PID": np.int32,
    "number_eh_pairs": np.int32,
    "group_id": np.int64,
    "event_id": np.int64,
}
_TRUTH = ("hit_time_ns", "total_charge_e")
_KINDS = re.compile(r"labels|recon[23]D")


def called_by_the_field(names: Iterable[str]) -> dict[str, str]:
    """Return those of `names` that are labels, by column of `Clusters`; `_` may stand for `-`."""
    spelled = {name.replace("-", "_"): name for name in names}
    labels = {alias: LABELS[name] for alias, name in _ALIASES.items()} | LABELS
    known = {name.replace("-", "_"): ours for name, ours in labels.items()}
    return {ours: spelled[name] for name, ours in known.items() if name in spelled}


def columns_of_labels(
    labels: Mapping[str, NDArray[Any]],
    path: Path,
    detector: Detector,
    *,
    signal: bool | None = None,
    z_global_mm: float | None = None,
    first_row: int = 0,
) -> Columns:
    """Label columns as arguments of `Clusters` (signal, positions, times, truth).

    Slopes and the time after flight are computed where they are missing, other columns left out.
    `signal` overrides `is_signal`, `z_global_mm` stands in for a column that LHC sets lack. Raise
    `DataError` for a missing column and for numbers that are not whole where they must be.
    """
    known = {_ALIASES.get(name, name): values for name, values in labels.items()}
    n = len(next(iter(known.values())))
    if "z-global" not in known and z_global_mm is not None:
        known["z-global"] = np.full(n, z_global_mm)
    for name in _NEEDED:
        if name not in known:
            hint = "; give its value by --z-global" if name == "z-global" else nearest(name, known)
            msg = f"{path}: label column '{name}' is missing{hint}"
            raise DataError(msg)
    _add_derived(known, detector)
    columns: Columns = {}
    truth: dict[str, NDArray[Any]] = {}
    for name, ours in LABELS.items():
        if name not in known:
            continue
        values = _typed(known[name], name, path, first_row)
        (truth if ours in _TRUTH or ours.startswith("truth_") else columns)[ours] = values
    pdg = truth.get("truth_pdg")
    columns["signal"] = is_signal(path, n, pdg, told=signal, first_row=first_row)
    return columns | {"truth": truth}


def _add_derived(known: dict[str, NDArray[Any]], detector: Detector) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, part in (("cotAlpha", "n_x"), ("cotBeta", "n_y")):
            if name not in known and part in known and "n_z" in known:
                known[name] = known[part] / known["n_z"]
    if "adjusted_hit_time" not in known and "hit_time" in known:
        known["adjusted_hit_time"] = after_flight(known["hit_time"], known["z-global"], detector)


def after_flight(
    hit_time_ns: NDArray[Any], z_global_mm: NDArray[Any], detector: Detector
) -> NDArray[Any]:
    """Return the hit time less straight flight from the origin to (r of the barrel, z)."""
    return hit_time_ns - straight_flight_ns(detector.barrel.radius_mm, z_global_mm)


def _typed(values: NDArray[Any], name: str, path: Path, first_row: int) -> NDArray[Any]:
    if name not in _WHOLE:
        with np.errstate(over="ignore"):  # infinities are refused by `Clusters`
            return np.asarray(values, dtype=np.float32)
    kind: type[np.int32 | np.int64] = _WHOLE[name]
    low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    if values.dtype.kind in "iu":  # never by way of float64, which cannot tell large ids apart
        bad = (values < low) | (values > high)
    else:
        bad = ~((values >= low) & (values < high + 1) & (np.rint(values) == values))
    if bad.any():
        row = int(bad.argmax())
        msg = (
            f"{path}: label column '{name}', row {first_row + row}: {values[row]:g}; "
            f"expected a whole number of {8 * np.dtype(kind).itemsize} bits"
        )
        raise DataError(msg)
    return np.asarray(values).astype(kind)


def is_signal(
    path: Path,
    n: int,
    pdg: NDArray[Any] | None,
    *,
    told: bool | None = None,
    first_row: int = 0,
) -> NDArray[np.int8]:
    """Class of the `n` clusters of a file: 1 signal, 0 BIB.

    What the user told; else the file's name (`signal...`, `sig...`, `bib...`); else |PDG| = 13.
    Raise `DataError` if none decides, if the name says both, and if a file of signal
    holds what is no muon.
    """
    if told is not None:
        return np.full(n, told, dtype=np.int8)
    name = _KINDS.sub("_", path.name).lower()
    signal = re.search(r"(?<![a-z])sig", name) is not None
    bib = re.search(r"(?<![a-z])bib", name) is not None
    if (signal and bib) or (not signal and not bib and pdg is None):
        what = "both signal and BIB" if signal else "neither signal nor BIB, nor is there a PID"
        msg = f"{path}: its name says {what}; say --signal or --bib"
        raise DataError(msg)
    muon = None if pdg is None else np.abs(pdg) == MUON_PDG
    if signal and muon is not None and not muon.all():
        row = int(np.argmin(muon))
        value = 0 if pdg is None else int(pdg[row])
        msg = (
            f"{path}: its name says signal, but column 'PID', row {first_row + row} is {value}, "
            "no muon; say --signal or --bib"
        )
        raise DataError(msg)
    if muon is not None and not signal and not bib:
        return np.asarray(muon, dtype=np.int8)
    return np.full(n, signal, dtype=np.int8)


def labels_of_clusters(clusters: Clusters) -> dict[str, NDArray[Any]]:
    """The label columns that the clusters have, midplane positions added (float64, whole int64).

    The middle plane is that of the detector's thickness.
    """
    columns = clusters.columns()
    labels: dict[str, NDArray[Any]] = {
        name: columns[ours].astype(np.int64 if columns[ours].dtype.kind in "iu" else np.float64)
        for name, ours in LABELS.items()
        if ours in columns
    }
    middle = clusters.detector.sensor.thickness_um / 2
    for axis, slope in (("y", "cotBeta"), ("x", "cotAlpha")):
        if {f"{axis}-entry", "z-entry", slope} <= labels.keys():
            path_um = middle - labels["z-entry"]
            labels[f"{axis}-midplane"] = labels[f"{axis}-entry"] + labels[slope] * path_um
    return labels


_SHARE = 0.05
"""Share of a column's values outside of the detector that makes its unit doubtful."""

_SCALED_MM = 1.0
"""The field's generators divide places so that all lie this close to 0."""

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
        if np.abs(clusters.columns()[column]).max() <= _SCALED_MM:
            yield column, f"all values are within {_SCALED_MM:g} mm of 0; is it in mm, not scaled?"
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
