"""Tasks on one-threaded worker processes, in an order that respects who needs whom.

One-threaded processes side by side train small networks about twice as fast as one process with
all threads, and every task gives the same numbers however many workers there are.
"""

from __future__ import annotations

import contextlib
import multiprocessing as mp
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Protocol, Self

from pixelsieve.core.errors import PixelsieveError, RunError, WorkerError
from pixelsieve.core.processes import ending_with_us, scratch_folder

__all__ = [
    "LocalWorkers",
    "Task",
    "Workers",
    "check_names",
    "default_workers",
    "one_thread",
]

Report = Callable[[Any], None]

_ONE_THREAD = {
    "NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "DA_DEFAULT_THREADS": "1",  # alkaid's interpreter
}
_XLA_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"


@dataclass(frozen=True, slots=True)
class Task:
    """A call of a module-level `function(*arguments, report)`, after the tasks named in `after`.

    `report(item)` sends something to the caller while the task runs.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: tuple[str, ...] = ()


def default_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else mp.cpu_count()


class Workers(Protocol):
    """Somebody who runs tasks: processes here, or those of a Dask cluster."""

    def run(
        self, tasks: Sequence[Task], on_report: Callable[[str, Any], None] | None = None
    ) -> Iterator[tuple[str, Any]]:
        """Run all tasks; gives each one's name and result as soon as it is done."""


class LocalWorkers:
    """Worker processes on this machine, kept with what they have compiled while in a `with` block.

    `shared` is sent once to each worker and becomes the first argument of every call. An error in
    a task ends the whole run: `PixelsieveError` as it was, the death of a worker as `RunError`,
    anything else as `WorkerError`. Workers end when this process does, killed or not.
    """

    def __init__(self, shared: Any, workers: int) -> None:
        self._pool = _Pool(shared, workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.close()

    def run(
        self, tasks: Sequence[Task], on_report: Callable[[str, Any], None] | None = None
    ) -> Iterator[tuple[str, Any]]:
        """Run all tasks; gives each one's name and result as soon as it is done."""
        check_names(tasks)
        pool, waiting = self._pool, list(tasks)
        done: set[str] = set()
        while waiting or pool.busy:
            for task in [t for t in waiting if done.issuperset(t.after)]:
                if not pool.give(task):
                    break
                waiting.remove(task)
            for name, kind, value in pool.answers():
                if kind == "error":
                    raise value
                if kind == "done":
                    done.add(name)
                    yield name, value
                elif on_report:
                    on_report(name, value)


def check_names(tasks: Sequence[Task]) -> None:
    """Raise `ValueError` where a task waits for one that is not among them."""
    names = {task.name for task in tasks}
    for task in tasks:
        if unknown := set(task.after) - names:
            msg = f"task '{task.name}' waits for {sorted(unknown)}, which nobody runs"
            raise ValueError(msg)


class _Pool:
    """Worker processes, started as they are needed, each at the end of a pipe."""

    def __init__(self, shared: Any, size: int) -> None:
        self._context = mp.get_context("spawn")
        self._shared = shared
        self._size = size
        self._processes: dict[Connection, BaseProcess] = {}
        self._idle: list[Connection] = []
        self._guarded = contextlib.ExitStack()
        self.busy: dict[Connection, str] = {}

    def give(self, task: Task) -> bool:
        """Start a task; False where every worker is busy."""
        if not self._idle:
            if len(self._processes) >= self._size:
                return False
            self._idle.append(self._start())
        connection = self._idle.pop()
        self.busy[connection] = task.name
        try:
            connection.send((task.function, task.arguments))
        except ConnectionError as error:
            raise _death(task.name, self._processes[connection]) from error
        return True

    def answers(self) -> Iterator[tuple[str, str, Any]]:
        """Wait, then give what has come: task, `report`, `done` or `error`, and the value."""
        for connection in wait(list(self.busy)):
            assert isinstance(connection, Connection)
            name = self.busy[connection]
            kind, value = _receive(connection, name, self._processes[connection])
            if kind != "report":
                del self.busy[connection]
                self._idle.append(connection)
            yield name, kind, value

    def close(self) -> None:
        """End all workers; those still busy are terminated."""
        for connection, process in self._processes.items():
            if connection in self.busy:
                process.terminate()
            connection.close()
            process.join()
        self._guarded.close()

    def _start(self) -> Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._shared), daemon=True)
        with _environment(one_thread()):
            process.start()
        assert process.pid is not None
        self._guarded.enter_context(ending_with_us(process.pid))
        theirs.close()
        self._processes[ours] = process
        if len(self._processes) == self._size:
            self._shared = None  # nobody else needs what may be large
        return ours


def one_thread() -> dict[str, str]:
    """Environment variables that keep the libraries of a worker to one thread."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _XLA_ONE_THREAD not in flags:
        flags = f"{flags} {_XLA_ONE_THREAD}".strip()
    return {**_ONE_THREAD, "XLA_FLAGS": flags}


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _receive(connection: Connection, name: str, process: BaseProcess) -> tuple[str, Any]:
    try:
        kind, value = connection.recv()
    except (EOFError, ConnectionError) as error:
        raise _death(name, process) from error
    return kind, value


def _death(name: str, process: BaseProcess) -> RunError:
    process.join(timeout=5)
    return RunError(
        f"{name}: its worker process died (exit code {process.exitcode}; a negative one is a "
        "signal, -9 often lack of memory); run the same command again to go on"
    )


def _work(connection: Connection, shared: Any) -> None:
    with scratch_folder() as folder:
        # Temporary files of the libraries too: a killed worker must leave none.
        tempfile.tempdir = str(folder)
        _serve(connection, shared)


def _serve(connection: Connection, shared: Any) -> None:
    def report(item: Any) -> None:
        connection.send(("report", item))

    while True:
        try:
            function, arguments = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            answer: tuple[str, Any] = ("done", function(shared, *arguments, report))
        except PixelsieveError as error:
            answer = ("error", error)
        except KeyboardInterrupt:
            return
        except Exception as error:  # noqa: BLE001 (a worker hands every failure to the caller)
            where = traceback.format_exc()
            answer = ("error", WorkerError(f"{type(error).__name__}: {error}\n{where}"))
        try:
            connection.send(answer)
        except (BrokenPipeError, ConnectionError):
            return
