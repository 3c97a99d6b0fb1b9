"""The registry of network inputs: what each is, how it is made and scaled, its cost on the chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import MUON_COLLIDER_VXD

Along = Literal["rows", "columns", "pixels"]

Logic = Literal["wiring", "code_sum", "hit_count", "hit_columns", "hit_rows"]
"""The way logic makes a feature: as it arrives (`wiring`), or by the recipe of `pixel_sums`."""


def pixel_codes(clusters: Clusters, feature: str) -> NDArray[np.int64]:
    """ADC codes (n, rows, columns) of clusters that a front end has read out; 0 where silent.

    Raise `DataError`, which names `feature`, for charges that no ADC has seen.
    """
    values = np.array(clusters.code_values_e, np.float32)
    if not len(values):
        msg = (
            f"{clusters.origin}: its pixels are charges without ADC codes; the feature "
            f"'{feature}' needs a front end with 'adc' (linear or codes)"
        )
        raise DataError(msg)
    codes = np.searchsorted(values, clusters.pixels_e).clip(0, len(values) - 1)
    unknown = (values[codes] != clusters.pixels_e) & (clusters.pixels_e != 0)
    if unknown.any():
        row, y, x = (int(i) for i in np.argwhere(unknown)[0])
        msg = (
            f"{clusters.origin}: row {clusters.first_row + row}, pixel ({y}, {x}): "
            f"{clusters.pixels_e[row, y, x]:g} e is the charge of no code of the ADC; send the "
            "collected charge through the front end"
        )
        raise DataError(msg)
    return np.asarray(codes, np.int64)


def pixel_sums(logic: Logic, along: Along | None, codes: NDArray[Any]) -> NDArray[np.int64]:
    """The whole numbers (n,), (n, lines) or (n, pixels) of a feature of codes (n, rows, columns).

    `code_sum` adds codes up and `hit_count` counts the pixels above 0, in each row, column or
    pixel or in the window; `hit_columns` and `hit_rows` count the lines with a pixel above 0. All
    but the first may be given charges.
    """
    hit = codes > 0
    if logic == "hit_columns":
        sums = hit.any(axis=1).sum(axis=1)
    elif logic == "hit_rows":
        sums = hit.any(axis=2).sum(axis=1)
    elif along == "pixels":
        values = codes if logic == "code_sum" else hit
        sums = values.reshape(len(values), values.shape[1] * values.shape[2])
    else:
        over: Any = {"rows": 2, "columns": 1, None: (1, 2)}[along]
        sums = (codes if logic == "code_sum" else hit).sum(axis=over)
    return np.asarray(sums, np.int64)


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
    for each of the window's rows, columns or pixels (row by row). `logic` is the recipe by which a
    chip makes exactly this number of ADC codes; where it is None `instead` names the feature to
    take for that.
    """

    name: str
    unit: str
    usual_range: tuple[float, float]
    divisor: float
    formula: str
    hardware_cost: str
    compute: Callable[[Clusters], Array]
    along: Along | None = None
    logic: Logic | None = None
    instead: str | None = None

    def shape(self, window: tuple[int, int] = WINDOW) -> tuple[int, ...]:
        """Shape for a window of (rows, columns): (size,), or (rows, columns, 1) of an image."""
        if self.along == "pixels":
            return (*window, 1)
        return ({"rows": window[0], "columns": window[1], None: 1}[self.along],)

    def size(self, window: tuple[int, int] = WINDOW) -> int:
        """Return the number of inputs for a window of (rows, columns)."""
        return prod(self.shape(window))

    def steps_per_unit(self, adc_bits: int) -> int:
        """Return the steps of logic's whole number that make 1 of `unit`."""
        return 1 << adc_bits if self.logic == "code_sum" else 1


def _log_charge(clusters: Clusters) -> Array:
    q = clusters.pixels_e
    return np.asarray(np.sign(q) * np.log2(np.float32(1) + np.abs(q)))


def _hits(logic: Logic, along: Along | None = None) -> Callable[[Clusters], Array]:
    return lambda clusters: pixel_sums(logic, along, clusters.pixels_e).astype(np.float32)


def _code_sum(name: str, along: Along | None = None) -> Callable[[Clusters], Array]:
    def compute(clusters: Clusters) -> Array:
        sums = pixel_sums("code_sum", along, pixel_codes(clusters, name))
        return sums.astype(np.float32) / np.float32(1 << clusters.adc_bits)

    return compute


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
_CODE_COST = "an adder tree by line"
_COUNT_COST = "a comparator per pixel, OR by line, a population count"
_POPULATION_COST = "a comparator per pixel, a population count"

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
        instead="x_code_profile",
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
        instead="y_code_profile",
    ),
    Feature(
        "log_charges",
        "log2(1 + e)",
        (0, 16),
        16,
        "sign(q) log2(1 + |q|) of each pixel",
        "a logarithm per pixel (table)",
        _log_charge,
        along="pixels",
        instead="code_image",
    ),
    Feature(
        "code_image",
        "ADC full scales",
        (0, 1),
        1,
        "ADC code / 2^bits of each pixel",
        "wiring: the ADC's codes",
        _code_sum("code_image", "pixels"),
        along="pixels",
        logic="code_sum",
    ),
    Feature(
        "x_code_profile",
        "ADC full scales",
        (0, 2),
        4,
        "sum over the rows (y) of ADC code / 2^bits, for each column (x)",
        _CODE_COST,
        _code_sum("x_code_profile", "columns"),
        along="columns",
        logic="code_sum",
    ),
    Feature(
        "y_code_profile",
        "ADC full scales",
        (0, 3),
        4,
        "sum over the columns (x) of ADC code / 2^bits, for each row (y)",
        _CODE_COST,
        _code_sum("y_code_profile", "rows"),
        along="rows",
        logic="code_sum",
    ),
    Feature(
        "x_count_profile",
        "pixels",
        (0, 5),
        8,
        "number of pixels above 0 e, for each column (x)",
        _POPULATION_COST,
        _hits("hit_count", "columns"),
        along="columns",
        logic="hit_count",
    ),
    Feature(
        "y_count_profile",
        "pixels",
        (0, 10),
        16,
        "number of pixels above 0 e, for each row (y)",
        _POPULATION_COST,
        _hits("hit_count", "rows"),
        along="rows",
        logic="hit_count",
    ),
    Feature(
        "x_size",
        "pixels",
        (1, 21),
        32,
        "number of columns (x) with a pixel above 0 e",
        _COUNT_COST,
        _hits("hit_columns"),
        logic="hit_columns",
    ),
    Feature(
        "y_size",
        "pixels",
        (1, 13),
        16,
        "number of rows (y) with a pixel above 0 e",
        _COUNT_COST,
        _hits("hit_rows"),
        logic="hit_rows",
    ),
    Feature(
        "n_pixels",
        "pixels",
        (1, 60),
        64,
        "number of pixels above 0 e",
        _POPULATION_COST,
        _hits("hit_count"),
        logic="hit_count",
    ),
    Feature(
        "total_charge",
        "e",
        (500, 60_000),
        65_536,
        "sum of the pixel charges in the window",
        "charges in electrons per pixel and an adder tree",
        lambda c: c.pixels_e.sum(axis=(1, 2)),
        instead="total_code",
    ),
    Feature(
        "total_code",
        "ADC full scales",
        (0, 7),
        16,
        "sum of ADC code / 2^bits in the window",
        "an adder tree over the pixels",
        _code_sum("total_code"),
        logic="code_sum",
    ),
    Feature(
        "z_global",
        "mm",
        (-_BARREL.half_length_mm, _BARREL.half_length_mm),
        _BARREL.half_length_mm,
        "position along the beam",
        "wiring: module and column address",
        lambda c: c.z_global_mm,
        logic="wiring",
    ),
    Feature(
        "abs_z_global",
        "mm",
        (0, _BARREL.half_length_mm),
        _BARREL.half_length_mm,
        "distance along the beam from the middle of the barrel, |z_global|",
        "wiring: column address and module position, counted outwards",
        lambda c: np.abs(c.z_global_mm),
        logic="wiring",
    ),
    Feature(
        "module_number",
        "modules",
        (-5, 4),
        8,
        "module along the beam, counted from z = 0: z_global / 13 mm, rounded down",
        "wiring: module address",
        lambda c: np.floor(c.z_global_mm / np.float32(_BARREL.module_length_mm)),
        logic="wiring",
    ),
    Feature(
        "x_local",
        "mm",
        (0, 13),
        16,
        "position along the module from its end at low z: z_global modulo 13 mm",
        "wiring: column address",
        lambda c: np.mod(c.z_global_mm, np.float32(_BARREL.module_length_mm)),
        logic="wiring",
    ),
    Feature(
        "y_local",
        "mm",
        (-4.55, 8.525),
        _BARREL.y_local_scale_mm,
        "position across the ladder",
        "wiring: row address",
        lambda c: c.y_local_mm,
        logic="wiring",
    ),
    *(
        Feature(
            name,
            "ns",
            (-0.5, 20),
            0.25,
            f"arrival time less straight flight at c, {measured}",
            "wiring: time-to-digital converter",
            _time(f"{name}_ns"),
            logic="wiring",
        )
        for name, measured in (
            ("hit_time_30ps", "measured with 30 ps"),
            ("hit_time_60ps", "measured with 60 ps"),
            ("hit_time_measured", "as the front end measured it"),
        )
    ),
)

REGISTRY = MappingProxyType({f.name: f for f in _FEATURES})
"""All features by name, read-only."""
