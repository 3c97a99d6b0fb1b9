"""Parquet files in the schema of the muc-real sample: one row a cluster, its pixels in a list.

What the columns cannot say (the detector, how the clusters were made) is JSON under the schema's
metadata key `pixelsieve`; a file without it is taken as muc-real.
"""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pixelsieve.core.config import from_mapping, to_plain
from pixelsieve.core.errors import ConfigError, DataError, RunError, nearest
from pixelsieve.core.files import parse_json, replacing, take_hash, telling_unwritable, with_hash
from pixelsieve.data.clusters import Clusters, Columns, concatenate
from pixelsieve.data.detector import MUON_COLLIDER_VXD, Detector

SPLIT_COLUMN = "split"
_REQUIRED = ("pixels_e", "signal", "z_global_mm", "y_local_mm")
_TIMES = ("hit_time_30ps_ns", "hit_time_60ps_ns", "hit_time_measured_ns")
_OPTIONAL = (*_TIMES, "group_id", "event_id")
_IMAGES = ("pixels_e", "slices_e")
_TRUTH = ("hit_time_ns", "total_charge_e")
_TRUTH_PREFIX = "truth_"
_WHOLE = {"signal": np.int8, "group_id": np.int64, "event_id": np.int64}
_FEW_VALUES = ("signal", "truth_pdg", SPLIT_COLUMN)
_KEY = b"pixelsieve"
_SCHEMA = 1

DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""The errors that reading a damaged Parquet file raises."""


def read(path: Path, *, slices: bool = False) -> Clusters:
    """Read a whole file. Raise `DataError` with file, column and row (see `iterate`)."""
    return concatenate(list(iterate(path, slices=slices)))


def iterate(path: Path, *, slices: bool = False) -> Iterator[Clusters]:
    """Read a file one row group at a time, in bounded memory.

    Needs `pixels_e` (list of rows x columns charges in electrons, row-major, rows along y; 13 x 21
    unless the file names another detector), `signal`, `z_global_mm`, `y_local_mm`; takes
    `group_id`, `event_id` and the smeared times where present, `slices_e` where asked for;
    `hit_time_ns`, `total_charge_e` and `truth_*` go to `Clusters.truth`.
    Raise `DataError` for a missing column, a wrong shape, a missing value, NaN, a charge below
    -1 e, an empty or a damaged file.
    """
    file = open_file(path)
    detector = detector_said(path, file) or MUON_COLLIDER_VXD
    _require_columns(path, file.schema_arrow.names)
    names = [f.name for f in file.schema_arrow if _is_known(f)]
    if slices and "slices_e" in file.schema_arrow.names:
        names.append("slices_e")
    if file.metadata.num_rows == 0:
        msg = f"{path}: holds no clusters; expected at least one"
        raise DataError(msg)
    first_row = 0
    for group in range(file.metadata.num_row_groups):
        try:
            table = file.read_row_group(group, columns=names)
        except DAMAGE as error:
            raise damaged(path, error) from error
        if table.num_rows:
            yield _clusters(table, detector, str(path), first_row)
        first_row += table.num_rows


def read_split_column(path: Path) -> NDArray[np.str_] | None:
    """The `split` column as strings, or None where the file has none."""
    file = open_file(path)
    if SPLIT_COLUMN not in file.schema_arrow.names:
        return None
    try:
        column = file.read(columns=[SPLIT_COLUMN]).column(SPLIT_COLUMN)
        return np.asarray(column.cast(pa.string()).to_pylist(), dtype=np.str_)
    except pa.ArrowNotImplementedError as error:
        kind = file.schema_arrow.field(SPLIT_COLUMN).type
        msg = f"{path}: column 'split' holds {kind}; expected train, val or test"
        raise DataError(msg) from error
    except DAMAGE as error:
        raise damaged(path, error) from error


def read_detector(path: Path) -> Detector:
    """The detector that the file names, the muon collider's where it names none."""
    return detector_said(path, open_file(path)) or MUON_COLLIDER_VXD


def read_provenance(path: Path) -> dict[str, Any]:
    """Return how the clusters were made, as the file's writer said; empty if it said nothing."""
    said = _metadata_said(path, open_file(path)).get("provenance", {})
    if not isinstance(said, dict):
        msg = f"{path}: the provenance in the schema's metadata is no table; write the file again"
        raise DataError(msg)
    return said


def write(
    clusters: Clusters,
    path: Path,
    row_group: int = 20_000,
    provenance: Mapping[str, object] | None = None,
) -> None:
    """Write a file that `read` gives back unchanged; it appears whole or not at all."""
    with (
        telling_unwritable(path),
        replacing(path) as temporary,
        Writer(temporary, provenance) as writer,
    ):
        for start in range(0, len(clusters), row_group):
            writer.write(clusters.select(slice(start, start + row_group)))


class Writer:
    """Writes clusters part by part, a row group each, into a path or an open file.

    All parts must have the columns and the detector of the first. A context manager; it writes
    in place, so wrap a path in `files.replacing`.
    """

    def __init__(self, where: Path | IO[bytes], provenance: Mapping[str, object] | None = None):
        self._where = where
        self._provenance = to_plain(provenance or {})
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def write(self, clusters: Clusters) -> None:
        """Append a row group."""
        table = self._table(clusters)
        if self._file is None:
            self._file = open_writer(self._where, table.schema)
        self._file.write_table(table, row_group_size=max(1, table.num_rows))

    def _table(self, clusters: Clusters) -> pa.Table:
        table = clusters.to_arrow()
        names = table.schema.names
        return table.replace_schema_metadata(
            schema_metadata(clusters.detector, self._provenance, names)
        )


def open_writer(where: Path | IO[bytes], schema: pa.Schema) -> pq.ParquetWriter:
    """A writer set for clusters: dictionaries only where values repeat, which writes faster."""
    few = [f.name for f in schema if f.name in _FEW_VALUES]
    return pq.ParquetWriter(
        where, schema, compression="zstd", use_dictionary=few, write_page_checksum=True
    )


def open_file(path: Path) -> pq.ParquetFile:
    """Open a Parquet file; raises `DataError` where it is missing or damaged."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        str(file.schema_arrow.names)  # decodes them
    except FileNotFoundError as error:
        msg = f"{path}: no such file"
        raise DataError(msg) from error
    except DAMAGE as error:
        raise damaged(path, error) from error
    about = file.metadata
    rows = sum(about.row_group(i).num_rows for i in range(about.num_row_groups))
    if rows != about.num_rows:
        msg = f"{path}: its row groups hold {rows} rows, the file {about.num_rows}; fetch it again"
        raise DataError(msg)
    return file


def damaged(path: Path, error: Exception) -> DataError:
    """The error for a file that is not, or no longer, Parquet; to be raised from `error`."""
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
    others = [n for n in names if n not in _REQUIRED]
    missing = [f"'{n}'{nearest(n, others)}" for n in _REQUIRED if n not in names]
    if missing:
        what = "columns are" if len(missing) > 1 else "column is"
        msg = f"{path}: {what} missing: {', '.join(missing)}; needed are {', '.join(_REQUIRED)}"
        raise DataError(msg)


def _clusters(table: pa.Table, detector: Detector, origin: str, first_row: int) -> Clusters:
    columns: Columns = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if column.null_count:
            row = first_row + column.is_null().to_numpy(zero_copy_only=False).argmax()
            msg = f"{origin}: column '{name}', row {row}: no value; expected one in every row"
            raise DataError(msg)
        if name in _IMAGES:
            columns[name] = _images(column, name, detector, origin, first_row)
        else:
            columns[name] = _numbers(column, name, origin, first_row)
    known = _REQUIRED + _OPTIONAL + _IMAGES
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
        if name not in _OPTIONAL + _REQUIRED:
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


def schema_metadata(
    detector: Detector,
    provenance: Mapping[str, object] | None = None,
    columns: Sequence[str] = (),
) -> dict[bytes, str]:
    """Return what the columns cannot say, and their names, for the schema of a Parquet file."""
    said = {
        "schema": _SCHEMA,
        "detector": to_plain(detector),
        "provenance": to_plain(provenance or {}),
        "columns": list(columns),
    }
    return {_KEY: json.dumps(with_hash(said))}


def _metadata_said(path: Path, file: pq.ParquetFile) -> dict[str, Any]:
    """Return what an open file says, empty for nothing; raise `DataError` if it is damaged."""
    text = (file.schema_arrow.metadata or {}).get(_KEY)
    if text is None:
        return {}
    try:
        said = parse_json(text, str(path))
    except RunError as error:
        msg = f"{path}: the schema's metadata 'pixelsieve' is not valid JSON; write the file again"
        raise DataError(msg) from error
    if not isinstance(said, dict) or said.get("schema") != _SCHEMA:
        msg = f"{path}: written with another schema; expected {_SCHEMA}"
        raise DataError(msg)
    if not take_hash(said):
        msg = f"{path}: the schema's metadata 'pixelsieve' was changed; fetch or write it again"
        raise DataError(msg)
    _refuse_misspelt(path, said.get("columns"), file.schema_arrow.names)
    return said


def _refuse_misspelt(path: Path, written: Any, names: list[str]) -> None:
    """Names of columns have no checksum: one letter other than written is damage."""
    if not isinstance(written, list) or not all(isinstance(name, str) for name in written):
        return
    lost = [n for n in written if n not in names]
    new = [n for n in names if n not in written]
    for one, name in itertools.product(lost, new):
        if len(one) == len(name) and sum(map(operator.ne, one, name)) == 1:
            msg = f"{path}: column '{one}' is now '{name}'; the file is damaged, fetch it again"
            raise DataError(msg)


def detector_said(path: Path, file: pq.ParquetFile) -> Detector | None:
    """The detector that the schema of an open file names, None where it names none."""
    said = _metadata_said(path, file)
    if "detector" not in said:
        return None
    try:
        return from_mapping(Detector, said["detector"], f"{path}: detector")
    except ConfigError as error:
        raise DataError(str(error)) from error
