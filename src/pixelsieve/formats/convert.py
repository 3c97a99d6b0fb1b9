"""From files of any known format to Parquet or triples, part by part."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pixelsieve.core.errors import RunError
from pixelsieve.core.files import new_folder, replacing, telling_unwritable
from pixelsieve.data.clusters import Clusters, concatenate
from pixelsieve.data.windows import recenter
from pixelsieve.display.shown import ShowsFields, one_line
from pixelsieve.formats import parquet, tfrecord, triples
from pixelsieve.formats.sources import Format, ReadOptions, Sources, find_sources, iterate
from pixelsieve.formats.tables import Table

Target = Literal["parquet", "triples"]

_GROUP_ROWS, _GROUP_BYTES = 20_000, 1 << 26
_RESOLUTIONS_PS = (30, 60)
_NAMED = 20  # sources named in the provenance


@dataclass(frozen=True, slots=True)
class Conversion(ShowsFields):
    """A finished conversion: format and number of sources, clusters by class, what came along.

    `notes` are lines on what the sources do not say.
    """

    source_format: str
    sources: int
    clusters: int
    signal: int
    bib: int
    time_slices: int
    has_group_id: bool
    detector: str
    window: tuple[int, int]
    out: str
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        counts = f"{self.clusters} clusters: {self.signal} signal, {self.bib} BIB"
        found = f"{self.sources} {self.source_format} file{'s' * (self.sources != 1)}"
        return one_line("Conversion", counts, found, self.out)


def convert(
    patterns: Sequence[str | Path],
    out: Path,
    *,
    to: Target = "parquet",
    source_format: Format | None = None,
    options: ReadOptions | None = None,
    centered: bool = False,
    smear_seed: int | None = None,
    on_part: Callable[[int, int, int], None] | None = None,
) -> Conversion:
    """Convert sources to one Parquet file or to a folder of triples, in bounded memory.

    `centered` moves the windows by `windows.recenter`, `smear_seed` adds measured arrival times
    (`smeared`). `on_part` hears of (sources begun, sources, clusters read). `out` appears whole
    or not at all, and replaces nothing. Raise `DataError` for bad sources and sources that do
    not belong together, `RunError` where `out` exists or cannot be written.
    """
    sources = find_sources(patterns, source_format)
    options = options or ReadOptions()
    generators = [] if smear_seed is None else np.random.default_rng(smear_seed).spawn(2)
    counts = {1: 0, 0: 0}
    last: list[Clusters] = []

    def parts() -> Iterator[Clusters]:
        for number, part in iterate(sources, options):
            changed = recenter(part) if centered else part
            changed = smeared(changed, generators)
            counts[1] += part.n_signal
            counts[0] += len(part) - part.n_signal
            last[:] = [changed.select(slice(0, 1))]
            if on_part:
                on_part(number + 1, len(sources.files), sum(counts.values()))
            yield changed

    how = {
        "from": sources.format,
        "files": [Table(p).name for p in sources.files[:_NAMED]],
        "number_of_files": len(sources.files),
        "centered": centered,
        "smear_seed": smear_seed,
        **({"columns": dict(options.columns)} if options.columns else {}),
    }
    provenance = {**_common_provenance(sources), "conversion": how}
    with _opened(out, to, provenance) as writer:
        for group in _grouped(parts()):
            writer.write(group)
    (one,) = last
    return Conversion(
        source_format=sources.format,
        sources=len(sources.files),
        clusters=sum(counts.values()),
        signal=counts[1],
        bib=counts[0],
        time_slices=0 if one.slices_e is None else one.slices_e.shape[1],
        has_group_id=one.group_id is not None,
        detector=one.detector.name,
        window=(one.detector.sensor.rows, one.detector.sensor.columns),
        out=str(out),
        notes=_notes(sources, one),
    )


_USUAL_SLICES = 20


def _notes(sources: Sources, one: Clusters) -> tuple[str, ...]:
    """Return what TFRecords tell of models that were trained on them, and what they leave open."""
    if sources.format != "tfrecord":
        return ()
    notes = []
    if name := tfrecord.family(sources.files[0]):
        notes.append(
            f"records scaled as '{name}': a model that was trained on them is imported by "
            f"convert MODEL --scaling {name}"
        )
    slices = None if one.slices_e is None else one.slices_e.shape[1]
    if slices not in {None, _USUAL_SLICES}:  # the simulation's own
        note = f"{slices} time slices, of which the records do not say when; the last is pixels_e, "
        note += f"one lasts {one.detector.sensor.slice_ps:g} ps by detector '{one.detector.name}'"
        notes.append(note)
    return tuple(notes)


def _common_provenance(sources: Sources) -> dict[str, object]:
    """Return the provenance that all Parquet sources share, else those of each."""
    if sources.format != "parquet":
        return {}
    said = [parquet.read_provenance(path) for path in sources.files]
    return said[0] if all(one == said[0] for one in said) else {"sources": said[:_NAMED]}


def smeared(clusters: Clusters, generators: Sequence[np.random.Generator]) -> Clusters:
    """Add arrival times measured with Gaussian errors of 30 and 60 ps to the true ones.

    One generator a resolution, so that the times do not depend on how clusters come in parts.
    Clusters without the true time, and measured times that are there, stay as they are.
    """
    true = clusters.truth.get("hit_time_ns")
    if true is None or not generators:
        return clusters
    columns = {}
    for resolution, generator in zip(_RESOLUTIONS_PS, generators, strict=True):
        error = generator.normal(0, resolution * 1e-3, len(clusters))
        name = f"hit_time_{resolution}ps_ns"
        if name not in clusters.columns():
            columns[name] = (true + error).astype(np.float32)
    return clusters.replace(**columns)


def _grouped(parts: Iterable[Clusters]) -> Iterator[Clusters]:
    """Parts joined to row groups of about 64 MiB, 20 000 clusters at most (files may be tiny)."""
    kept: list[Clusters] = []
    for part in parts:
        size = part.pixels_e[0].nbytes + (0 if part.slices_e is None else part.slices_e[0].nbytes)
        target = max(1, min(_GROUP_ROWS, _GROUP_BYTES // size))
        kept.append(part)
        if sum(map(len, kept)) < target:
            continue
        joined = concatenate(kept)  # of one part as well: it puts the columns in one order
        whole = len(joined) - len(joined) % target
        for start in range(0, whole, target):
            yield joined.select(slice(start, start + target))
        kept = [joined.select(slice(whole, None))] if whole < len(joined) else []
    if kept:
        yield concatenate(kept)


@contextlib.contextmanager
def _opened(
    out: Path, to: Target, provenance: Mapping[str, object]
) -> Iterator[parquet.Writer | triples.TripleWriter]:
    """A writer whose output takes its place when all went well."""
    _refuse_existing(out, to)
    with telling_unwritable(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        if to == "parquet":
            with replacing(out) as temporary, parquet.Writer(temporary, provenance) as file:
                yield file
            return
        with new_folder(out) as folder, triples.TripleWriter(folder) as writer:
            yield writer


def _refuse_existing(out: Path, to: Target) -> None:
    """Raise `RunError` if something would be lost; triples may go to an empty folder."""
    with telling_unwritable(out):
        if out.is_dir():
            if to == "triples" and not any(out.iterdir()):
                return
            there = "a folder that holds files" if to == "triples" else "a folder"
            wanted = (
                "a new folder" if to == "triples" else f"a file, e.g. {out / 'clusters.parquet'}"
            )
            msg = f"{out}: is {there}; expected {wanted}, name another --out"
        elif os.path.lexists(out):
            msg = f"{out}: exists and would be overwritten; name another --out or remove it"
        else:
            return
    raise RunError(msg)
