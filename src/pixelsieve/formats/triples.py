"""Smart-pixel Parquet triples: `labels`, `recon2D` and `recon3D`, which align by row.

`recon2D` has a column a pixel ("0", "1", ... row-major, the last time slice), `recon3D` the same
for all slices, one after the other. Their names differ in that word alone, as in
`signal_labels_0.parquet`, `signal_recon2D_0.parquet`, `signal_recon3D_0.parquet`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import Detector
from pixelsieve.formats.columns import WINDOWS, detector_of_pixels
from pixelsieve.formats.labels import LABELS, columns_of_labels, labels_of_clusters
from pixelsieve.formats.parquet import DAMAGE, damaged, detector_said, open_file, schema_metadata

_KINDS = ("labels", "recon2D", "recon3D")
_WORD = re.compile("|".join(_KINDS))
_INDEX = "__index_level_0__"
# Sums differ in the last bit where one file holds float32 and the other float64.
_SAME_E = 0.01
_ROWS_A_FILE = 10_000


@dataclass(frozen=True, slots=True)
class Triple:
    """The files of one data set; one of the two images may be missing."""

    labels: Path
    recon2d: Path | None
    recon3d: Path | None


def is_part(path: Path) -> bool:
    """Whether the name of a Parquet file is that of a part of a triple."""
    return path.suffix == ".parquet" and _WORD.search(path.name) is not None


def find(paths: Iterable[Path]) -> list[Triple]:
    """The triples that files (any one of the three) and folders name, in natural order.

    Raise `DataError` if the labels or both images are missing.
    """
    patterns: dict[tuple[Path, str], None] = {}
    for path in paths:
        files = [p for p in path.glob("*.parquet") if is_part(p)] if path.is_dir() else [path]
        if not files or not all(is_part(p) for p in files):
            msg = f"{path}: no triple; expected *labels*, *recon2D* and *recon3D* Parquet files"
            raise DataError(msg)
        keys = [(p.parent, _WORD.sub("*", p.name, count=1)) for p in files]
        patterns.update(dict.fromkeys(sorted(keys, key=lambda k: natural(k[1]))))
    return [_triple(folder, pattern) for folder, pattern in patterns]


def natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts `batch_10` after `batch_9`."""
    return [(0, int(p)) if p.isdecimal() else (1, p) for p in re.split(r"(\d+)", name)]


def _triple(folder: Path, pattern: str) -> Triple:
    files = [folder / pattern.replace("*", kind, 1) for kind in _KINDS]
    there = [f if f.is_file() else None for f in files]
    labels, recon2d, recon3d = there
    if labels is None or not (recon2d or recon3d):
        missing = files[0] if labels is None else files[1]
        msg = f"{missing}: no such file; a triple needs its labels and recon2D or recon3D"
        raise DataError(msg)
    return Triple(labels, recon2d, recon3d)


def iterate(
    triple: Triple,
    *,
    detector: Detector | None = None,
    signal: bool | None = None,
    z_global_mm: float | None = None,
    slices: bool = True,
    rows: int = 2_000,
) -> Iterator[Clusters]:
    """Read a triple `rows` clusters at a time, in bounded memory.

    `signal` says the class where names and PID do not (see `labels.is_signal`). `detector` comes
    before the one that the labels' schema may name (pixelsieve writes it there). Without `slices`
    the big file is left alone if there is a `recon2D`. Raise `DataError` naming file and row for
    wrong numbers of columns, files of unequal length, missing and non-finite values, and images
    that contradict each other.
    """
    labels = _Table(triple.labels, LABELS)
    flat = _Table(triple.recon2d) if triple.recon2d else None
    deep = _Table(triple.recon3d) if triple.recon3d and (slices or not flat) else None
    tables = [t for t in (labels, flat, deep) if t]
    for table in tables:
        if table.n_rows != labels.n_rows:
            msg = f"{table.path}: {table.n_rows} rows; expected {labels.n_rows}, as {labels.path}"
            msg += " has (the three files align by row)"
            raise DataError(msg)
    if not labels.n_rows:
        msg = f"{triple.labels}: holds no clusters; expected at least one"
        raise DataError(msg)
    said = labels.detector()
    if said:
        rows_columns = (said.sensor.rows, said.sensor.columns)
        detector = detector.with_window(*rows_columns) if detector else said
    pixels = flat.width if flat else None
    if deep:
        pixels = _window_of_columns(deep.path, deep.width, pixels, detector)
    images = deep or flat
    assert images is not None
    assert pixels is not None
    if said and said.sensor.n_pixels != pixels:
        msg = f"{(flat or images).path}: {pixels} pixel columns; expected {said.sensor.n_pixels}, "
        msg += f"the window of detector '{said.name}' that {labels.path} names"
        raise DataError(msg)
    fitting = detector_of_pixels((flat or images).path, pixels, detector)
    window = (fitting.sensor.rows, fitting.sensor.columns)
    first_row = 0
    for part in zip(*(t.blocks(rows) for t in tables), strict=True):
        named = part[0]
        n = len(part[-1])
        all_slices = part[-1].reshape(n, -1, *window)
        last = np.ascontiguousarray(all_slices[:, -1])
        if flat and deep:
            _same(flat.path, part[1].reshape(last.shape), last, first_row)
        yield Clusters(
            pixels_e=last,
            slices_e=all_slices if deep and slices else None,
            detector=fitting,
            origin=str(images.path),
            first_row=first_row,
            **columns_of_labels(
                {name: named[name] for name in labels.names},
                triple.labels,
                fitting,
                signal=signal,
                z_global_mm=z_global_mm,
                first_row=first_row,
            ),
        )
        first_row += n


def _same(path: Path, flat: NDArray[Any], last: NDArray[Any], first_row: int) -> None:
    other = (np.abs(flat - last) > _SAME_E).any(axis=(1, 2))
    if other.any():
        row = first_row + int(other.argmax())
        msg = f"{path}: row {row} is not the last time slice of the recon3D file; the files"
        msg += " belong to different clusters"
        raise DataError(msg)


class _Table:
    """The numbers of a Parquet file: the wanted columns, or those called "0", "1", ....

    Blocks are arrays (rows, pixels), of the wanted columns structured arrays (rows,).
    """

    def __init__(self, path: Path, wanted: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._file = open_file(path)
        self.n_rows = self._file.metadata.num_rows
        schema = self._file.schema_arrow  # made anew at each access, slow with many columns
        kinds = {f.name: f.type for f in schema}
        there = [n for n in schema.names if n != _INDEX]
        if len(kinds) != len(schema):
            twice = next(n for n in kinds if schema.names.count(n) > 1)
            msg = f"{path}: column '{twice}' is there twice; expected it once"
            raise DataError(msg)
        if wanted is None:
            self.names = [str(i) for i in range(len(there))]
            odd = next(iter(set(there).difference(self.names)), there[0] if there else "0")
            if not there or set(there) != set(self.names):
                msg = f"{path}: column '{odd}'; expected the pixels '0' to '{len(there) - 1}' alone"
                raise DataError(msg)
        else:
            self.names = [n for n in there if n in wanted or n == "hit_z"]
            if not self.names:
                msg = f"{path}: none of the label columns; expected y-local, z-global, ..."
                raise DataError(msg)
        self.width = len(self.names)
        for name in self.names:
            kind = kinds[name]
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                msg = f"{path}: column '{name}' holds {kind}; expected numbers"
                raise DataError(msg)
        # Whole numbers stay what they are: float64 cannot tell 63-bit ids apart.
        self._fields: np.dtype[Any] | None = None
        if wanted is not None:
            whole = {n: pa.types.is_integer(kinds[n]) for n in self.names}
            types = {n: kinds[n].to_pandas_dtype() if whole[n] else np.float64 for n in self.names}
            self._fields = np.dtype(list(types.items()))

    def detector(self) -> Detector | None:
        """The detector that the file names, if any."""
        return detector_said(self.path, self._file)

    def blocks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Blocks of `rows` rows (the last one shorter), whatever the file's row groups are."""
        kept: list[NDArray[Any]] = []
        done = 0
        try:
            for batch in self._file.iter_batches(rows, columns=self.names):
                kept.append(self._numbers(batch.select(self.names), done))
                done += len(batch)
                while sum(map(len, kept)) >= rows:
                    block = np.concatenate(kept) if len(kept) > 1 else kept[0]
                    yield block[:rows]
                    kept = [block[rows:]] if len(block) > rows else []
        except DAMAGE as error:
            raise damaged(self.path, error) from error
        if kept:
            yield np.concatenate(kept)

    def _numbers(self, batch: pa.RecordBatch, first_row: int) -> NDArray[Any]:
        block: NDArray[Any] = (
            np.empty((len(batch), self.width), np.float32)
            if self._fields is None
            else np.empty(len(batch), self._fields)
        )
        with np.errstate(over="ignore"):  # infinities are refused by row
            for i, column in enumerate(batch.columns):
                if column.null_count:
                    row = first_row + int(column.is_null().to_numpy(zero_copy_only=False).argmax())
                    msg = (
                        f"{self.path}: column '{self.names[i]}', row {row}: no value; expected one"
                    )
                    raise DataError(msg)
                where = (slice(None), i) if self._fields is None else self.names[i]
                block[where] = column.to_numpy(zero_copy_only=False)
                bad = ~np.isfinite(block[where])
                if bad.any():
                    row = int(bad.argmax())
                    msg = f"{self.path}: column '{self.names[i]}', row {first_row + row}: "
                    msg += f"{block[where][row]:g} is not a finite number; mend or drop it"
                    raise DataError(msg)
        return block


class TripleWriter:
    """Writes clusters part by part as triples into a folder, numbered for each class.

    The class is in the names: `signal_labels_0.parquet`, `bib_labels_0.parquet`, ...; `recon3D`
    only where clusters have slices. The schema of `labels` names the detector, as in Parquet
    files of clusters. A context manager; all parts need the columns of the first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[tuple[str, str], pq.ParquetWriter] = {}
        self._rows = {"signal": 0, "bib": 0}
        self._numbers = {"signal": 0, "bib": 0}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._rows:
            self._close(name)

    def write(self, clusters: Clusters) -> None:
        """Append the clusters, a row group a file."""
        for name, value in (("signal", 1), ("bib", 0)):
            which = clusters.signal == value
            if not which.any():
                continue
            part = clusters.select(which)
            said = schema_metadata(part.detector)
            self._append(name, "labels", labels_of_clusters(part), said)
            self._append(name, "recon2D", _by_pixel(part.pixels_e))
            if part.slices_e is not None:
                self._append(name, "recon3D", _by_pixel(part.slices_e))
            self._rows[name] += len(part)
            # Each row group describes all its columns, thousands of them, in memory.
            if self._rows[name] >= _ROWS_A_FILE:
                self._close(name)
                self._rows[name] = 0
                self._numbers[name] += 1

    def _append(
        self,
        name: str,
        kind: str,
        columns: Mapping[str, NDArray[Any]],
        said: Mapping[bytes, str] | None = None,
    ) -> None:
        table = pa.table(dict(columns), metadata=said)
        if (name, kind) not in self._files:
            path = self._folder / f"{name}_{kind}_{self._numbers[name]}.parquet"
            # Charges repeat too little for a dictionary; without one they are written faster.
            self._files[name, kind] = pq.ParquetWriter(
                path, table.schema, compression="zstd", use_dictionary=False
            )
        self._files[name, kind].write_table(table, row_group_size=max(1, table.num_rows))

    def _close(self, name: str) -> None:
        for key in [key for key in self._files if key[0] == name]:
            self._files.pop(key).close()


def _by_pixel(images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    columns = np.ascontiguousarray(images.reshape(len(images), -1).T)
    return {str(i): column for i, column in enumerate(columns)}


_SLICES = 20


def _window_of_columns(
    path: Path, columns: int, pixels: int | None, detector: Detector | None
) -> int:
    """Return the pixels per slice in a table of `columns` charges that holds all slices.

    `pixels` is what a file of the last slice has. Raise `DataError` if no whole number of slices
    fits.
    """
    if pixels is None:
        candidates = [detector.sensor.n_pixels] if detector else []
        candidates += list(WINDOWS)
        fits = [c for c in candidates if columns == _SLICES * c]
        fits += [c for c in candidates if columns and columns % c == 0]
        pixels = fits[0] if fits else None
    if not pixels or not columns or columns % pixels:
        of = f"{pixels} pixels" if pixels else "a known window (273, 256 or 1024 pixels)"
        msg = f"{path}: {columns} pixel columns; expected whole time slices of {of}"
        msg += f" ({_SLICES} slices of 13 x 21 make 5460)"
        raise DataError(msg)
    return pixels
