from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixelsieve.core.errors import DataError, RunError, WorkerError
from pixelsieve.core.workers import Task, run_tasks

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


def test_a_scheduler_gives_the_same_and_hears_of_the_work() -> None:
    from distributed import LocalCluster

    reports: list[tuple[str, Any]] = []
    tasks = [Task("last", slow, (3,), ("first",)), Task("first", slow, (1,))]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        results = run_tasks(
            tasks, 100, workers=1, scheduler=address,
            on_report=lambda name, item: reports.append((name, item)),
        )  # fmt: skip
        with pytest.raises(DataError, match=r"^one line$"):
            run_tasks([Task("t", fail, ("user",))], 0, workers=1, scheduler=address)
    assert results == {"first": 101, "last": 103}
    assert {("first", "adding 1"), ("last", "adding 3")} <= set(reports)


def slow(shared: int, value: int, report: Report) -> int:
    result = add(shared, value, report)
    time.sleep(0.5)
    return result


SCRIPT = """
from pixelsieve.core.workers import Task, run_tasks
from tests.test_parallel import add

print("begins")
tasks = [Task("a", add, (1,)), Task("b", add, (2,)), Task("c", add, (3,), ("a", "b"))]
print(sorted(run_tasks(tasks, 100, workers=2).items()))
"""


@pytest.mark.parametrize("how", ["file", "command", "input"])
def test_a_script_needs_no_guard_around_its_main_part(tmp_path: Path, how: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    words = {"file": [str(tmp_path / "script.py")], "command": ["-c", SCRIPT], "input": ["-"]}
    done = subprocess.run(
        [sys.executable, *words[how]],
        input=SCRIPT if how == "input" else "",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines() == ["begins", "[('a', 101), ('b', 102), ('c', 103)]"]


def test_a_function_that_workers_cannot_import_is_an_error_not_a_hang() -> None:
    script = SCRIPT.replace(
        "from tests.test_parallel import add", "def add(a, b, report): return a"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "WorkerError: AttributeError" in done.stderr
