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
from pixelsieve.core.errors import ConfigError, DataError, RunError
from pixelsieve.core.files import (
    is_pointer,
    not_fetched,
    parse_json,
    replacing,
    take_hash,
    telling_unwritable,
    with_hash,
)
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.detector import MUON_COLLIDER_VXD, Detector
from pixelsieve.formats.columns import (
    AS_THEY_ARE,
    SPLIT_COLUMN,
    called,
    clusters_of,
    is_column,
    is_read,
    require,
)
from pixelsieve.formats.partitions import partition_of

_FEW_VALUES = ("signal", "truth_pdg", SPLIT_COLUMN)
_KEY = b"pixelsieve"
_SCHEMA = 1

DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""The errors that reading a damaged Parquet file raises."""


def read(path: Path, *, slices: bool = False) -> Clusters:
    """Read a whole file. Raise `DataError` with file, column and row (see `iterate`)."""
    return concatenate(list(iterate(path, slices=slices)))


def iterate(
    path: Path, *, slices: bool = False, columns: Mapping[str, str] = AS_THEY_ARE
) -> Iterator[Clusters]:
    """Read a file one row group at a time, in bounded memory.

    Needs `pixels_e` (list of rows x columns charges in electrons, row-major, rows along y; 13 x 21
    unless the file names another detector), `signal`, `z_global_mm`, `y_local_mm`; takes
    `group_id`, `event_id` and the smeared times where present, `slices_e` where asked for;
    `hit_time_ns`, `total_charge_e` and `truth_*` go to `Clusters.truth`. `columns` gives the file's
    name of a column that it calls otherwise; folders `column=value` around the file give others.
    Raise `DataError` for a missing column, a wrong shape, a missing value, NaN, a charge below
    -1 e, an empty or a damaged file.
    """
    file = open_file(path)
    detector = detector_said(path, file) or MUON_COLLIDER_VXD
    there = file.schema_arrow
    theirs = _called(path, file, columns)
    require(path, theirs)
    stored = {n: there_n for n, there_n in theirs.items() if there_n in there.names}
    names = [n for n, there_n in stored.items() if is_read(there.field(there_n).with_name(n))]
    around = {n: _number(path, n, theirs[n]) for n in theirs if n not in stored and is_column(n)}
    if slices and "slices_e" in theirs:
        names.append("slices_e")
    if file.metadata.num_rows == 0:
        msg = f"{path}: holds no clusters; expected at least one"
        raise DataError(msg)
    first_row = 0
    for group in range(file.metadata.num_row_groups):
        try:
            table = file.read_row_group(group, columns=[theirs[n] for n in names])
            table = table.select([theirs[n] for n in names]).rename_columns(names)
        except DAMAGE as error:
            raise damaged(path, error) from error
        for name, value in around.items():
            table = table.append_column(name, pa.repeat(value, table.num_rows))
        if table.num_rows:
            yield clusters_of(table, detector, str(path), first_row)
        first_row += table.num_rows


def read_split_column(
    path: Path, columns: Mapping[str, str] = AS_THEY_ARE
) -> NDArray[np.str_] | None:
    """Return the `split` column as strings, None if the file has none."""
    file = open_file(path)
    name = columns.get(SPLIT_COLUMN, SPLIT_COLUMN)
    if name not in file.schema_arrow.names:
        said = partition_of(path).get(name)
        return None if said is None else np.full(file.metadata.num_rows, said)
    try:
        column = file.read(columns=[name]).column(name)
        return np.asarray(column.cast(pa.string()).to_pylist(), dtype=np.str_)
    except pa.ArrowNotImplementedError as error:
        kind = file.schema_arrow.field(name).type
        msg = f"{path}: column '{name}' holds {kind}; expected train, val or test"
        raise DataError(msg) from error
    except DAMAGE as error:
        raise damaged(path, error) from error


def names(path: Path, columns: Mapping[str, str] = AS_THEY_ARE) -> list[str]:
    """Return the columns of `Clusters`, and others, that the file has."""
    return [*_called(path, open_file(path), columns)]


def _called(path: Path, file: pq.ParquetFile, columns: Mapping[str, str]) -> dict[str, str]:
    """Return the name in the file, or in the folders around it, of each column."""
    stored = file.schema_arrow.names
    around = [name for name in partition_of(path) if name not in stored]
    return called(path, [*stored, *around], columns)


def _number(path: Path, column: str, name: str) -> float:
    """Return the value of a column that a folder gives."""
    text = partition_of(path)[name]
    word = {"true": "1", "false": "0"}.get(text.lower(), text)
    try:
        return int(word) if word.lstrip("+-").isdecimal() else float(word)
    except ValueError as error:
        msg = f"{path}: column '{column}' is '{text}' by its folder; expected a number"
        raise DataError(msg) from error


def read_detector(
    path: Path,
    columns: Mapping[str, str] = AS_THEY_ARE,  # noqa: ARG001 (as other formats need it)
) -> Detector:
    """Return the detector that the file names, the muon collider's if it names none."""
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
    if is_pointer(path):
        return DataError(not_fetched(path))
    reason = str(error).splitlines()[0].rstrip(".")
    return DataError(f"{path}: not a whole Parquet file ({reason}); fetch or write it again")


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
