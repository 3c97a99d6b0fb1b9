"""Work on processes here or on those of a Dask scheduler, behind one interface."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pixelsieve.core.errors import RunError
from pixelsieve.core.workers import LocalWorkers, Task, Workers, check_names, one_thread

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DaskWorkers", "connected", "result_of", "run_tasks", "workers_of"]

_CONNECT_S = 20

_one_at_a_time = threading.Lock()


@contextmanager
def connected(scheduler: str) -> Iterator[tuple[Client, Executor, int]]:
    """The client of the Dask scheduler at that address, its executor, and the threads it has.

    Raises `RunError`, of one line, where nobody answers, where there are no workers, and where
    they are lost on the way.
    """
    from distributed import Client, KilledWorker

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # errors are told in one line
    try:
        client = Client(scheduler, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        msg = (
            f"--scheduler {scheduler}: no Dask scheduler answers there ({error}); "
            "start one with 'dask scheduler' or leave the option out"
        )
        raise RunError(msg) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError as error:
            msg = f"--scheduler {scheduler}: has no workers; start some with 'dask worker'"
            raise RunError(msg) from error
        try:
            with client.get_executor(pure=False) as remote:
                yield client, remote, sum(client.nthreads().values())
        except KilledWorker as error:
            msg = (
                f"--scheduler {scheduler}: lost its workers ({error}); run the same command again "
                "to go on"
            )
            raise RunError(msg) from error


def result_of(future: Future[Any], what: str) -> Any:
    """The future's result; a lost connection is a `RunError` that names `what`."""
    try:
        return future.result()
    except (CancelledError, OSError) as error:  # a lost connection is an OSError
        msg = f"{what} was lost ({error!r}); run the same command again to go on"
        raise RunError(msg) from error


class DaskWorkers:
    """The workers of a Dask cluster as `parallel.Workers`: one task at a time in each process.

    Tasks report nothing on their way. One-threaded workers (`dask worker --nthreads 1`) give the
    numbers that local ones give.
    """

    def __init__(self, client: Client, executor: Executor, shared: Any) -> None:
        self._executor = executor
        (self._shared,) = client.scatter([shared], broadcast=True)

    def run(
        self, tasks: Sequence[Task], on_report: Callable[[str, Any], None] | None = None
    ) -> Iterator[tuple[str, Any]]:
        """Run all tasks; gives each one's name and result as soon as it is done."""
        del on_report
        check_names(tasks)
        waiting, done = list(tasks), set[str]()
        running: dict[Future[Any], str] = {}
        try:
            while waiting or running:
                for task in [t for t in waiting if done.issuperset(t.after)]:
                    call = (task.function, self._shared, task.arguments)
                    running[self._executor.submit(_call, *call)] = task.name
                    waiting.remove(task)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    value = result_of(future, name)
                    done.add(name)
                    yield name, value
        finally:
            for future in running:
                future.cancel()


@contextmanager
def workers_of(shared: Any, workers: int, scheduler: str | None) -> Iterator[Workers]:
    """Give `workers` processes here, or those of the Dask scheduler at that address.

    `shared` is the first argument of every call. Errors are those of `LocalWorkers`, or as
    `connected` has them.
    """
    if scheduler is None:
        with LocalWorkers(shared, workers) as local:
            del shared  # the last worker to start takes it along
            yield local
    else:
        with connected(scheduler) as (client, executor, _):
            yield DaskWorkers(client, executor, shared)


def run_tasks(
    tasks: Sequence[Task],
    shared: Any,
    *,
    workers: int,
    scheduler: str | None = None,
    on_report: Callable[[str, Any], None] | None = None,
    on_done: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run all tasks by `workers_of` and return their results by name.

    Workers of a scheduler report nothing on their way, and what tasks write must be on a disk that
    they share with this process.
    """
    results: dict[str, Any] = {}
    with workers_of(shared, workers, scheduler) as pool:
        del shared
        for name, value in pool.run(tasks, on_report):
            results[name] = value
            if on_done:
                on_done(name)
    return results


def _call(function: Callable[..., Any], shared: Any, arguments: tuple[Any, ...]) -> Any:
    with _one_at_a_time:  # Keras keeps its state by process
        if "jax" not in sys.modules:
            os.environ.update(one_thread())
        try:
            return function(shared, *arguments, lambda _: None)
        except OSError as error:  # of the task's own; others are lost connections
            msg = f"{type(error).__name__} on a worker: {error}"
            raise RunError(msg) from error
