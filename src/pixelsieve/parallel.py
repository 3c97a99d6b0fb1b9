"""Tasks on one-threaded worker processes, in an order that respects who needs whom.

One-threaded processes side by side train small networks about twice as fast as one process with
all threads, and every task gives the same numbers however many workers there are.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from pixelsieve.errors import PixelsieveError, RunError

__all__ = ["Task", "default_workers", "run_tasks"]

Report = Callable[[Any], None]

_ONE_THREAD = {
    "NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
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


def run_tasks(
    tasks: Sequence[Task],
    shared: Any,
    *,
    workers: int,
    on_report: Callable[[str, Any], None] | None = None,
    on_done: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run all tasks and return their results by name.

    `shared` is sent once to each worker and becomes the first argument of every call. An error in
    a task ends the whole run: `PixelsieveError` as it was, anything else and the death of a
    worker as `RunError`. Workers end when this process does.
    """
    context = mp.get_context("spawn")
    waiting = list(tasks)
    results: dict[str, Any] = {}
    busy: dict[Connection, str] = {}
    processes: dict[Connection, BaseProcess] = {}
    idle: list[Connection] = []
    try:
        while waiting or busy:
            ready = [t for t in waiting if all(name in results for name in t.after)]
            while ready and (idle or len(processes) < workers):
                if not idle:
                    idle.append(_start_worker(context, shared, processes))
                connection, task = idle.pop(), ready.pop(0)
                waiting.remove(task)
                busy[connection] = task.name
                connection.send((task.function, task.arguments))
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                name = busy[connection]
                kind, value = _receive(connection, name, processes[connection])
                if kind == "report":
                    if on_report:
                        on_report(name, value)
                    continue
                del busy[connection]
                if kind == "error":
                    raise value
                results[name] = value
                idle.append(connection)
                if on_done:
                    on_done(name)
    finally:
        for connection, process in processes.items():
            if connection in busy:
                process.terminate()
            connection.close()
            process.join()
    return results


def _start_worker(
    context: Any, shared: Any, processes: dict[Connection, BaseProcess]
) -> Connection:
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, shared), daemon=True)
    before = {name: os.environ.get(name) for name in (*_ONE_THREAD, "XLA_FLAGS")}
    flags = f"{os.environ.get('XLA_FLAGS', '')} {_XLA_ONE_THREAD}".strip()
    os.environ.update({**_ONE_THREAD, "XLA_FLAGS": flags})
    try:
        process.start()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    theirs.close()
    processes[ours] = process
    return ours  # type: ignore[no-any-return]


def _receive(connection: Connection, name: str, process: BaseProcess) -> tuple[str, Any]:
    try:
        kind, value = connection.recv()
    except (EOFError, ConnectionError) as error:
        process.join(timeout=5)
        msg = (
            f"{name}: its worker process died (exit code {process.exitcode}; a negative one is a "
            "signal, -9 often lack of memory); run the same command again to go on"
        )
        raise RunError(msg) from error
    return kind, value


def _work(connection: Connection, shared: Any) -> None:
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
            answer = ("error", RunError(f"{type(error).__name__}: {error}\n{where}"))
        try:
            connection.send(answer)
        except (BrokenPipeError, ConnectionError):
            return
