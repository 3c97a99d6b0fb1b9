"""Flat ROOT files: a TTree or an RNTuple, one entry per cluster, read by uproot.

The branches are named as the columns of Parquet files or as the field's labels; pixels are an array
of the whole window, or parallel lists of the pixels that were hit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixelsieve.core.errors import DataError
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import MUON_COLLIDER_VXD, Detector
from pixelsieve.formats.columns import (
    AS_THEY_ARE,
    IMAGES,
    REQUIRED,
    SPLIT_COLUMN,
    called,
    clusters_of,
    detector_of_pixels,
    is_column,
    is_read,
    require,
)
from pixelsieve.formats.labels import after_flight, called_by_the_field, is_signal
from pixelsieve.formats.root_file import FLAT, SHOWN, Tree, file_and_tree, opened
from pixelsieve.formats.root_pixels import HITS, arrow, dense_images, shape_of

_STRETCH_ROWS, _STRETCH_BYTES = 20_000, 1 << 26


def iterate(
    path: Path,
    *,
    slices: bool = False,
    columns: Mapping[str, str] = AS_THEY_ARE,
    detector: Detector | None = None,
    signal: bool | None = None,
) -> Iterator[Clusters]:
    """Read a tree stretch by stretch, in bounded memory, as `parquet.iterate` reads a file.

    `pixels_e` is an array of rows of columns, or flat; else `pixel_row` and `pixel_column` count
    from 0 in the window of the detector, pixels that are not listed hold 0 e, charges of a pixel
    listed twice add up, and `pixel_e` with a further axis of fixed length holds time slices.
    `columns` gives the tree's name of a column. The class is the column `signal`, else what
    `labels.is_signal` tells. The window is the data's, the detector the one told, else that of the
    public sets of this window. Raise `DataError` as `parquet.iterate` does, for pixels outside of
    the window, and for what is no flat tree.
    """
    with opened(path) as tree:
        layout = _Layout.of(path, tree, columns, slices=slices, signal=signal, detector=detector)
        first_row = 0
        for arrays in tree.stretches(layout.names, layout.rows):
            yield layout.clusters(arrays, first_row)
            first_row += len(arrays)


def read_split_column(
    path: Path, columns: Mapping[str, str] = AS_THEY_ARE
) -> NDArray[np.str_] | None:
    """Return the branch `split` as strings, None if the tree has none."""
    with opened(path) as tree:
        name = columns.get(SPLIT_COLUMN, SPLIT_COLUMN)
        if name not in tree.names:
            return None
        values = [arrow(part[name]) for part in tree.stretches([name], _STRETCH_ROWS)]
    labels = pa.chunked_array(values) if values else pa.array([], pa.string())
    kind = labels.type
    is_words = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (is_words or pa.types.is_integer(kind)):
        msg = f"{path}: column '{name}' holds {kind}; expected train, val or test"
        raise DataError(msg)
    return np.asarray(labels.cast(pa.string()).to_pylist(), dtype=np.str_)


def read_detector(path: Path, columns: Mapping[str, str] = AS_THEY_ARE) -> Detector:
    """Return the detector of the public sets with the tree's window."""
    with opened(path) as tree:
        return _Layout.of(path, tree, columns).detector


def read_provenance(path: Path) -> dict[str, Any]:  # noqa: ARG001 (as other formats have it)
    """Return how the clusters were made: ROOT files do not say."""
    return {}


def names(path: Path, columns: Mapping[str, str] = AS_THEY_ARE) -> list[str]:
    """Return the columns of `Clusters`, and others, that the tree has."""
    with opened(path) as tree:
        return [*_called(path, tree, columns)]


@dataclass(frozen=True, slots=True)
class _Layout:
    """The branches that a tree's clusters are made of: column of ours to branch."""

    path: Path
    theirs: Mapping[str, str]
    detector: Detector
    told_signal: bool | None
    slices: bool
    rows: int = 1

    @classmethod
    def of(
        cls,
        path: Path,
        tree: Tree,
        columns: Mapping[str, str],
        *,
        slices: bool = False,
        signal: bool | None = None,
        detector: Detector | None = None,
    ) -> _Layout:
        """Return what the names and the first entry tell; raise `DataError` if it is not enough."""
        theirs = _called(path, tree, columns)
        _require(path, tree, theirs, signal)
        if "signal" in theirs and signal is not None:
            msg = f"{path}: --signal, --bib: column 'signal' holds the class; leave the option out"
            raise DataError(msg)
        hits = () if "pixels_e" in theirs else HITS
        theirs = {o: name for o, name in theirs.items() if is_column(o) or o in hits}
        if not slices:
            theirs.pop("slices_e", None)
        if not tree.entries:
            msg = f"{path}: holds no clusters; expected at least one"
            raise DataError(msg)
        (first,) = tree.stretches([*theirs.values()], 1, stop=1)
        window = detector or MUON_COLLIDER_VXD
        if not hits:
            window = _detector_of_image(path, shape_of(first[theirs["pixels_e"]]), detector)
        one = cls(path, theirs, window, signal, slices)
        made = one.clusters(first, 0)
        size = made.pixels_e.nbytes + (0 if made.slices_e is None else made.slices_e.nbytes)
        rows = max(1, min(_STRETCH_ROWS, _STRETCH_BYTES // size))
        return replace(one, rows=rows)

    @property
    def names(self) -> list[str]:
        return [*dict.fromkeys(self.theirs.values())]

    def clusters(self, arrays: Any, first_row: int) -> Clusters:
        """Return a stretch as clusters; raise `DataError` for what is wrong with it."""
        table = {
            ours: arrow(arrays[name]) for ours, name in self.theirs.items() if ours not in HITS
        }
        table = {n: a for n, a in table.items() if n in IMAGES or is_read(pa.field(n, a.type))}
        if "pixels_e" not in self.theirs:
            hits = {ours: arrays[self.theirs[ours]] for ours in HITS}
            images = dense_images(hits, self.detector, str(self.path), first_row)
            table |= {n: a for n, a in images.items() if n == "pixels_e" or self.slices}
        if "signal" not in table:
            pdg = table.get("truth_pdg")
            table["signal"] = pa.array(
                is_signal(
                    file_and_tree(self.path)[0],
                    len(arrays),
                    None if pdg is None else pdg.to_numpy(zero_copy_only=False),
                    told=self.told_signal,
                    first_row=first_row,
                )
            )
        made = clusters_of(pa.table(table), self.detector, str(self.path), first_row)
        by_label = self.theirs.get("truth_hit_time_ns", "truth_hit_time_ns") != "truth_hit_time_ns"
        if not by_label or "hit_time_ns" in made.truth or "truth_hit_time_ns" not in made.truth:
            return made
        time = after_flight(made.truth["truth_hit_time_ns"], made.z_global_mm, self.detector)
        return made.replace(truth={**made.truth, "hit_time_ns": time.astype(np.float32)})


def _called(path: Path, tree: Tree, told: Mapping[str, str]) -> dict[str, str]:
    """Return the branch of each column: as told, else of its name, else of the field's name."""
    own = called(path, tree.names, told, HITS)
    return called_by_the_field(tree.names) | own


def _require(path: Path, tree: Tree, theirs: Mapping[str, str], signal: bool | None) -> None:
    """Raise `DataError` if a column is missing, or if the tree is none of clusters at all."""
    hits = "pixels_e" not in theirs and any(name in theirs for name in HITS)
    needed = [*HITS, *REQUIRED[1:]] if hits else [*REQUIRED]
    if "signal" not in theirs and _tells_class(path, theirs, signal):
        needed.remove("signal")
    missing = [name for name in needed if name not in theirs]
    if missing and tree.nested is not None:
        msg = f"{path}: is no flat tree (e.g. branch '{tree.nested}'), and has no branch "
        msg += f"'{missing[0]}'; expected one entry per cluster, {FLAT}"
        raise DataError(msg)
    there = ", ".join(tree.names[:SHOWN]) + (", ..." if len(tree.names) > SHOWN else "")
    hint = f"; the tree has {there or 'no branch'}; `pixelsieve convert --column NAME=BRANCH` "
    require(path, theirs, needed, there=tree.names, hint=hint + "takes other names")


def _tells_class(path: Path, theirs: Mapping[str, str], signal: bool | None) -> bool:
    pdg = np.empty(0, np.int32) if "truth_pdg" in theirs else None
    try:
        is_signal(file_and_tree(path)[0], 0, pdg, told=signal)
    except DataError:
        return False
    return True


def _detector_of_image(path: Path, shape: tuple[int, ...], told: Detector | None) -> Detector:
    """Return the detector of images of that shape, flat or rows x columns."""
    if len(shape) != 2:  # noqa: PLR2004 (rows and columns)
        return detector_of_pixels(path, int(np.prod(shape)), told)
    if told:
        return told.with_window(*shape)
    found = detector_of_pixels(path, shape[0] * shape[1], None)
    rows, columns = found.sensor.rows, found.sensor.columns
    if shape != (rows, columns):
        msg = f"{path}: column 'pixels_e' is {shape[0]} x {shape[1]}; expected {rows} x {columns}, "
        msg += "rows (y) by columns (x), or the window of --detector"
        raise DataError(msg)
    return found
