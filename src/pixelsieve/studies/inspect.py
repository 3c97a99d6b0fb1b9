"""Numbers that describe a data set: counts, distributions, clusters to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.detector import Detector
from pixelsieve.data.splits import SPLIT_NAMES, large_cluster_hashes, large_clusters
from pixelsieve.features import LARGEST_INPUT, REGISTRY, FeatureSet
from pixelsieve.formats.dataset import BY_HASH, Dataset
from pixelsieve.front_end import FrontEnd, FrontEndSummary

Values = NDArray[Any]

_BINS = 50
_MOST_PIXELS = 60
_TIMES_NS = np.linspace(-0.5, 2.5, 61)
_MARGIN_MM = 0.1


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Clusters of one split by class, and their particle groups."""

    clusters: int
    signal: int
    bib: int
    groups: int


@dataclass(frozen=True, slots=True)
class SharedGroups:
    """Particle groups that each pair of splits shares; training asks for none.

    They are known `by` group_id if every split has it, else by identical clusters of three or more
    pixels.
    """

    by: Literal["group_id", "identical clusters"]
    pairs: dict[str, int]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Identical clusters among those of three or more pixels, of which there are `examined`.

    `inside` counts by class the clusters that repeat an earlier one, `between_classes` and
    `between_splits` the different images that are in both.
    """

    examined: int
    inside: dict[str, int]
    between_classes: int
    between_splits: dict[str, int]


@dataclass(frozen=True, slots=True)
class FeatureSummary:
    """A feature of `size` numbers with its `REGISTRY` entry, and its values in a data set.

    `signal` and `bib` are the quantiles at 0, 5, 50, 95 and 100 %, None without such clusters;
    `saturated_share` is the fraction of inputs at an end of their range.
    """

    size: int
    unit: str
    usual_range: tuple[float, float]
    divisor: float
    formula: str
    hardware_cost: str
    signal: tuple[float, ...] | None
    bib: tuple[float, ...] | None
    saturated_share: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of both classes between `edges`; `outside` counts by class what lies beyond them."""

    label: str
    scale: Literal["linear", "log"]
    edges: tuple[float, ...]
    outside: dict[str, int]
    signal: tuple[int, ...]
    bib: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Display:
    """One cluster to look at: its place and the charge of each pixel (rows of columns)."""

    row: int
    z_global_mm: float
    y_local_mm: float
    pixels_e: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a data set holds; as plain data it is inspection.json.

    `splits`, `shared_groups` and `duplicates` are of the collected charge, `notes` say what a
    training lacks. The rest is of the part `described` (train if there is one), read out by the
    front end if one is given.
    """

    files: dict[str, str]
    split_by: str
    notes: tuple[str, ...]
    detector: Detector
    provenance: Mapping[str, Mapping[str, object]]
    front_end: FrontEndSummary | None
    splits: dict[str, SplitCounts]
    shared_groups: SharedGroups
    duplicates: Duplicates
    described: str
    features: dict[str, FeatureSummary]
    distributions: dict[str, Histogram]
    displays: dict[str, tuple[Display, ...]]


@dataclass(frozen=True, slots=True)
class _Quantity:
    """Values of some clusters (None: not there) to count in bins that fit the detector."""

    label: str
    scale: Literal["linear", "log"]
    edges: Callable[[Clusters], Values]
    values: Callable[[Clusters], Values | None]


def _whole(count: int) -> Values:
    return np.arange(count + 1) + 0.5


def _y_edges(clusters: Clusters) -> Values:
    barrel = clusters.detector.barrel
    return np.linspace(barrel.y_low_mm - _MARGIN_MM, barrel.y_high_mm + _MARGIN_MM, _BINS + 1)


def _time(kind: str, values: Callable[[Clusters], Values | None]) -> _Quantity:
    return _Quantity(f"time, {kind} (ns)", "linear", lambda _: _TIMES_NS, values)


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
    "hit_time_30ps_ns": _time("30 ps", lambda c: c.hit_time_30ps_ns),
    "hit_time_60ps_ns": _time("60 ps", lambda c: c.hit_time_60ps_ns),
    "hit_time_measured_ns": _time("measured", lambda c: c.hit_time_measured_ns),
    "hit_time_ns": _time("truth", lambda c: c.truth.get("hit_time_ns")),
}


def distributions(clusters: Clusters) -> dict[str, Histogram]:
    """Return histograms by name; quantities whose column is not there are left out."""
    classes = {
        kind: clusters.select(np.flatnonzero(clusters.signal == label))
        for kind, label in (("signal", 1), ("bib", 0))
        if np.any(clusters.signal == label)
    }
    found = {}
    for name, quantity in _QUANTITIES.items():
        edges = quantity.edges(clusters)
        counts, outside = [], {}
        for kind in ("signal", "bib"):
            values = quantity.values(classes[kind]) if kind in classes else np.zeros(0)
            if values is None:
                break
            inside, _ = np.histogram(values, edges)
            counts.append(tuple(inside.tolist()))
            outside[kind] = len(values) - int(inside.sum())
        else:
            scale, ends = quantity.scale, tuple(edges.tolist())
            found[name] = Histogram(quantity.label, scale, ends, outside, *counts)
    return found


def displays(clusters: Clusters, count: int) -> dict[str, tuple[Display, ...]]:
    """Return `count` clusters of each class, evenly spaced over the rows."""
    return {
        kind: tuple(display(clusters, row) for row in spread(clusters.signal == label, count))
        for kind, label in (("signal", 1), ("bib", 0))
    }


def spread(inside: NDArray[np.bool_], count: int) -> list[int]:
    """Return at most `count` of the rows `inside`, evenly spaced."""
    rows = np.flatnonzero(inside)
    which = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    found: list[int] = rows[which].tolist()
    return found


def display(clusters: Clusters, row: int) -> Display:
    """Return one cluster to look at."""
    return Display(
        row,
        round(float(clusters.z_global_mm[row]), 3),
        round(float(clusters.y_local_mm[row]), 3),
        tuple(map(tuple, clusters.pixels_e[row].round(1).tolist())),
    )


_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
_CLASSES = ("signal", "bib")


def inspect_parts(
    found: Dataset,
    front_end: FrontEnd | None = None,
    provenance: Mapping[str, Mapping[str, object]] | None = None,
    events: int = 3,
    notes: Sequence[str] = (),
) -> Inspection:
    """Describe clusters that need be neither split nor of both classes, `events` of each drawn.

    `notes` are what is known of their files.
    """
    dataset, lacking = _parts_to_show(found)
    held = [*dataset.parts.values()]
    sliced = identical_slices(held)
    notes = [*lacking, *constant_columns(held), *([sliced] if sliced else []), *notes]
    parts, seen = dataset.parts, dataset.through(front_end)
    described = "train" if "train" in parts else next(iter(parts))
    clusters = seen.parts[described]
    return Inspection(
        files=dict(dataset.files),
        split_by=dataset.split_by,
        notes=tuple(notes),
        detector=clusters.detector,
        provenance=provenance or {},
        front_end=seen.summary,
        splits={
            name: SplitCounts(
                len(part), part.n_signal, len(part) - part.n_signal, len(np.unique(part.groups()))
            )
            for name, part in parts.items()
        },
        shared_groups=shared_groups(parts),
        duplicates=duplicates(parts),
        described=described,
        features=_features(clusters),
        distributions=distributions(clusters),
        displays=displays(clusters, events),
    )


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


def constant_columns(parts: Iterable[Clusters]) -> list[str]:
    """Return a line for each column but the class and the truth that is the same everywhere."""
    ranges: dict[str, tuple[float, float]] = {}
    for part in parts:
        for name, values in part.columns().items():
            if name != "signal" and name not in part.truth:
                low, high = ranges.get(name, (np.inf, -np.inf))
                ranges[name] = min(low, values.min()), max(high, values.max())
    return [
        f"column '{name}' is {low:g} in every cluster: it tells nothing"
        for name, (low, high) in ranges.items()
        if low == high
    ]


def identical_slices(stretches: Iterable[Clusters]) -> str | None:
    """Return a line if the time slices of each cluster are the same image; None if not.

    Reads on until slices differ.
    """
    number = 0
    for clusters in stretches:
        slices = clusters.slices_e
        if slices is None or (slices != slices[:, -1:]).any():
            return None
        number = slices.shape[1]
    several = f"the {number} time slices of each cluster are identical: they tell no more than one"
    return several if number > 1 else None


def shared_groups(parts: Mapping[str, Clusters]) -> SharedGroups:
    """Count the particle groups that each pair of splits shares."""
    with_ids = all(part.group_id is not None for part in parts.values())
    keys = {
        name: np.unique(part.groups() if with_ids else large_cluster_hashes(part))
        for name, part in parts.items()
    }
    return SharedGroups("group_id" if with_ids else "identical clusters", _of_pairs(keys))


def duplicates(parts: Mapping[str, Clusters]) -> Duplicates:
    """Count the identical clusters of three or more pixels."""
    hashes = {name: large_cluster_hashes(part) for name, part in parts.items()}
    everything = np.concatenate(list(hashes.values()))
    labels = np.concatenate([part.signal[large_clusters(part)] for part in parts.values()])
    by_class = {kind: everything[labels == 1 - i] for i, kind in enumerate(_CLASSES)}
    return Duplicates(
        len(everything),
        {kind: len(h) - len(np.unique(h)) for kind, h in by_class.items()},
        _common(by_class["signal"], by_class["bib"]),
        _of_pairs(hashes),
    )


def _of_pairs(keys: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    return {f"{a}, {b}": _common(keys[a], keys[b]) for a, b in combinations(keys, 2)}


def _common(one: NDArray[Any], other: NDArray[Any]) -> int:
    return len(np.intersect1d(one, other))


def _features(clusters: Clusters) -> dict[str, FeatureSummary]:
    features = {}
    for name, feature in REGISTRY.items():
        try:
            table = FeatureSet((name,), window=clusters.window).table(clusters)
        except DataError:  # the clusters lack its column
            continue
        values = np.asarray(feature.compute(clusters), dtype=np.float64).reshape(len(clusters), -1)
        inputs = table.inputs[name]
        features[name] = FeatureSummary(
            inputs.shape[1],
            feature.unit,
            feature.usual_range,
            feature.divisor,
            feature.formula,
            feature.hardware_cost,
            _quantiles(values[clusters.signal > 0]),
            _quantiles(values[clusters.signal == 0]),
            float(np.mean((inputs <= -1) | (inputs >= LARGEST_INPUT))),
        )
    return features


def _quantiles(values: NDArray[np.float64]) -> tuple[float, ...] | None:
    return tuple(np.quantile(values, _QUANTILES).tolist()) if len(values) else None
