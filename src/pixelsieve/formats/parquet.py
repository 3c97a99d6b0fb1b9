"""Parquet files in the schema of the muc-real sample: one row a cluster, 273 pixels in a list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pixelsieve.clusters import Clusters, concatenate
from pixelsieve.detector import MUON_COLLIDER_VXD
from pixelsieve.errors import DataError, RunError, nearest
from pixelsieve.files import replacing

__all__ = ["SPLIT_COLUMN", "iterate", "read", "read_split_column", "write"]

SPLIT_COLUMN = "split"
_REQUIRED = ("pixels_e", "signal", "z_global_mm", "y_local_mm")
_OPTIONAL = ("hit_time_30ps_ns", "hit_time_60ps_ns", "group_id", "event_id")
_TRUTH = ("hit_time_ns", "total_charge_e")
_TRUTH_PREFIX = "truth_"
_WHOLE = {"signal": np.int8, "group_id": np.int64, "event_id": np.int64}
_SENSOR = MUON_COLLIDER_VXD.sensor


def read(path: Path) -> Clusters:
    """Read a whole file. Raises `DataError` with file, column and row (see `iterate`)."""
    return concatenate(list(iterate(path)))


def iterate(path: Path) -> Iterator[Clusters]:
    """Read a file one row group at a time, in bounded memory.

    Needs `pixels_e` (list of 273 charges in electrons, 13 rows (y) x 21 columns (x), row-major),
    `signal`, `z_global_mm`, `y_local_mm`; takes `group_id`, `event_id` and the smeared times
    where present; `hit_time_ns`, `total_charge_e` and `truth_*` go to `Clusters.truth`.
    Raises `DataError` for a missing column, a wrong shape, a missing value, NaN, a charge below
    -1 e, an empty or a damaged file.
    """
    file = _open(path)
    _require_columns(path, file.schema_arrow.names)
    names = [f.name for f in file.schema_arrow if _is_known(f)]
    if file.metadata.num_rows == 0:
        msg = f"{path}: holds no clusters; expected at least one"
        raise DataError(msg)
    first_row = 0
    for group in range(file.metadata.num_row_groups):
        try:
            table = file.read_row_group(group, columns=names)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error
        if table.num_rows:
            yield _clusters(table, str(path), first_row)
        first_row += table.num_rows


def read_split_column(path: Path) -> NDArray[np.str_] | None:
    """The `split` column as strings, or None where the file has none."""
    file = _open(path)
    if SPLIT_COLUMN not in file.schema_arrow.names:
        return None
    try:
        column = file.read(columns=[SPLIT_COLUMN]).column(SPLIT_COLUMN)
        return np.asarray(column.cast(pa.string()).to_pylist(), dtype=np.str_)
    except pa.ArrowNotImplementedError as error:
        kind = file.schema_arrow.field(SPLIT_COLUMN).type
        msg = f"{path}: column 'split' holds {kind}; expected train, val or test"
        raise DataError(msg) from error
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def write(clusters: Clusters, path: Path, row_group: int = 20_000) -> None:
    """Write a file that `read` gives back unchanged; it appears whole or not at all."""
    columns: dict[str, pa.Array] = {}
    for name, values in clusters.columns().items():
        if name == "pixels_e":
            flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, _SENSOR.n_pixels)
        else:
            columns[name] = pa.array(values)
    try:
        with replacing(path) as temporary:
            pq.write_table(
                pa.table(columns), temporary, compression="zstd", row_group_size=row_group
            )
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror or error})"
        raise RunError(msg) from error


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        msg = f"{path}: no such file"
        raise DataError(msg) from error
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0].rstrip(".")
    return DataError(f"{path}: not a whole Parquet file ({reason}); fetch or write it again")


def _is_known(field: pa.Field) -> bool:
    if field.name in _REQUIRED + _OPTIONAL:
        return True
    is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    return is_number and (field.name in _TRUTH or field.name.startswith(_TRUTH_PREFIX))


def _require_columns(path: Path, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            msg = f"{path}: column '{name}' is there twice; expected it once"
            raise DataError(msg)
    for name in _REQUIRED:
        if name not in names:
            others = [n for n in names if n not in _REQUIRED]
            msg = f"{path}: column '{name}' is missing{nearest(name, others)}"
            raise DataError(msg)


def _clusters(table: pa.Table, origin: str, first_row: int) -> Clusters:
    columns: dict[str, NDArray[Any]] = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if column.null_count:
            row = first_row + column.is_null().to_numpy(zero_copy_only=False).argmax()
            msg = f"{origin}: column '{name}', row {row}: no value; expected one in every row"
            raise DataError(msg)
        if name == "pixels_e":
            columns[name] = _pixels(column, origin, first_row)
        else:
            columns[name] = _numbers(column, name, origin, first_row)
    truth = {k: columns.pop(k) for k in list(columns) if k not in _REQUIRED + _OPTIONAL}
    return Clusters(**columns, truth=truth, origin=origin, first_row=first_row)


def _numbers(column: pa.Array, name: str, origin: str, first_row: int) -> NDArray[Any]:
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "iuf":
        msg = f"{origin}: column '{name}' holds {column.type}; expected numbers"
        raise DataError(msg)
    if name in _WHOLE and values.dtype.kind == "f":
        msg = f"{origin}: column '{name}' holds {column.type}; expected whole numbers"
        raise DataError(msg)
    if name not in _WHOLE:
        # Truth is carried along as it is; what networks may see is float32.
        return values if name not in _OPTIONAL + _REQUIRED else np.asarray(values, np.float32)
    narrow = np.asarray(values, dtype=_WHOLE[name])
    wrong = narrow != values
    if wrong.any():
        row = first_row + int(wrong.argmax())
        msg = f"{origin}: column '{name}', row {row}: {values[wrong][0]} is out of range"
        raise DataError(msg)
    return narrow


def _pixels(column: pa.Array, origin: str, first_row: int) -> NDArray[np.float32]:
    kind = column.type
    is_list = (
        pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    )
    if not is_list or not (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    ):
        msg = f"{origin}: column 'pixels_e' holds {kind}; expected a list of 273 charges"
        raise DataError(msg)
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    wrong = lengths != _SENSOR.n_pixels
    if wrong.any():
        row = int(wrong.argmax())
        msg = (
            f"{origin}: column 'pixels_e', row {first_row + row}: {lengths[row]} pixels; "
            f"expected {_SENSOR.n_pixels} (13 rows x 21 columns)"
        )
        raise DataError(msg)
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused by row
        flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False), dtype=np.float32)
    return flat.reshape(-1, _SENSOR.rows, _SENSOR.columns)
