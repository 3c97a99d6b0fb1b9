"""The columns of a table of clusters, whatever file holds it: names, types, and `Clusters` of them.

A table is one of Arrow; Parquet and ROOT files become one, stretch by stretch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixelsieve.core.errors import ConfigError, DataError, nearest
from pixelsieve.data.clusters import Clusters, Columns
from pixelsieve.data.detector import MUON_COLLIDER_VXD, SMART_PIXEL_LHC, Detector

SPLIT_COLUMN = "split"
REQUIRED = ("pixels_e", "signal", "z_global_mm", "y_local_mm")
_TIMES = ("hit_time_30ps_ns", "hit_time_60ps_ns", "hit_time_measured_ns")
_OPTIONAL = (*_TIMES, "group_id", "event_id")
IMAGES = ("pixels_e", "slices_e")
_TRUTH = ("hit_time_ns", "total_charge_e")
_TRUTH_PREFIX = "truth_"
_WHOLE = {"signal": np.int8, "group_id": np.int64, "event_id": np.int64}

AS_THEY_ARE: Mapping[str, str] = MappingProxyType({})
"""No column goes by another name."""


def is_column(name: str) -> bool:
    """Return if clusters have a column of that name; `split` is the data set's."""
    known = name in REQUIRED + _OPTIONAL + IMAGES + _TRUTH
    return known or name.startswith(_TRUTH_PREFIX)


def is_read(field: pa.Field) -> bool:
    """Return if a column of that name and type is read whenever it is there."""
    if field.name in REQUIRED + _OPTIONAL:
        return True
    is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    return is_number and field.name not in IMAGES and is_column(field.name)


def require(
    path: Path,
    names: Collection[str],
    needed: Sequence[str] = REQUIRED,
    *,
    there: Collection[str] = (),
    hint: str = "",
) -> None:
    """Raise `DataError` with the nearest of the names that are `there` if a column is missing."""
    others = [n for n in there or names if n not in needed]
    missing = [f"'{n}'{nearest(n, others)}" for n in needed if n not in names]
    if missing:
        what = "columns are" if len(missing) > 1 else "column is"
        msg = f"{path}: {what} missing: {', '.join(missing)}; needed are {', '.join(needed)}{hint}"
        raise DataError(msg)


def called(
    path: Path, names: Sequence[str], told: Mapping[str, str], also: Sequence[str] = ()
) -> dict[str, str]:
    """Return the file's name of each column, as `told` or else its own.

    Raise `ConfigError` if `told` is of a column that neither clusters have nor `also` names, and
    `DataError` if the file lacks one of its names or has a name twice.
    """
    for name in names:
        if names.count(name) > 1:
            msg = f"{path}: column '{name}' is there twice; expected it once"
            raise DataError(msg)
    extra = (SPLIT_COLUMN, *also)
    for ours, theirs in told.items():
        if not is_column(ours) and ours not in extra:
            known = (*REQUIRED, *_OPTIONAL, *IMAGES, *_TRUTH, *extra)
            msg = f"--column {ours}={theirs}: '{ours}' is no column of clusters"
            expected = ", ".join(dict.fromkeys(known))
            msg += f"{nearest(ours, known)}; expected one of {expected}, or truth_..."
            raise ConfigError(msg)
        if theirs not in names:
            msg = f"{path}: holds no '{theirs}' for column '{ours}'{nearest(theirs, names)}"
            raise DataError(msg)
    return {n: n for n in names} | dict(told)


def clusters_of(table: pa.Table, detector: Detector, origin: str, first_row: int) -> Clusters:
    """Return the clusters of a table; raise `DataError` naming column and row of what is wrong."""
    columns: Columns = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if column.null_count:
            row = first_row + column.is_null().to_numpy(zero_copy_only=False).argmax()
            msg = f"{origin}: column '{name}', row {row}: no value; expected one in every row"
            raise DataError(msg)
        if name in IMAGES:
            columns[name] = _images(column, name, detector, origin, first_row)
        else:
            columns[name] = _numbers(column, name, origin, first_row)
    known = REQUIRED + _OPTIONAL + IMAGES
    truth = {k: columns.pop(k) for k in list(columns) if k not in known}
    where: Columns = {"detector": detector, "origin": origin, "first_row": first_row}
    return Clusters(**columns, truth=truth, **where)


def _numbers(column: pa.Array, name: str, origin: str, first_row: int) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    if name == "signal" and values.dtype.kind == "b":
        return np.asarray(values, dtype=np.int8)
    if values.dtype.kind not in "iuf":
        msg = f"{origin}: column '{name}' holds {column.type}; expected numbers"
        raise DataError(msg)
    if name in _WHOLE and values.dtype.kind == "f":
        msg = f"{origin}: column '{name}' holds {column.type}; expected whole numbers"
        raise DataError(msg)
    if name not in _WHOLE:
        # Truth is carried along as it is; what networks may see is float32.
        if name not in _OPTIONAL + REQUIRED:
            return values
        with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused by row
            return np.asarray(values, dtype=np.float32)
    narrow = np.asarray(values, dtype=_WHOLE[name])
    wrong = narrow != values
    if wrong.any():
        row = first_row + int(wrong.argmax())
        msg = f"{origin}: column '{name}', row {row}: {values[wrong][0]} is out of range"
        raise DataError(msg)
    return narrow


def _images(
    column: pa.Array, name: str, detector: Detector, origin: str, first_row: int
) -> NDArray[np.float32]:
    rows, columns = detector.sensor.rows, detector.sensor.columns
    pixels = rows * columns
    kind = column.type
    is_list = (
        pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    )
    if not is_list or not (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    ):
        msg = f"{origin}: column '{name}' holds {kind}; expected a list of {pixels} charges"
        raise DataError(msg)
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    expected = pixels if name == "pixels_e" else max(pixels, lengths[0] // pixels * pixels)
    wrong = lengths != expected
    if wrong.any():
        row = int(wrong.argmax())
        msg = (
            f"{origin}: column '{name}', row {first_row + row}: {lengths[row]} pixels; "
            f"expected {expected} ({rows} rows x {columns} columns)"
        )
        raise DataError(msg)
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused by row
        flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False), dtype=np.float32)
    shape = (rows, columns) if name == "pixels_e" else (expected // pixels, rows, columns)
    return flat.reshape(-1, *shape)


WINDOWS = {273: (13, 21), 256: (16, 16), 1024: (32, 32)}
"""Windows of the public sets (rows, columns) by their number of pixels."""


def detector_of_pixels(path: Path, pixels: int, detector: Detector | None) -> Detector:
    """Return the detector of flat images of `pixels` charges.

    A `detector` that the user named keeps its window if that fits, else gets the public sets'
    window of that size (13 x 21, 16 x 16, 32 x 32). Without one, 13 x 21 is the muon collider's
    and the square windows are the LHC's. Raise `DataError` for other sizes.
    """
    if detector and detector.sensor.n_pixels == pixels:
        return detector
    if pixels not in WINDOWS:
        known = ", ".join(f"{n} ({r} x {c})" for n, (r, c) in WINDOWS.items())
        msg = f"{path}: {pixels} pixels a cluster; expected {known}, or those of --detector"
        raise DataError(msg)
    default = MUON_COLLIDER_VXD if pixels == MUON_COLLIDER_VXD.sensor.n_pixels else SMART_PIXEL_LHC
    return (detector or default).with_window(*WINDOWS[pixels])
