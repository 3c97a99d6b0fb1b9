"""The numbers that describe a data set: counts, distributions, clusters to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.splits import SPLIT_NAMES, large_cluster_hashes, large_clusters
from pixelsieve.features import LARGEST_INPUT, REGISTRY, FeatureSet
from pixelsieve.formats.dataset import BY_HASH, Dataset
from pixelsieve.front_end import FrontEnd

__all__ = ["display", "displays", "distributions", "duplicates", "inspect_parts", "shared_groups"]

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


_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
_CLASSES = ("signal", "bib")


def inspect_parts(
    found: Dataset,
    front_end: FrontEnd | None = None,
    provenance: Mapping[str, object] | None = None,
    events: int = 3,
) -> dict[str, Any]:
    """Describe clusters that need be neither split nor of both classes, as plain data.

    - `splits`: counts by class and groups, of the collected charge; `notes` what a training lacks.
    - `shared_groups`, `duplicates`: see the functions; of the collected charge as well.
    - `described`: the part (train where there is one) that the rest is of, read out by the
      front end where one is given: `features`, `distributions`, `displays` of `events` clusters
      a class.
    """
    dataset, notes = _parts_to_show(found)
    parts, seen = dataset.parts, dataset.through(front_end)
    described = "train" if "train" in parts else next(iter(parts))
    clusters = seen.parts[described]
    return {
        "files": dict(dataset.files),
        "split_by": dataset.split_by,
        "notes": notes,
        "detector": to_plain(clusters.detector),
        "provenance": to_plain(provenance or {}),
        "front_end": to_plain(seen.summary),
        "splits": {
            name: {
                "clusters": len(part),
                "signal": part.n_signal,
                "bib": len(part) - part.n_signal,
                "groups": len(np.unique(part.groups())),
            }
            for name, part in parts.items()
        },
        "shared_groups": shared_groups(parts),
        "duplicates": duplicates(parts),
        "described": described,
        "features": _features(clusters),
        "distributions": distributions(clusters),
        "displays": displays(clusters, events),
    }


def _parts_to_show(found: Dataset) -> tuple[Dataset, list[str]]:
    lacking = [f"no {name} split" for name in SPLIT_NAMES if name not in found.parts]
    for name, part in found.parts.items():
        for kind, count in (("signal", part.n_signal), ("BIB", len(part) - part.n_signal)):
            if not count:
                lacking.append(f"no {kind} clusters in {name}")
    if not lacking or not found.split_by.startswith(BY_HASH):
        return found, lacking
    # Nobody asked for these splits: the file is shown whole.
    joined = concatenate(list(found.parts.values()))
    notes = ["no splits: too few clusters, or one class alone"]
    return found.with_parts({"all": joined}, "nothing"), notes


def shared_groups(parts: Mapping[str, Clusters]) -> dict[str, Any]:
    """How many particle groups each pair of splits shares; training asks for none.

    Told by `group_id` where every split has it, else by identical clusters of three or more pixels.
    """
    with_ids = all(part.group_id is not None for part in parts.values())
    keys = {
        name: np.unique(part.groups() if with_ids else large_cluster_hashes(part))
        for name, part in parts.items()
    }
    return {
        "by": "group_id" if with_ids else "identical clusters",
        "pairs": {f"{a}, {b}": _common(keys[a], keys[b]) for a, b in combinations(keys, 2)},
    }


def duplicates(parts: Mapping[str, Clusters]) -> dict[str, Any]:
    """Identical clusters among those of three or more pixels (`examined`).

    `inside` counts by class the clusters that repeat an earlier one, `between_classes` and
    `between_splits` the different images that are in both.
    """
    hashes = {name: large_cluster_hashes(part) for name, part in parts.items()}
    everything = np.concatenate(list(hashes.values()))
    labels = np.concatenate([part.signal[large_clusters(part)] for part in parts.values()])
    by_class = {kind: everything[labels == 1 - i] for i, kind in enumerate(_CLASSES)}
    return {
        "examined": len(everything),
        "inside": {kind: len(h) - len(np.unique(h)) for kind, h in by_class.items()},
        "between_classes": _common(by_class["signal"], by_class["bib"]),
        "between_splits": {
            f"{a}, {b}": _common(hashes[a], hashes[b]) for a, b in combinations(hashes, 2)
        },
    }


def _common(one: NDArray[Any], other: NDArray[Any]) -> int:
    return len(np.intersect1d(one, other))


def _features(clusters: Clusters) -> dict[str, Any]:
    features = {}
    for name, feature in REGISTRY.items():
        try:
            table = FeatureSet((name,), window=clusters.window).table(clusters)
        except DataError:  # the clusters lack its column
            continue
        values = np.asarray(feature.compute(clusters), dtype=np.float64).reshape(len(clusters), -1)
        inputs = table.inputs[name]
        features[name] = {
            "size": inputs.shape[1],
            "unit": feature.unit,
            "usual_range": feature.usual_range,
            "divisor": feature.divisor,
            "formula": feature.formula,
            "hardware_cost": feature.hardware_cost,
            "signal": _quantiles(values[clusters.signal > 0]),
            "bib": _quantiles(values[clusters.signal == 0]),
            "saturated_share": float(np.mean((inputs <= -1) | (inputs >= LARGEST_INPUT))),
        }
    return features


def _quantiles(values: NDArray[np.float64]) -> list[float] | None:
    return np.quantile(values, _QUANTILES).tolist() if len(values) else None
