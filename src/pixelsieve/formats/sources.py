"""The sources that a user's paths name: which format, which files, in which order."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, get_args

from pixelsieve.core.errors import ConfigError, DataError, RunError
from pixelsieve.core.files import distinct, read_document
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import Detector
from pixelsieve.formats import (
    parquet,
    pixelav,
    root,
    root_file,
    tables,
    tfrecord,
    tracklist,
    triples,
)
from pixelsieve.formats.columns import AS_THEY_ARE
from pixelsieve.formats.partitions import files_in

Format = Literal["parquet", "triples", "tfrecord", "pixelav", "root"]
FORMATS: tuple[Format, ...] = get_args(Format)

_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".tfrecord": "tfrecord",
    ".out": "pixelav",
    root_file.SUFFIX: "root",
}
_CLASSLESS = ("pixelav", "triples", "root")
_SPLITS = ("train", "val", "validation", "test")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The user's word on the sources.

    `detector` overrides the format's (its window comes from the data), `signal` the class,
    `tracks` are PixelAV's track lists (one a file), `z_global_mm` stands in for a missing
    column, `slices` keeps the time slices. `tree` is the one to read of each ROOT file, `columns`
    gives the files' names of columns that they call otherwise.
    """

    detector: Detector | None = None
    signal: bool | None = None
    tracks: tuple[Path, ...] = ()
    z_global_mm: float | None = None
    slices: bool = True
    tree: str | None = None
    columns: Mapping[str, str] = field(default_factory=lambda: AS_THEY_ARE)


@dataclass(frozen=True, slots=True)
class Sources:
    """Files of one format in natural order, once each; one file stands for a triple."""

    format: Format
    files: tuple[Path, ...]


def find_sources(patterns: Sequence[str | Path], told: Format | None = None) -> Sources:
    """The format of paths, folders and glob patterns, and their files.

    By the suffix (.parquet, .tfrecord, .out, .root) and, for Parquet, by the name; `told` decides
    where that is not enough. Raise `DataError` if there is nothing, if the format cannot be
    told, if several are mixed, and for the folder of a simulation that is not finished.
    """
    found: dict[Path, Format] = {}
    for pattern in patterns:
        here = _files(pattern, told)
        if not here and not Path(pattern).exists() and not glob.has_magic(str(pattern)):
            msg = f"{pattern}: no such file or folder; check the path"
            raise DataError(msg)
        if not here:
            kinds = ", ".join(FORMATS)
            msg = f"{pattern}: no file of a known format ({kinds}); check the path, or say --format"
            raise DataError(msg)
        found |= here
    first, kind = next(iter(found.items()))
    for path, other in found.items():
        if other != kind:
            msg = f"{path}: {other}, but {first} is {kind}; convert one format at a time"
            raise DataError(msg)
    files = [t.labels for t in triples.find(found)] if kind == "triples" else found
    return Sources(kind, tuple(distinct(files)))


def _files(pattern: str | Path, told: Format | None) -> dict[Path, Format]:
    path, tree = root_file.file_and_tree(pattern)
    if path.is_file():
        return {root_file.in_tree(path, tree): told or _format(path)}
    if path.is_dir():
        _refuse_unfinished(path)
        meant = (told, "parquet") if told == "triples" else (told,)
        kinds = {s for s, kind in _SUFFIXES.items() if told is None or kind in meant}
        paths = [p for p in files_in(path) if _suffix(p) in kinds]
    else:
        # Path.glob takes no pattern with a root or '..', which users do give.
        paths = [Path(p) for p in glob.glob(str(path))]  # noqa: PTH207
    paths = sorted((p for p in paths if p.is_file()), key=lambda p: triples.natural(str(p)))
    return {
        root_file.in_tree(p, tree): told or _format(p)
        for p in paths
        if told != "triples" or triples.is_part(p)
    }


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _format(path: Path) -> Format:
    if triples.is_part(path):
        return "triples"
    if (suffix := _suffix(path)) in _SUFFIXES:
        return _SUFFIXES[suffix]
    kinds = ", ".join(FORMATS)
    msg = f"{path}: cannot tell its format by the name; say --format ({kinds})"
    raise DataError(msg)


def iterate(sources: Sources, options: ReadOptions) -> Iterator[tuple[int, Clusters]]:
    """Read the sources part by part: the number of the file, and clusters of it.

    Raise `DataError` for what is wrong with them, also if they do not belong together
    (columns, slices, detector), and `ConfigError` for options that the format has no use for.
    """
    _check(sources, options)
    first: Clusters | None = None
    lists = options.tracks or repeat(None, len(sources.files))
    for number, (path, tracks) in enumerate(zip(sources.files, lists, strict=True)):
        for part in _read(sources.format, path, tracks, options):
            first = first or part.select(slice(0, 1))
            _require_alike(part, first)
            yield number, part


def _check(sources: Sources, options: ReadOptions) -> None:
    kind, n = sources.format, len(sources.files)
    for option, given, kinds, why in (
        ("--tracks", options.tracks, ("pixelav",), "have no track lists"),
        ("--signal, --bib", options.signal is not None, _CLASSLESS, "hold the class"),
        ("--z-global", options.z_global_mm is not None, ("pixelav", "triples"), "hold z"),
        ("--detector", options.detector, FORMATS[1:], "name their detector"),
        ("--tree", options.tree, ("root",), "hold no trees"),
        ("--column", options.columns, ("parquet", "root"), "have names of their own"),
    ):
        if given and kind not in kinds:
            msg = f"{option}: {kind} files {why}; leave the option out"
            raise ConfigError(msg)
    if options.tracks and len(options.tracks) != n:
        msg = f"--tracks: {len(options.tracks)} track lists for {n} PixelAV files; give one each"
        raise ConfigError(msg)
    if kind in {"parquet", "root"}:
        stems = [root_file.file_and_tree(p)[0].stem for p in sources.files]
        splits = {stem.rsplit("_", 1)[-1] for stem in stems} & set(_SPLITS)
        if len(splits) > 1:
            msg = (
                f"{sources.files[0].parent}: files of several splits ({', '.join(sorted(splits))})"
            )
            msg += "; convert one split at a time, or they would be mixed"
            raise DataError(msg)


def _read(
    kind: Format, path: Path, tracks: Path | None, options: ReadOptions
) -> Iterator[Clusters]:
    if kind in {"parquet", "root"}:
        if options.tree is not None:
            path = root_file.in_tree(root_file.file_and_tree(path)[0], options.tree)
        if tables.Table(path, options.columns).split_column() is not None:
            msg = f"{path}: column 'split' would be lost; name files *_train, *_val, *_test instead"
            raise DataError(msg)
        if kind == "parquet":
            return parquet.iterate(path, slices=options.slices, columns=options.columns)
    told: dict[str, Any] = {"detector": options.detector, "slices": options.slices}
    if kind == "root":
        return root.iterate(path, columns=options.columns, signal=options.signal, **told)
    if kind == "tfrecord":
        return tfrecord.iterate(path, **told)
    told |= {"signal": options.signal, "z_global_mm": options.z_global_mm}
    if kind == "pixelav":
        return pixelav.iterate(path, tracks=tracklist.read(tracks) if tracks else None, **told)
    return triples.iterate(triples.find([path])[0], **told)


def _require_alike(part: Clusters, first: Clusters) -> None:
    if part.detector != first.detector:
        msg = f"{part.origin}: of detector '{part.detector.name}' with window "
        msg += f"{part.pixels_e.shape[1:]}; expected '{first.detector.name}' with window "
        msg += f"{first.pixels_e.shape[1:]} and the same constants, as {first.origin}"
        raise DataError(msg)
    slices, expected = (0 if c.slices_e is None else c.slices_e.shape[1] for c in (part, first))
    if slices != expected:
        msg = f"{part.origin}: {slices} time slices; expected {expected}, as {first.origin}"
        msg += "; convert them apart or with --no-slices"
        raise DataError(msg)
    odd = sorted(part.columns().keys() ^ first.columns().keys())
    if odd:
        has, lacks = (part, first) if odd[0] in part.columns() else (first, part)
        msg = f"{lacks.origin}: column '{odd[0]}' is missing, but {has.origin} has it"
        raise DataError(msg)
    for name, column in part.columns().items():
        if column.dtype != (kind := first.columns()[name].dtype):
            msg = f"{part.origin}: column '{name}' holds {column.dtype}; expected {kind}, as "
            msg += first.origin
            raise DataError(msg)


def find_files(patterns: Sequence[str | Path]) -> list[Path]:
    """The files that paths, folders and glob patterns name, each once; none is an error.

    Parquet or ROOT files, the latter also as `FILE.root:TREE`.

    In order of their names, those of one name by their places, however they were given: the same
    files give the same rows, and `Dataset.identity`, which knows files by name, tells their order.
    Raise `DataError` for the folder of a simulation that is not finished.
    """
    found: list[Path] = []
    for pattern in patterns:
        path, tree = root_file.file_and_tree(pattern)
        if path.is_dir():
            _refuse_unfinished(path)
            matches = _tables_in(path)
        elif path.is_file():
            matches = [path]
        else:
            # Path.glob takes no pattern with a root or '..', which users do give.
            matches = [Path(p) for p in glob.glob(str(path))]  # noqa: PTH207
        if not matches:
            msg = f"{pattern}: no such Parquet or ROOT file, folder of them or pattern; check the "
            raise DataError(msg + "path")
        found += [root_file.in_tree(p, tree) for p in matches]
    return distinct(sorted(found, key=lambda p: (p.name, os.path.realpath(p))))


def _tables_in(folder: Path) -> list[Path]:
    """Return the files of a folder and its partitions; two formats may be the same clusters."""
    files = [*files_in(folder)]
    by_suffix = {s: [p for p in files if p.suffix == s] for s in tables.SUFFIXES}
    if all(by_suffix.values()):
        msg = f"{folder}: holds Parquet and ROOT files; say which, e.g. '{folder / '*.parquet'}'"
        raise DataError(msg)
    return [p for paths in by_suffix.values() for p in paths]


def _refuse_unfinished(folder: Path) -> None:
    """Raise `DataError` if `simulate` began to fill the folder and files of it are missing."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return
    try:
        said = read_document(manifest).get("config")
    except RunError:  # of somebody else, or damaged: the clusters have their own checks
        return
    wanted = _clusters_of(said)
    there = sum(map(_rows, folder.glob("clusters-*.parquet")))
    if there < wanted:
        msg = (
            f"{folder}: {there} of the {wanted} clusters of its simulation are there; give the "
            "same `pixelsieve simulate` again to make the others, or take these as they are by "
            f"'{folder / '*.parquet'}'"
        )
        raise DataError(msg)


def incomplete_samples(files: Sequence[Path]) -> list[str]:
    """One line for each simulated sample of which `files` hold less than was simulated."""
    samples: dict[str, list[Path]] = {}
    wanted: dict[str, int] = {}
    for path in files:
        said = tables.Table(path).provenance()
        if clusters := _clusters_of(said):
            key = json.dumps(said["simulation"], sort_keys=True)
            samples.setdefault(key, []).append(path)
            wanted[key] = clusters
    found = []
    for key, paths in samples.items():
        there = sum(map(_rows, paths))
        if there < wanted[key]:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            found.append(
                f"{paths[0]}{more}: {there} of the {wanted[key]} clusters of the simulation; are "
                "files missing?"
            )
    return found


def _clusters_of(provenance: Any) -> int:
    """Return the number of clusters simulated, 0 if this is of no simulation."""
    sample = provenance.get("simulation") if isinstance(provenance, Mapping) else None
    if not isinstance(sample, Mapping):
        return 0
    counts = [sample.get(name) for name in ("n_signal", "n_bib")]
    return sum(n for n in counts if isinstance(n, int))


def _rows(path: Path) -> int:
    return int(parquet.open_file(path).metadata.num_rows)
