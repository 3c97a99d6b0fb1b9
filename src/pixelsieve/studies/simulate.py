"""Simulate a sample into Parquet: chunks on threads or a Dask cluster, resumable, bounded."""

from __future__ import annotations

import io
import itertools
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
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
from pixelsieve.core.scheduler import connected, result_of
from pixelsieve.formats import parquet
from pixelsieve.simulation.generate import Sample, differences, generate
from pixelsieve.simulation.sensor_response import prepare

__all__ = ["CHUNK", "simulate"]

CHUNK = 20_000
"""Clusters a chunk: the unit of work, of resuming, and of a row group."""

_CHUNK_SLICES = 1_000  # time slices make a cluster 21 times as large
_QUEUED = 3  # chunks asked for ahead, a thread: bounds what waits in memory


def simulate(
    sample: Sample,
    out: Path,
    *,
    workers: int,
    scheduler: str | None = None,
    on_chunk: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Simulate into `out`: one file where it ends in .parquet, else a folder of one a chunk.

    Chunks already there from an interrupted call are kept; a finished file of the same sample is
    left as it is. `scheduler` is the address of a Dask scheduler (default: threads of this
    process). `on_chunk` hears the number of clusters of each chunk. Returns counts and how many
    clusters were new. Raises `RunError` where `out` holds something else.
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
    with _executor(sample, workers, scheduler) as (executor, threads):
        ours = False
        try:
            with RunFolder(folder, provenance):
                ours = True
                missing = {f: count for f, count in chunks.items() if not paths[f].exists()}
                with _joined(out, [*paths.values()], single) as join:
                    if on_chunk:
                        on_chunk(len(sample) - sum(missing.values()))
                    join()
                    for first, data in _run(sample, missing, executor, threads):
                        _write(paths[first], data)
                        if on_chunk:
                            on_chunk(missing[first])
                        join()
        finally:
            # Not where another process works in it, and this one was refused.
            if ours and single and (out.exists() or not any(p.exists() for p in paths.values())):
                shutil.rmtree(folder, ignore_errors=True)
    return {**counts, "new": sum(missing.values())}


@lru_cache(maxsize=2)
def _provenance(sample: Sample) -> dict[str, Any]:
    return {"simulation": to_plain(sample), "changed": differences(sample)}


def _size(sample: Sample) -> int:
    return _CHUNK_SLICES if sample.transport.n_slices else CHUNK


def _chunks(sample: Sample) -> dict[int, int]:
    size = _size(sample)
    return {first: min(size, len(sample) - first) for first in range(0, len(sample), size)}


def encoded_chunk(sample: Sample, first: int, count: int) -> bytes:
    """A stretch of the sample as the bytes of a Parquet file; what the workers run."""
    buffer = io.BytesIO()
    with parquet.Writer(buffer, _provenance(sample)) as writer:
        writer.write(generate(sample, first, count))
    return buffer.getvalue()


def _run(
    sample: Sample, missing: dict[int, int], executor: Executor, threads: int
) -> Iterator[tuple[int, bytes]]:
    """Chunks in the order in which they are done; only a few are under way at a time."""
    waiting = iter(missing.items())
    running: dict[Future[bytes], int] = {}
    while True:
        for first, count in itertools.islice(waiting, _QUEUED * threads - len(running)):
            running[executor.submit(encoded_chunk, sample, first, count)] = first
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), result_of(future, "a chunk")


@contextmanager
def _executor(
    sample: Sample, workers: int, scheduler: str | None
) -> Iterator[tuple[Executor, int]]:
    """Threads of this process, or those of a Dask cluster, and how many they are.

    Threads suffice: compiled loops and the Parquet encoder leave the interpreter alone. A Dask
    cluster inside this process would lose its workers, and wait for ever, when a laptop sleeps.
    """
    if scheduler is None:
        prepare(sample.detector, sample.ionization, sample.transport)
        local = ThreadPoolExecutor(workers)
        try:
            yield local, workers
        finally:
            local.shutdown(cancel_futures=True)
        return
    with connected(scheduler) as (_, remote, threads):
        yield remote, threads


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
