"""The registry of network inputs: what each is, how it is scaled, what it costs on the chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.clusters import Clusters
from pixelsieve.config import fingerprint, from_mapping, to_plain
from pixelsieve.detector import MUON_COLLIDER_VXD
from pixelsieve.errors import ConfigError, DataError, nearest

__all__ = ["LARGEST_INPUT", "REGISTRY", "WINDOW", "Feature", "FeatureSet", "FeatureTable"]

LARGEST_INPUT = float(np.nextafter(np.float32(1), np.float32(0)))
"""Largest float32 below 1: scaled features lie in [-1, 1)."""

WINDOW = (MUON_COLLIDER_VXD.sensor.rows, MUON_COLLIDER_VXD.sensor.columns)
"""Rows and columns of the window where nothing else is said, 13 x 21."""

_BARREL = MUON_COLLIDER_VXD.barrel

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Feature:
    """One network input before scaling.

    The input is `formula(clusters) / divisor`, saturated to [-1, 1). `usual_range` is that of
    the unscaled values on the muc-real sample, in `unit`. `along` says that there is one number
    for each of the window's rows or columns.
    """

    name: str
    unit: str
    usual_range: tuple[float, float]
    divisor: float
    formula: str
    hardware_cost: str
    compute: Callable[[Clusters], Array]
    along: Literal["rows", "columns"] | None = None

    def size(self, window: tuple[int, int] = WINDOW) -> int:
        """How many numbers there are for a window of (rows, columns)."""
        return {"rows": window[0], "columns": window[1], None: 1}[self.along]


def _log_charge(clusters: Clusters) -> Array:
    q = clusters.pixels_e
    return np.asarray(np.sign(q) * np.log2(np.float32(1) + np.abs(q)))


def _hit(clusters: Clusters) -> NDArray[np.bool_]:
    return np.asarray(clusters.pixels_e > 0)


def _time(column: str) -> Callable[[Clusters], Array]:
    def compute(clusters: Clusters) -> Array:
        values: Array | None = getattr(clusters, column)
        if values is None:
            msg = (
                f"{clusters.origin}: column '{column}' is missing; "
                f"the feature '{column.removesuffix('_ns')}' needs it"
            )
            if column == "hit_time_measured_ns":
                msg += " (a front end with 'time_resolution_ps' measures it)"
            raise DataError(msg)
        return values

    return compute


_LOG_COST = "a logarithm per pixel (table) and an adder tree"
_COUNT_COST = "a comparator per pixel, OR by line, a population count"

_FEATURES = (
    Feature(
        "x_profile",
        "log2(1 + e)",
        (0, 150),
        32,
        "sum over the rows (y) of sign(q) log2(1 + |q|), for each column (x)",
        _LOG_COST,
        lambda c: _log_charge(c).sum(axis=1),
        along="columns",
    ),
    Feature(
        "y_profile",
        "log2(1 + e)",
        (0, 220),
        32,
        "sum over the columns (x) of sign(q) log2(1 + |q|), for each row (y)",
        _LOG_COST,
        lambda c: _log_charge(c).sum(axis=2),
        along="rows",
    ),
    Feature(
        "x_size",
        "pixels",
        (1, 21),
        32,
        "number of columns (x) with a pixel above 0 e",
        _COUNT_COST,
        lambda c: _hit(c).any(axis=1).sum(axis=1),
    ),
    Feature(
        "y_size",
        "pixels",
        (1, 13),
        16,
        "number of rows (y) with a pixel above 0 e",
        _COUNT_COST,
        lambda c: _hit(c).any(axis=2).sum(axis=1),
    ),
    Feature(
        "n_pixels",
        "pixels",
        (1, 60),
        64,
        "number of pixels above 0 e",
        "a comparator per pixel, a population count",
        lambda c: _hit(c).sum(axis=(1, 2)),
    ),
    Feature(
        "total_charge",
        "e",
        (500, 60_000),
        65_536,
        "sum of the pixel charges in the window",
        "an adder tree over the pixels",
        lambda c: c.pixels_e.sum(axis=(1, 2)),
    ),
    Feature(
        "z_global",
        "mm",
        (-_BARREL.half_length_mm, _BARREL.half_length_mm),
        _BARREL.half_length_mm,
        "position along the beam",
        "wiring: module and column address",
        lambda c: c.z_global_mm,
    ),
    Feature(
        "y_local",
        "mm",
        (-4.55, 8.525),
        _BARREL.y_local_scale_mm,
        "position across the ladder",
        "wiring: row address",
        lambda c: c.y_local_mm,
    ),
    Feature(
        "hit_time_30ps",
        "ns",
        (-0.5, 20),
        0.25,
        "arrival time less straight flight at c, measured with 30 ps",
        "wiring: time-to-digital converter",
        _time("hit_time_30ps_ns"),
    ),
    Feature(
        "hit_time_60ps",
        "ns",
        (-0.5, 20),
        0.25,
        "arrival time less straight flight at c, measured with 60 ps",
        "wiring: time-to-digital converter",
        _time("hit_time_60ps_ns"),
    ),
    Feature(
        "hit_time_measured",
        "ns",
        (-0.5, 20),
        0.25,
        "arrival time less straight flight at c, as the front end measured it",
        "wiring: time-to-digital converter",
        _time("hit_time_measured_ns"),
    ),
)

REGISTRY = MappingProxyType({f.name: f for f in _FEATURES})
"""All features by name, read-only."""


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Which features a model sees and how they are scaled; saved inside every model.

    With `mirror_x` the x profile is reversed and z_global replaced by |z_global| where z < 0, so
    that both ends of the barrel look alike. `divisors` is filled from the registry; a set that
    was saved with other divisors than today's registry is refused. `window` are the rows and
    columns of the clusters.
    """

    names: tuple[str, ...]
    mirror_x: bool = False
    divisors: tuple[float, ...] = ()
    window: tuple[int, int] = WINDOW

    def __post_init__(self) -> None:
        if not self.names:
            msg = "features: the list is empty; expected at least one name"
            raise ConfigError(msg)
        for name in self.names:
            if name not in REGISTRY:
                known = ", ".join(REGISTRY)
                msg = f"unknown feature '{name}'{nearest(name, REGISTRY)}; known: {known}"
                raise ConfigError(msg)
        today = tuple(float(REGISTRY[n].divisor) for n in self.names)
        if len(self.divisors) not in (0, len(today)):
            msg = f"features: {len(self.divisors)} divisors for {len(today)} names"
            raise ConfigError(msg)
        object.__setattr__(self, "divisors", self.divisors or today)

    @property
    def fingerprint(self) -> str:
        """Hash of names, divisors and mirroring: equal sets make equal inputs."""
        return fingerprint(self)

    def to_plain(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dict(to_plain(self))

    @classmethod
    def from_plain(cls, data: dict[str, Any], where: str) -> FeatureSet:
        """Rebuild a saved set; raises `ConfigError` where the registry scales differently."""
        saved = from_mapping(cls, data, where)
        for name, divisor in zip(saved.names, saved.divisors, strict=True):
            now = REGISTRY[name].divisor
            if divisor != now:
                msg = (
                    f"{where}: feature '{name}' was divided by {divisor:g} when the model was "
                    f"trained, now it is divided by {now:g}; train again or use that version"
                )
                raise ConfigError(msg)
        return saved

    def table(self, clusters: Clusters) -> FeatureTable:
        """Compute the inputs, float32 of shape (n, size) in [-1, 1), by feature name.

        Raises `DataError` for clusters of another window and for missing columns.
        """
        if clusters.window != self.window:
            (rows, columns), (its_rows, its_columns) = self.window, clusters.window
            msg = (
                f"{clusters.origin}: windows of {its_rows} rows x {its_columns} columns; the "
                f"network takes {rows} x {columns}"
            )
            raise DataError(msg)
        mirrored = clusters.z_global_mm < 0 if self.mirror_x else None
        inputs = {}
        for name, divisor in zip(self.names, self.divisors, strict=True):
            values = np.asarray(REGISTRY[name].compute(clusters), dtype=np.float32)
            values = values.reshape(len(clusters), REGISTRY[name].size(self.window))
            if mirrored is not None and name == "x_profile":
                values = np.where(mirrored[:, None], values[:, ::-1], values)
            if mirrored is not None and name == "z_global":
                values = np.abs(values)
            inputs[name] = np.clip(values / np.float32(divisor), -1, np.float32(LARGEST_INPUT))
        return FeatureTable(self, inputs, clusters.signal.astype(np.float32))


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Scaled inputs (n, size) and labels (n,), with the set that made them."""

    features: FeatureSet
    inputs: dict[str, Array]
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def require(self, expected: FeatureSet, model: str) -> None:
        """Raise `ConfigError` unless these inputs were made the way `model` was trained."""
        if self.features == expected:
            return
        differences = [
            f"{part} {ours} in the data, {theirs} in the model"
            for part, ours, theirs in (
                ("features", self.features.names, expected.names),
                ("divisors", self.features.divisors, expected.divisors),
                ("mirror_x", self.features.mirror_x, expected.mirror_x),
                ("window", self.features.window, expected.window),
            )
            if ours != theirs
        ]
        msg = f"{model}: the data were scaled differently: {'; '.join(differences)}"
        raise ConfigError(msg)
