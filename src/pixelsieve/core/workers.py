"""Tasks on worker processes here or on those of a Dask scheduler, by one loop.

One-threaded processes side by side train small networks about twice as fast as one process with
all threads, and every task gives the same numbers however many workers there are.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import secrets
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from pixelsieve.core.errors import PixelsieveError, RunError, WorkerError
from pixelsieve.core.farm import Versions, connected, our_versions, require_same
from pixelsieve.core.processes import ending_with_us, scratch_folder

if TYPE_CHECKING:
    from distributed import Client

Report = Callable[[Any], None]
Submit = Callable[["Task", Report], Future[Any]]
Scheduler: TypeAlias = "str | Client"
"""A Dask scheduler: its address, `tls://host:port` or `tcp://host:port`, or a client of it."""

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
    """A call of a module-level `function(shared, *arguments, report)`, after the tasks in `after`.

    `report(item)` sends something to the caller while the task runs.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: tuple[str, ...] = ()


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_thread() -> dict[str, str]:
    """Return environment variables that keep the libraries of a worker to one thread."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _XLA_ONE_THREAD not in flags:
        flags = f"{flags} {_XLA_ONE_THREAD}".strip()
    return {**_ONE_THREAD, "XLA_FLAGS": flags}


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers to use: `submit` gives a future of a task's result, `size` run side by side.

    To a scheduler more workers may come later, so it gets all tasks that can run.
    """

    submit: Submit
    size: int
    more_may_come: bool = False

    def run(
        self,
        tasks: Sequence[Task],
        on_report: Callable[[str, Any], None] | None = None,
        at_once: int | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Run all tasks; yield the name and result of each as soon as it is done.

        `at_once` tasks at most are under way or have results that wait here. An error in a task
        ends the whole run: `PixelsieveError` as it was, the loss of a worker as `RunError`,
        anything else as `WorkerError`.
        """
        names = {task.name for task in tasks}
        for task in tasks:
            if unknown := set(task.after) - names:
                msg = f"task '{task.name}' waits for {sorted(unknown)}, which nobody runs"
                raise ValueError(msg)
        most = at_once or (len(tasks) if self.more_may_come else self.size)
        events = SimpleQueue[tuple[str, Any]]()
        waiting, done = list(tasks), set[str]()
        running: dict[str, Future[Any]] = {}

        def tell(name: str, item: Any) -> None:
            events.put((name, item))

        try:
            while waiting or running:
                ready = (task for task in waiting if done.issuperset(task.after))
                for task in list(itertools.islice(ready, most - len(running))):
                    waiting.remove(task)
                    running[task.name] = self.submit(task, partial(tell, task.name))
                    running[task.name].add_done_callback(partial(tell, task.name))
                name, item = events.get()
                if item is running.get(name):
                    value = _result_of(running.pop(name), name)
                    done.add(name)
                    del item  # what is large goes when the caller has done with it
                    yield name, value
                elif on_report and name in running:
                    on_report(name, item)
        finally:
            for future in running.values():
                future.cancel()


def _result_of(future: Future[Any], name: str) -> Any:
    try:
        return future.result()
    except (CancelledError, OSError) as error:  # a lost connection is an OSError
        msg = f"{name} was lost ({error!r}); run the same command again to go on"
        raise RunError(msg) from error


@contextlib.contextmanager
def workers_of(
    shared: Any, workers: int, scheduler: Scheduler | None, *, threads: bool = False
) -> Iterator[Workers]:
    """Give `workers` processes here, or those of a Dask scheduler.

    `shared` is the first argument of every call; it is sent once to each process. With `threads`
    the tasks may run side by side in one process: here that is this one. Processes start when
    they are needed, keep what they have compiled, and end with this process, killed or not. Raise
    `RunError` if no scheduler answers, or it has no workers, loses them, or has other versions.
    One-threaded workers (`dask worker --nthreads 1`) give the numbers that local ones give.
    """
    if scheduler is not None:
        with connected(scheduler) as client, _dask_workers(client, shared, not threads) as farm:
            del shared
            yield farm
    elif threads:
        pool = ThreadPoolExecutor(workers)
        try:
            yield Workers(
                lambda task, report: pool.submit(task.function, shared, *task.arguments, report),
                workers,
            )
        finally:
            pool.shutdown(cancel_futures=True)
    else:
        with _processes(shared, workers) as submit:
            del shared  # the last worker to start takes it along
            yield Workers(submit, workers)


def run_tasks(
    tasks: Sequence[Task],
    shared: Any,
    *,
    workers: int,
    scheduler: Scheduler | None = None,
    on_report: Callable[[str, Any], None] | None = None,
    on_done: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run all tasks by `workers_of` and return their results by name.

    What tasks write must be on a disk that the workers of a scheduler share with this process.
    """
    results: dict[str, Any] = {}
    with workers_of(shared, workers, scheduler) as pool:
        del shared
        for name, value in pool.run(tasks, on_report):
            results[name] = value
            if on_done:
                on_done(name)
    return results


@contextlib.contextmanager
def _processes(shared: Any, size: int) -> Iterator[Submit]:
    """Give what submits to processes of this machine; a thread for each waits for its answers."""
    unsent, lock = [shared] * size, threading.Lock()
    del shared
    started, idle = list[_Process](), list[_Process]()
    pool = ThreadPoolExecutor(size)
    with scratch_folder() as folder, contextlib.ExitStack() as ending:

        def call(task: Task, report: Report) -> Any:
            with lock:
                if not idle:
                    idle.append(_Process(folder, unsent.pop()))
                    started.append(idle[-1])
                    ending.enter_context(ending_with_us(idle[-1].process.pid))
                process = idle.pop()
            try:
                return process.call(task, report)
            finally:
                idle.append(process)

        try:
            yield lambda task, report: pool.submit(call, task, report)
        finally:
            with lock:
                unsent.clear()  # so that no more are started
                for one in started:
                    one.process.terminate()
            pool.shutdown(cancel_futures=True)
            for one in started:
                one.connection.close()
                one.process.wait()


class _Process:
    """A worker process at the end of a pipe.

    It does not import this process's main module, so scripts need no guard around what they run.
    Its TMPDIR is `folder`: nothing of the libraries' temporary files outlives the pool.
    """

    def __init__(self, folder: Path, shared: Any) -> None:
        self.connection, theirs = Pipe()
        self._unsent = [shared]
        paths = json.dumps([str(Path(path).absolute()) for path in sys.path])
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 (this program itself)
                [sys.executable, "-c", _MAIN, paths, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **one_thread(), "TMPDIR": str(folder)},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def call(self, task: Task, report: Report) -> Any:
        try:
            self.connection.send((task.function, task.arguments, *self._unsent))
            self._unsent.clear()
            while (answer := self.connection.recv())[0] == "report":
                report(answer[1])
        except (EOFError, ConnectionError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)
            msg = (
                f"{task.name}: its worker process died (exit code {self.process.returncode}; a "
                "negative one is a signal, -9 often lack of memory); run the same command again "
                "to go on"
            )
            raise RunError(msg) from error
        if answer[0] == "error":
            raise answer[1]
        return answer[1]


_MAIN = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pixelsieve.core.workers import serve
serve(int(sys.argv[2]))
"""


def serve(handle: int) -> None:
    """Answer the calls that come through the pipe `handle`, until its other end is closed."""
    connection, shared = Connection(handle), None

    def report(item: Any) -> None:
        connection.send(("report", item))

    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            message = [connection.recv_bytes()]
            try:
                function, arguments, *first = pickle.loads(message.pop())  # noqa: S301 (our own)
                shared = first.pop() if first else shared
                answer = ("done", function(shared, *arguments, report))
            except PixelsieveError as error:
                answer = ("error", error)
            except Exception as error:  # noqa: BLE001 (a worker hands every failure to the caller)
                where = traceback.format_exc()
                answer = ("error", WorkerError(f"{type(error).__name__}: {error}\n{where}"))
            connection.send(answer)


@contextlib.contextmanager
def _dask_workers(client: Client, shared: Any, alone: bool) -> Iterator[Workers]:
    # by a key of its own: the same data of an earlier run may be on its way out
    (sent,) = client.scatter([shared], broadcast=True, hash=False)
    del shared
    executor = client.get_executor(pure=False)
    here, run = our_versions(), secrets.token_hex(8)

    def submit(task: Task, report: Report) -> Future[Any]:
        key = f"{run} {task.name}"
        keys.append(key)
        _listening[key] = report
        future: Future[Any] = executor.submit(_call, task, sent, key, alone, here)
        return future

    keys = list[str]()
    with _subscribed(client):
        try:
            yield Workers(submit, sum(client.nthreads().values()), more_may_come=True)
        finally:
            for key in keys:
                _listening.pop(key, None)
            sent.release()


_TOPIC = "pixelsieve"
_listening: dict[str, Report] = {}
_runs_of = Counter[str]()
_lock = threading.Lock()


@contextlib.contextmanager
def _subscribed(client: Client) -> Iterator[None]:
    """Receive reports; a client, which has one handler for a topic, may serve several runs."""
    with _lock:
        _runs_of[client.id] += 1
        client.subscribe_topic(_TOPIC, _receive)
    try:
        yield
    finally:
        with _lock:
            _runs_of[client.id] -= 1
            if not _runs_of[client.id]:
                del _runs_of[client.id]
                if client.status == "running":
                    client.unsubscribe_topic(_TOPIC)


def _receive(event: tuple[float, tuple[str, bytes]]) -> None:
    key, item = event[1]
    if report := _listening.get(key):
        report(pickle.loads(item))  # noqa: S301 (of our own tasks)


_one_at_a_time = threading.Lock()


def _call(task: Task, shared: Any, key: str, alone: bool, here: Versions) -> Any:
    """Run a task on a worker of Dask, which may have come after the others were asked."""
    from distributed import get_worker

    worker = get_worker()
    require_same(f"worker {worker.address}", our_versions(), here)

    def report(item: Any) -> None:
        worker.log_event(_TOPIC, (key, pickle.dumps(item)))

    with _one_at_a_time if alone else contextlib.nullcontext():  # Keras keeps its state by process
        if alone and "jax" not in sys.modules:
            os.environ.update(one_thread())
        try:
            return task.function(shared, *task.arguments, report)
        except OSError as error:  # of the task's own; others are lost connections
            msg = f"{type(error).__name__} on a worker: {error}"
            raise RunError(msg) from error
