"""Damaged files given to readers in a process of its own, with bounded time and memory a file.

    python -m tests.fuzzing.campaign MATERIAL READER SEED FIRST COUNT      (the child's command)

A reader must give a result or one `PixelsieveError`, one line that names a file; all else is a
finding: another exception or warning, a line that names no file or breaks, no end in time, more
memory than `MEMORY` above what the process had before, a crash, a program or pickle that is run,
a connection, a file written elsewhere.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from pixelsieve.core.errors import PixelsieveError
from tests.fuzzing.readers import READERS, Reader
from tests.fuzzing.structures import damaged

SECONDS = 75  # HDF5 is given 60 in a process of its own
MEMORY = 1 << 30
LONGEST_LINE = 1500
CHILD = ("-m", "tests.fuzzing.campaign")


@dataclass(frozen=True, slots=True)
class Finding:
    """What went wrong with file `number` of `seed`, in a line, and the damaged file."""

    reader: str
    seed: int
    number: int
    what: str
    file: str
    data: bytes = field(repr=False)


@dataclass(slots=True)
class Outcome:
    """What became of the files that a reader was given."""

    accepted: int = 0
    refused: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many were read."""
        return self.accepted + self.refused + len(self.findings)


def make_material(folder: Path, names: list[str]) -> None:
    """Whole files of each reader, in a folder of its name."""
    for name in names:
        place = folder / name
        if not place.exists():
            place.mkdir(parents=True)
            READERS[name].make(place)


def run(material: Path, reader: str, seed: int, first: int, count: int) -> Outcome:
    """Read `count` damaged files from number `first` on; a child that dies is started again."""
    found, number, last = Outcome(), first, first + count
    while number < last:
        with tempfile.TemporaryDirectory() as copy:  # one that is killed leaves damage behind
            shutil.copytree(material / reader, Path(copy) / reader)
            done = _child(copy, reader, str(seed), str(number), str(last - number))
        for line in done.stdout.splitlines():
            answer = json.loads(line)
            if answer == "accepted":
                found.accepted += 1
            elif answer == "refused":
                found.refused += 1
            else:
                found.findings.append(_finding(material, reader, seed, number, answer))
            number += 1
        if done.returncode < 0 and number < last:
            hung = -done.returncode == signal.SIGALRM
            what = f"no end in {SECONDS} s" if hung else f"signal {-done.returncode}"
            found.findings.append(_finding(material, reader, seed, number, what))
            number += 1
        elif done.returncode:
            msg = f"the reader '{reader}' cannot be tried (exit code {done.returncode})"
            raise RuntimeError(msg)
    return found


def _child(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # each takes address space
    return subprocess.run(
        [sys.executable, *CHILD, *arguments],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            **dict.fromkeys(threads, "1"),
            "MALLOC_ARENA_MAX": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
        },
        check=False,
    )


def _finding(material: Path, reader: str, seed: int, number: int, what: str) -> Finding:
    name, data = damaged_file(material, reader, seed, number)
    return Finding(reader, seed, number, what, name, data)


def damaged_file(material: Path, reader: str, seed: int, number: int) -> tuple[str, bytes]:
    """Name and contents of damaged file `number`; the same for the same numbers and material."""
    folder = material / reader
    files = sorted(p for p in folder.glob(READERS[reader].damage) if p.is_file())
    files = [p for p in files if not p.name.startswith(".")]
    random = Random(zlib.crc32(f"{reader} {seed} {number}".encode()))
    path = random.choice(files)
    return str(path.relative_to(folder)), damaged(path.name, path.read_bytes(), random)


def _outcomes(
    events: Sequence[str], material: Path, name: str, seed: int, first: int, count: int
) -> Iterator[str]:
    reader, folder = READERS[name], material / name
    for number in range(first, first + count):
        place, data = damaged_file(material, name, seed, number)
        whole = (folder / place).read_bytes()
        (folder / place).write_bytes(data)
        signal.alarm(SECONDS)
        try:
            yield outcome(reader, folder, events)
        finally:
            signal.alarm(0)
            (folder / place).write_bytes(whole)


def outcome(reader: Reader, folder: Path, events: Sequence[str] = ()) -> str:
    """`accepted`, `refused`, or what is wrong; `events` are those of `watch`, if any."""
    before = len(events)
    found = _outcome(reader, folder)
    return f"does what no reader does: {events[before]}" if len(events) > before else found


def _outcome(reader: Reader, folder: Path) -> str:
    try:
        reader.read(folder)
    except PixelsieveError as error:
        text = str(error)
        if not text.isprintable():
            return f"not one plain line: {text!r}"
        if str(folder) not in text:
            return f"names no file: {text!r}"
        return "refused" if len(text) < LONGEST_LINE else f"{len(text)} letters: {text[:200]!r}"
    except Exception as error:  # noqa: BLE001 (what is looked for)
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if "pixelsieve" in f.filename] or frames
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return f"{type(error).__name__} at {where}: {str(error)[:200]}"
    return "accepted"


def watch(folder: Path) -> list[str]:
    """From now on, what this process does that no reader needs; writing is for `folder` alone."""
    events: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event in {"os.remove", "os.symlink"}
        if event == "open" and isinstance(arguments[2], int):
            writes = bool(arguments[2] & _WRITING)
        if writes and isinstance(arguments[0], (str, bytes)):
            path = Path(os.fsdecode(arguments[0])).absolute()
            if path != Path(os.devnull) and not path.is_relative_to(folder):
                events.append(f"{event} {path}")
        # HDF5 is read in another process, this program itself.
        elif event == "subprocess.Popen" and arguments[0] == sys.executable:
            return
        elif event in _NEVER:
            events.append(f"{event} {str(arguments)[:200]}")

    sys.addaudithook(hook)
    return events


_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_NEVER = frozenset(
    {
        *("os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"),
        *("pickle.find_class", "ctypes.dlopen", "socket.connect"),
    }
)


def _main(material: str, name: str, seed: str, first: str, count: str) -> None:
    whole = Path(material)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    warnings.simplefilter("error", RuntimeWarning)
    READERS[name].read(whole / name)  # imports take memory too, and whole files must be read
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    events = watch(whole.absolute())
    for one in _outcomes(events, whole, name, int(seed), int(first), int(count)):
        sys.stdout.write(json.dumps(one) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
