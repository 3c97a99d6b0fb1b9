from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixelsieve.core.processes import run_bounded, scratch_folder
from pixelsieve.core.workers import Task, run_tasks

PROGRAM = """
import sys
from pathlib import Path
from tests.test_guard import tool, workers
{"tool": tool, "workers": workers}[sys.argv[1]](Path(sys.argv[2]))
"""


def tool(folder: Path) -> None:
    """A program with a child, in a scratch folder; pids and the folder's name are written down."""
    with scratch_folder() as work:
        (folder / "scratch").write_text(str(work))
        script = f"sleep 600 & echo $! > {folder}/child; echo $$ > {folder}/parent; wait"
        run_bounded(["sh", "-c", script], work)


def workers(folder: Path) -> None:
    run_tasks([Task(str(i), task, (i, str(folder))) for i in range(2)], 0, workers=2)


def task(shared: int, number: int, folder: str, report: Callable[[Any], None]) -> None:
    (Path(folder) / f"worker{number}").write_text(str(os.getpid()))
    time.sleep(600)


def alive(process_id: int) -> bool:
    """Not gone, and no zombie that nobody has asked for yet."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    about = Path(f"/proc/{process_id}/stat")
    return not (about.exists() and about.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("kind", "names"), [("tool", ("child", "parent")), ("workers", ("worker0", "worker1"))]
)
@pytest.mark.parametrize("whole_group", [False, True])
def test_what_a_killed_process_started_ends_too(
    tmp_path: Path, kind: str, names: tuple[str, ...], whole_group: bool
) -> None:
    files = [tmp_path / name for name in names]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, str(tmp_path)], start_new_session=True
    )
    until(lambda: all(f.exists() and f.read_text().strip() for f in files))
    started = [int(f.read_text()) for f in files]
    assert all(map(alive, started))
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    until(lambda: not any(map(alive, started)))
    if kind == "tool":
        until(lambda: not Path((tmp_path / "scratch").read_text()).exists())


def test_a_program_that_the_guard_does_not_know_yet_never_starts(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from pixelsieve.core import processes\n"
        "def killed(group):\n"
        "    print(group, flush=True); os.kill(os.getpid(), 9)\n"
        "processes.ending_with_us = killed\n"
        "processes.run_bounded(['touch', 'started'], Path.cwd())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == -signal.SIGKILL
    until(lambda: not alive(int(done.stdout)))
    assert not (tmp_path / "started").exists()


def test_a_folder_that_is_just_made_ends_too() -> None:
    code = (
        "import os; from pixelsieve.core.processes import scratch_folder\n"
        "made = os.mkdir\n"
        "def killed(path, mode=0o777):\n"
        "    made(path, mode); print(path, flush=True); os.kill(os.getpid(), 9)\n"
        "os.mkdir = killed\n"
        "with scratch_folder(): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    folder = Path(done.stdout.strip())
    assert folder.name.startswith("pixelsieve-")
    until(lambda: not folder.exists())


def test_what_ended_before_is_left_alone(tmp_path: Path) -> None:
    """The folder of a finished `scratch_folder` may be somebody else's by the time of the kill."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from pixelsieve.core.processes import scratch_folder\n"
        "with scratch_folder() as work: pass\n"
        "work.mkdir()\n"
        "with scratch_folder() as other:\n"
        "    print(work, other, flush=True); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    kept, removed = map(Path, done.stdout.split())
    until(lambda: not removed.exists())
    assert kept.exists()
    kept.rmdir()
