from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pixelsieve.core import locks
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
        (tmp_path / ".lock.owner").write_text(f"{socket.gethostname()} {dead.pid}")
    hold(tmp_path)
    assert not (tmp_path / ".lock.owner").exists()


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.mark.parametrize("kind", ["owner"], indirect=True)
@pytest.mark.parametrize(
    ("looks", "leaves", "expected"),
    [(1, False, ["other"]), (1, True, ["other", "we"]), (2, False, ["we"])],
)
def test_of_two_that_see_a_dead_owner_one_has_the_lock(
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    looks: int,
    leaves: bool,
    expected: list[str],
) -> None:
    """The other comes between our first or second look at the dead one and what we do then."""
    owner, is_dead = tmp_path / ".lock.owner", locks._is_dead
    owner.write_text(f"{socket.gethostname()} {dead_process()}")
    seen: list[str] = []
    got: list[str] = []

    def enter(stack: contextlib.ExitStack, who: str) -> None:
        try:
            stack.enter_context(locked(tmp_path / ".lock", tmp_path))
            got.append(who)
        except RunError as error:
            assert "works in this folder" in str(error)  # noqa: PT017 (who is refused is below)

    def other_comes(told: str) -> bool:
        dead = is_dead(told)
        seen.extend([told] * dead)
        if dead and len(seen) == looks:
            monkeypatch.setattr(locks, "_is_dead", is_dead)
            enter(other, "other")
            if leaves:
                other.close()
        return dead

    monkeypatch.setattr(locks, "_is_dead", other_comes)
    with contextlib.ExitStack() as other, contextlib.ExitStack() as ours:
        enter(ours, "we")
        assert got == expected
        with pytest.raises(RunError):
            hold(tmp_path)
    hold(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} <= {".lock"}


@pytest.mark.parametrize("kind", ["owner"], indirect=True)
def test_a_process_that_died_while_it_took_over_holds_nothing(tmp_path: Path, kind: str) -> None:
    for name in (".lock.owner", ".lock.owner.taking"):
        (tmp_path / name).write_text(f"{socket.gethostname()} {dead_process()}")
    hold(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} <= {".lock"}


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
