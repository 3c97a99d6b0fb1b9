"""Damage that is no kill: cut and flipped files, a full disk, a read-only folder, two processes.

    python benchmarks/fault_campaign.py --kills 1 --work faults    # makes the runs
    python benchmarks/fault_damage.py --work faults --flips 300

Files of every kind that the program reads again are cut at a random byte, and one random bit of
them is flipped; the program's own reader must then refuse the file in one line that names it, or
say what it said before. The other cases are commands: each must end with exit code 2 and one
line, and the same command must finish, with the numbers of an undisturbed run, once there is room.
Full and read-only disks are small tmpfs mounts (root); without them that part is skipped.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fault_campaign import PROGRAM, Work
from fault_checks import differences, opened

from pixelsieve.core.errors import PixelsieveError
from pixelsieve.core.files import read_json
from pixelsieve.formats import parquet
from pixelsieve.integer.file import read_integer_network, to_document
from pixelsieve.networks.model_file import load_model
from pixelsieve.training.engine import Checkpoint


@dataclass(frozen=True)
class Kind:
    """A kind of file, one of them, and what the program makes of it."""

    name: str
    path: Path
    read: Callable[[Path], Any]


def kinds(work: Path, scratch: Path) -> Iterator[Kind]:
    """A file of each kind, from the undisturbed runs."""
    compare, search = work / "undisturbed/compare/run", work / "undisturbed/search/run"
    for name in ("manifest.json", "metrics.json", "jobs/sieve_4b_seed0.json"):
        yield Kind(name, compare / name, read_json)
    yield Kind("trials/*.json", search / "trials/trial_0000.json", read_json)
    yield Kind("models/*.keras", compare / "models/sieve_4b_seed0.keras", model)
    integers = compare / "models/sieve_4b_seed0.json"
    yield Kind("models/*.json (integers)", integers, lambda p: to_document(read_integer_network(p)))
    yield Kind("clusters.parquet", work / "clusters.parquet", clusters)
    checkpoint = scratch / "checkpoint.npz"
    saved: dict[str, list[np.ndarray]] = {"weights": [np.arange(60.0)], "best": [np.ones(7)]}
    Checkpoint(checkpoint, "job", every_s=0).save_when_due(lambda: saved, [{"epoch": 0.0}])
    yield Kind("jobs/*.npz (checkpoint)", checkpoint, state)
    for verilog in list((work / "undisturbed/firmware/verilog").glob("verilog/*.v"))[:1]:
        yield Kind("Verilog, by SHA256SUMS", verilog, listed)


def model(path: Path) -> Any:
    """Everything that `load_model` gives, as plain data."""
    one = load_model(path)
    weights = {f"{k}/{n}": v.tobytes() for k, vs in one.weights.items() for n, v in vs.items()}
    return weights, one.spec, one.precision, one.features, one.card


def clusters(path: Path) -> Any:
    """All columns, the detector and the provenance."""
    one = parquet.read(path)
    columns = {name: values.tobytes() for name, values in one.columns().items()}
    return columns, one.detector, parquet.read_provenance(path)


def state(path: Path) -> Any:
    """A damaged checkpoint is ignored: its job starts again."""
    saved = Checkpoint(path, "job").load()
    if saved is None:
        msg = f"{path}: ignored"
        raise PixelsieveError(msg)
    return {k: [a.tobytes() for a in v] for k, v in saved.arrays.items()}, saved.history


def listed(path: Path) -> Any:
    """What `sha256sum -c` says."""
    try:
        return opened(path.parent.parent / "SHA256SUMS")
    except ValueError as error:
        msg = f"{path}: {error}"
        raise PixelsieveError(msg) from error


def damage(kind: Kind, flips: int, cuts: int, dice: random.Random) -> Counter[str]:
    """Outcomes by name; the file is whole again at the end."""
    whole = kind.path.read_bytes()
    expected = kind.read(kind.path)
    found: Counter[str] = Counter()
    cases = [bytearray(whole[: dice.randrange(len(whole))]) for _ in range(cuts)]
    for _ in range(flips):
        changed = bytearray(whole)
        changed[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        cases.append(changed)
    try:
        for case in cases:
            kind.path.write_bytes(case)
            found[outcome(kind, expected)] += 1
    finally:
        kind.path.write_bytes(whole)
    return found


def outcome(kind: Kind, expected: Any) -> str:
    """`refused`, `same`, `WRONG` (another value, silently) or `CRASH` (no line for the user)."""
    try:
        got = kind.read(kind.path)
    except PixelsieveError as error:
        clear = kind.path.name in str(error) and "\n" not in str(error)
        if not clear:
            print(f"{kind.name}: unclear: {error}")
        return "refused" if clear else "CRASH"
    except Exception as error:  # noqa: BLE001 (any other error is a finding)
        print(f"{kind.name}: {type(error).__name__}: {error}")
        return "CRASH"
    if isinstance(got, dict):  # a flip in the name of the checksum leaves one more key
        got = {key: got.get(key) for key in expected}
    return "same" if got == expected else "WRONG"


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[bool]:
    """A tmpfs of that size at `place`; False where this user may not mount one."""
    place.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def refused(work: Work, command: list[str]) -> str:
    """Empty where the command ends with code 2 and one line, else what it did."""
    done = subprocess.run(
        [*PROGRAM, *command], capture_output=True, text=True, check=False, env=work.environment()
    )
    lines = [line for line in done.stderr.splitlines() if "epoch" not in line]
    told = [line for line in lines if line.startswith("pixelsieve: ")]
    if done.returncode == 2 and len(told) == 1 and "Traceback" not in done.stderr:
        print(f"    {told[0]}")
        return ""
    return f"exit code {done.returncode}: {done.stderr[-600:]}"


def no_room(work: Work, verb: str, size: str) -> list[str]:
    """A full disk, then a read-only one, then room: what went wrong."""
    place = work.folder / "small"
    with small_disk(place, size) as mounted:
        if not mounted:
            print(f"{verb}: no tmpfs can be mounted here; skipped")
            return []
        out = place / "out"
        out.mkdir()
        command = work.command(verb, out)
        wrong = [f"full: {w}" for w in [refused(work, command)] if w]
        remount(place, "ro,size=1g")
        wrong += [f"read-only: {w}" for w in [refused(work, command)] if w]
        remount(place, "rw,size=1g")
        work.run(command)
        wrong += [f"differs: {d}" for d in differences(out, work.folder / "undisturbed" / verb)]
        wrong += [f"left over: {p}" for p in out.rglob(".*")]
    return wrong


def two_at_once(work: Work, verb: str) -> list[str]:
    """The second process on a folder is refused, and the first ends well."""
    out = work.folder / "twice" / verb
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    first = work.start(work.command(verb, out))
    while first.poll() is None and not list(out.rglob(".*lock")):
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # or it might be done before the second looks
    second = refused(work, work.command(verb, out))
    first.send_signal(signal.SIGCONT)
    wrong = [f"second: {second}"] if second else []
    if first.wait():
        wrong.append(f"first: exit code {first.returncode}")
    return wrong + [f"differs: {d}" for d in differences(out, work.folder / "undisturbed" / verb)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--flips", type=int, default=300)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbs", default="simulate,compare,search,firmware")
    options = parser.parse_args()
    dice, bad = random.Random(options.seed), 0  # noqa: S311 (no secret)
    work = Work(options.work.absolute())
    names = ("refused", "same", "WRONG", "CRASH")
    with tempfile.TemporaryDirectory() as scratch:
        print(f"| file | cut | flipped | {' | '.join(names)} |\n|{'---|' * 7}")
        for kind in kinds(work.folder, Path(scratch)):
            if not kind.path.exists():
                print(f"| {kind.name} | not made yet |")
                continue
            found = damage(kind, options.flips, options.cuts, dice)
            bad += found["WRONG"] + found["CRASH"]
            counts = " | ".join(str(found[name]) for name in names)
            print(f"| {kind.name} | {options.cuts} | {options.flips} | {counts} |", flush=True)
    sizes = {"simulate": "2m", "compare": "120k", "search": "60k", "firmware": "24k"}
    for verb in options.verbs.split(",") if options.verbs else ():
        for what, wrong in (
            ("full disk, read-only folder", no_room(work, verb, sizes[verb])),
            ("two processes", two_at_once(work, verb)),
        ):
            print(f"{verb}: {what}: {'; '.join(wrong) or 'as it must be'}", flush=True)
            bad += len(wrong)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
