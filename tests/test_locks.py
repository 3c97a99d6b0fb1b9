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

from pixelsieve.errors import RunError
from pixelsieve.locks import locked


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
    code = "import os, sys\nfrom pathlib import Path\nfrom pixelsieve.locks import locked\n"
    code += "with locked(Path(sys.argv[1]), Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)\n"
    dead = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / ".lock")])
    assert dead.wait() == -signal.SIGKILL
    assert (tmp_path / ".lock").exists()
    if kind == "owner":
        (tmp_path / ".lock.owner").write_text(f"{socket.gethostname()} {dead.pid}")
    hold(tmp_path)
    assert not (tmp_path / ".lock.owner").exists()


@pytest.mark.parametrize("kind", ["owner"], indirect=True)
def test_without_locks_a_process_elsewhere_is_believed(tmp_path: Path, kind: str) -> None:
    owner = tmp_path / ".lock.owner"
    owner.write_text("farm17 4711")
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
