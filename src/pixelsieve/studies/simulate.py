"""Simulate a sample into Parquet: chunks on threads or a Dask cluster, resumable, bounded."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pixelsieve.config import to_plain
from pixelsieve.errors import RunError
from pixelsieve.files import replacing
from pixelsieve.formats import parquet
from pixelsieve.runs import RunFolder
from pixelsieve.simulation.generate import Sample, generate

__all__ = ["CHUNK", "simulate"]

CHUNK = 20_000
"""Clusters a chunk: the unit of work, of resuming, and of a row group."""

_CHUNK_SLICES = 1_000  # time slices make a cluster 21 times as large
_QUEUED = 3  # chunks asked for ahead, a thread: bounds what waits in memory
_CONNECT_S = 20


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
    provenance = {"simulation": to_plain(sample)}
    counts = {"signal": sample.n_signal, "bib": sample.n_bib, "file": str(out)}
    if single and out.exists():
        if parquet.read_provenance(out) != provenance:
            msg = f"{out}: exists and is not this sample; remove it or choose another --out"
            raise RunError(msg)
        if on_chunk:
            on_chunk(len(sample))
        return {**counts, "new": 0}
    folder = out.with_name(f".{out.name}.parts") if single else out
    with RunFolder(folder, provenance) as run:
        chunks = _chunks(sample)
        paths = {
            first: run.path / f"clusters-{first // _size(sample):06d}.parquet" for first in chunks
        }
        missing = {first: count for first, count in chunks.items() if not paths[first].exists()}
        if on_chunk:
            on_chunk(len(sample) - sum(missing.values()))
        for first, data in _run(sample, missing, workers, scheduler):
            _write(paths[first], data)
            if on_chunk:
                on_chunk(missing[first])
        if single:
            _join([paths[first] for first in chunks], out)
    if single:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    return {**counts, "new": sum(missing.values())}


def _size(sample: Sample) -> int:
    return _CHUNK_SLICES if sample.transport.n_slices else CHUNK


def _chunks(sample: Sample) -> dict[int, int]:
    size = _size(sample)
    return {first: min(size, len(sample) - first) for first in range(0, len(sample), size)}


def encoded_chunk(sample: Sample, first: int, count: int) -> bytes:
    """A stretch of the sample as the bytes of a Parquet file; what the workers run."""
    buffer = io.BytesIO()
    with parquet.Writer(buffer, {"simulation": to_plain(sample)}) as writer:
        writer.write(generate(sample, first, count))
    return buffer.getvalue()


def _run(
    sample: Sample, missing: dict[int, int], workers: int, scheduler: str | None
) -> Iterator[tuple[int, bytes]]:
    """Chunks in the order in which they are done; only a few are under way at a time."""
    if not missing:
        return
    with _executor(workers, scheduler) as (executor, threads):
        waiting = iter(missing.items())
        running: dict[Future[bytes], int] = {}
        while True:
            for first, count in itertools.islice(waiting, _QUEUED * threads - len(running)):
                running[executor.submit(encoded_chunk, sample, first, count)] = first
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), _result(future, scheduler)


def _result(future: Future[bytes], scheduler: str | None) -> bytes:
    try:
        return future.result()
    except CancelledError as error:
        msg = f"--scheduler {scheduler}: gave up a chunk; run the same command again to go on"
        raise RunError(msg) from error


@contextmanager
def _executor(workers: int, scheduler: str | None) -> Iterator[tuple[Executor, int]]:
    """Threads of this process, or those of a Dask cluster, and how many they are.

    Threads suffice: compiled loops and the Parquet encoder leave the interpreter alone. A Dask
    cluster inside this process would lose its workers, and wait for ever, when a laptop sleeps.
    """
    if scheduler is None:
        local = ThreadPoolExecutor(workers)
        try:
            yield local, workers
        finally:
            local.shutdown(cancel_futures=True)
        return
    from distributed import Client

    try:
        client = Client(scheduler, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        msg = (
            f"--scheduler {scheduler}: no Dask scheduler answers there ({error}); "
            "start one with 'dask scheduler' or leave the option out"
        )
        raise RunError(msg) from error
    with client, client.get_executor(pure=False) as remote:
        yield remote, sum(client.nthreads().values()) or 1


def _write(path: Path, data: bytes) -> None:
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror or error})"
        raise RunError(msg) from error


def _join(parts: list[Path], out: Path) -> None:
    try:
        with replacing(out) as temporary:
            schema = pq.read_schema(parts[0])
            with parquet.open_writer(temporary, schema) as writer:
                for part in parts:
                    writer.write_table(pq.read_table(part))
    except OSError as error:
        msg = f"{out}: cannot be written ({error.strerror or error})"
        raise RunError(msg) from error
