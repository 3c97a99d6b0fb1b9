from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixelsieve.core.errors import DataError, RunError, WorkerError
from pixelsieve.core.scheduler import run_tasks
from pixelsieve.core.workers import Task

Report = Callable[[Any], None]


def add(shared: int, value: int, report: Report) -> int:
    report(f"adding {value}")
    return shared + value


def threads(shared: int, report: Report) -> str:
    return os.environ["XLA_FLAGS"] + os.environ["NPROC"]


def fail(shared: int, kind: str, report: Report) -> None:
    if kind == "user":
        msg = "one line"
        raise DataError(msg)
    if kind == "bug":
        raise ZeroDivisionError(kind)
    os.kill(os.getpid(), signal.SIGKILL)


def test_tasks_run_in_an_order_that_respects_needs() -> None:
    done: list[str] = []
    reports: list[tuple[str, Any]] = []
    tasks = [
        Task("last", add, (3,), ("first", "second")),
        Task("first", add, (1,)),
        Task("second", add, (2,), ("first",)),
    ]
    results = run_tasks(
        tasks,
        100,
        workers=2,
        on_report=lambda name, item: reports.append((name, item)),
        on_done=done.append,
    )
    assert results == {"first": 101, "second": 102, "last": 103}
    assert done == ["first", "second", "last"]
    assert ("second", "adding 2") in reports


def test_workers_have_one_thread_and_the_parents_environment_stays() -> None:
    before = dict(os.environ)
    results = run_tasks([Task("t", threads, ())], 0, workers=1)
    assert "--xla_cpu_multi_thread_eigen=false" in results["t"]
    assert results["t"].endswith("1")
    assert dict(os.environ) == before


def test_an_error_ends_the_run_as_it_is() -> None:
    with pytest.raises(DataError, match=r"^one line$"):
        run_tasks([Task("t", fail, ("user",))], 0, workers=1)
    with pytest.raises(WorkerError, match="ZeroDivisionError: bug"):
        run_tasks([Task("t", fail, ("bug",))], 0, workers=1)


def test_a_task_that_waits_for_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="which nobody runs"):
        run_tasks([Task("t", add, (1,), ("nothing",))], 0, workers=1)


def temporary(shared: int, report: Report) -> str:
    return tempfile.mkdtemp()


def test_temporary_files_of_a_worker_go_with_it() -> None:
    (made,) = run_tasks([Task("t", temporary, ())], 0, workers=1).values()
    assert not Path(made).exists()
    assert Path(made).parent.name.startswith("pixelsieve-")


def test_a_killed_worker_is_named() -> None:
    with pytest.raises(RunError, match=r"victim: its worker process died \(exit code -9"):
        run_tasks([Task("victim", fail, ("kill",)), Task("b", add, (1,))], 0, workers=1)
