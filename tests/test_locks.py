from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pixelsieve.core.errors import RunError
from pixelsieve.core.locks import locked


def hold(folder: Path) -> None:
    with locked(folder / ".lock", folder):
        pass


@pytest.fixture(params=["flock", "owner"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the kernel's locks, and on a file system that has none."""
    if request.param == "owner":

        def refuse(handle: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", refuse)
    return str(request.param)


def test_only_one_at_a_time_and_nothing_stays(tmp_path: Path, kind: str) -> None:
    with (
        locked(tmp_path / ".lock", tmp_path),
        pytest.raises(RunError, match=r"works in this folder; .* or choose another --out"),
    ):
        hold(tmp_path)
    hold(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} <= ({".lock"} if kind == "owner" else set())


def test_a_dead_process_holds_nothing(tmp_path: Path, kind: str) -> None:
    code = "import os, sys\nfrom pathlib import Path\nfrom pixelsieve.core.locks import locked\n"
    code += "with locked(Path(sys.argv[1]), Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)\n"
    dead = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / ".lock")])
    assert dead.wait() == -signal.SIGKILL
    assert (tmp_path / ".lock").exists()
    if kind == "owner":
        (tmp_path / ".lock.owner").write_text(f"{dead.pid}\n{socket.gethostname()}\n")
    hold(tmp_path)
    assert not (tmp_path / ".lock.owner").exists()


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


WORKER = """
import errno, fcntl, os, sys, time
from pathlib import Path

def refuse(handle, operation):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

fcntl.flock = refuse
from pixelsieve.core.errors import RunError
from pixelsieve.core.locks import locked

folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    with locked(folder / ".lock", folder):
        print("in", flush=True)
        sys.stdin.readline()
except RunError as error:
    print(error, flush=True)
"""


@pytest.mark.parametrize("kind", ["owner"], indirect=True)
def test_of_several_that_see_a_dead_owner_one_has_the_lock(tmp_path: Path, kind: str) -> None:
    (tmp_path / ".lock.owner").write_text(f"{dead_process()}\n{socket.gethostname()}\n")
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.stdout.readline() for process in processes]
    assert told.count("in\n") == 1
    assert all("works in this folder" in text for text in told if text != "in\n")
    with pytest.raises(RunError):
        hold(tmp_path)
    for process in processes:
        process.communicate("\n")
        assert process.returncode == 0
    hold(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} <= {".lock"}


@pytest.mark.parametrize("kind", ["owner"], indirect=True)
def test_without_locks_a_process_elsewhere_is_believed(tmp_path: Path, kind: str) -> None:
    owner = tmp_path / ".lock.owner"
    owner.write_text("4711\nfarm17\n")
    with pytest.raises(RunError, match=f"process 4711 of farm17 .* remove {owner}"):
        hold(tmp_path)
    assert owner.exists()


def test_a_lock_that_was_removed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last holder may remove the file between our opening and our locking it."""
    lock, flock = tmp_path / ".lock", fcntl.flock
    calls: list[int] = []

    def remove_first(handle: int, operation: int) -> None:
        if not calls:
            lock.unlink()
        calls.append(handle)
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with locked(lock, tmp_path):
        assert lock.exists()
        assert len(calls) == 2
        with pytest.raises(RunError):
            hold(tmp_path)
