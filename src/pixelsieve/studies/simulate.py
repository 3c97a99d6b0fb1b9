"""Simulate a sample into Parquet: chunks on threads or a Dask cluster, resumable, bounded."""

from __future__ import annotations

import io
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import RunError
from pixelsieve.core.files import replacing, telling_unwritable
from pixelsieve.core.runs import RunFolder
from pixelsieve.core.workers import Scheduler, Task, Workers, workers_of
from pixelsieve.formats import parquet
from pixelsieve.simulation.generate import Sample, differences, generate
from pixelsieve.simulation.sensor_response import prepare

CHUNK = 20_000
"""Clusters a chunk: the unit of work, of resuming, and of a row group."""

_CHUNK_SLICES = 1_000  # time slices make a cluster 21 times as large
_QUEUED = 3  # chunks asked for ahead per thread: bounds what waits in memory


def simulate(
    sample: Sample,
    out: Path,
    *,
    workers: int,
    scheduler: Scheduler | None = None,
    on_chunk: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Simulate into `out`: one file if it ends in .parquet, else a folder with one file per chunk.

    Chunks already there from an interrupted call are kept; a finished file of the same sample is
    left as it is. `scheduler` is a Dask scheduler, by address or `Client` (default: threads
    of this process). `on_chunk` gets the number of clusters of each chunk. Return counts and how
    many clusters were new. Raise `RunError` if `out` holds something else.
    """
    single = out.suffix == ".parquet"
    if out.suffix and not single and not out.is_dir():
        msg = (
            f"{out}: ends in '{out.suffix}'; expected a file ending in .parquet, or a folder "
            "without a dot in its name"
        )
        raise RunError(msg)
    folder = out.with_name(f".{out.name}.parts") if single else out
    provenance = _provenance(sample)
    counts = {"signal": sample.n_signal, "bib": sample.n_bib, "file": str(out)}
    if single and out.is_dir():
        msg = f"{out}: is a folder; name a file, or leave .parquet out to fill a folder"
        raise RunError(msg)
    if single and out.exists():
        if parquet.read_provenance(out) != provenance:
            msg = f"{out}: exists and is not this sample; remove it or choose another --out"
            raise RunError(msg)
        if on_chunk:
            on_chunk(len(sample))
        shutil.rmtree(folder, ignore_errors=True)  # killed just before it was removed
        return {**counts, "new": 0}
    chunks = _chunks(sample)
    paths = {
        first: folder / f"clusters-{number:06d}.parquet" for number, first in enumerate(chunks)
    }
    with _workers(sample, workers, scheduler) as pool:
        ours = False
        try:
            with RunFolder(folder).claimed(provenance):
                ours = True
                missing = {f: count for f, count in chunks.items() if not paths[f].exists()}
                firsts = {paths[first].name: first for first in missing}
                tasks = [Task(n, encoded_chunk, (f, missing[f])) for n, f in firsts.items()]
                with _joined(out, [*paths.values()], single) as join:
                    if on_chunk:
                        on_chunk(len(sample) - sum(missing.values()))
                    join()
                    for name, data in pool.run(tasks, at_once=_QUEUED * pool.size):
                        _write(folder / name, data)
                        if on_chunk:
                            on_chunk(missing[firsts[name]])
                        join()
        finally:
            # Not where another process works in it, and this one was refused.
            if ours and single and (out.exists() or not any(p.exists() for p in paths.values())):
                shutil.rmtree(folder, ignore_errors=True)
    return {**counts, "new": sum(missing.values())}


@lru_cache(maxsize=2)
def _provenance(sample: Sample) -> dict[str, Any]:
    return {"simulation": to_plain(sample), "changed": differences(sample)}


def _chunks(sample: Sample) -> dict[int, int]:
    size = _CHUNK_SLICES if sample.transport.n_slices else CHUNK
    return {first: min(size, len(sample) - first) for first in range(0, len(sample), size)}


def encoded_chunk(sample: Sample, first: int, count: int, _report: Callable[[Any], None]) -> bytes:
    """Return a stretch of the sample as the bytes of a Parquet file; what the workers run."""
    buffer = io.BytesIO()
    with parquet.Writer(buffer, _provenance(sample)) as writer:
        writer.write(generate(sample, first, count))
    return buffer.getvalue()


@contextmanager
def _workers(sample: Sample, workers: int, scheduler: Scheduler | None) -> Iterator[Workers]:
    """Threads suffice here: compiled loops and the Parquet encoder leave the interpreter alone."""
    if scheduler is None:
        prepare(sample.detector, sample.ionization, sample.transport)
    with workers_of(sample, workers, scheduler, threads=True) as pool:
        yield pool


@contextmanager
def _joined(out: Path, parts: list[Path], wanted: bool) -> Iterator[Callable[[], None]]:
    """Gives a call that appends to `out` the parts that are there, in order; whole at the end."""
    if not wanted:
        yield lambda: None
        return
    waiting = deque(parts)
    # In the folder of the parts, which goes when all is done, killed on the way or not.
    folder = parts[0].parent
    with telling_unwritable(out), replacing(out, folder) as temporary, ExitStack() as stack:
        writer: pq.ParquetWriter | None = None

        def join() -> None:
            nonlocal writer
            while waiting and waiting[0].exists():
                table = _part(waiting.popleft())
                if writer is None:
                    writer = stack.enter_context(parquet.open_writer(temporary, table.schema))
                writer.write_table(table)

        yield join


def _part(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except parquet.DAMAGE as error:
        msg = f"{path}: damaged ({str(error).splitlines()[0]}); remove it and it is made again"
        raise RunError(msg) from error


def _write(path: Path, data: bytes) -> None:
    with telling_unwritable(path), replacing(path) as temporary:
        temporary.write_bytes(data)
