"""Kill `pixelsieve` at random points, give the same command again, and look for what was lost.

    python benchmarks/fault_campaign.py --kills 15 --seed 1

runs each verb undisturbed first, on tiny settings. Then it starts the same command again and
again, kills it (SIGKILL, in turn the process alone and its whole group) at a random point of the
undisturbed run's time, and after every kill looks at all that lies under a final name. After at
most five kills a command may finish; its folder must then equal the undisturbed one. Times,
paths and the dates that Keras and PDF write are left out of that comparison.

Damage that is not a kill (full disk, read-only folder, cut and flipped files, two processes on
one folder): `fault_damage.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from fault_checks import differences, half_written, hashes

PROGRAM = (sys.executable, "-m", "pixelsieve")
KILLS_A_RUN = 5
SPACE = """
[[inputs]]
name = "scalars"
features = ["x_size", "y_size", "z_global", "y_local"]
[architecture]
depths = [1]
widths = [3, 4]
branches = [false]
[precision]
kinds = ["uniform"]
weights = [3, 4]
activations = [4]
inputs = [5]
[recipe]
epochs = [6]
float_epochs = 6
trial_epochs = 2
batch_size = 128
"""
NETWORK = """
name = "tiny"
[[layers]]
kind = "dense"
name = "dense1"
units = 3
inputs = ["x_size", "y_size", "z_global", "y_local"]
[[layers]]
kind = "dense"
name = "output"
units = 1
inputs = ["dense1"]
relu = false
"""
REMADE = (".npz", ".journal", ".pdf")
"""Checkpoints go when their job is done; study and figures are made anew, with a date."""


@dataclass
class Row:
    """What a verb went through."""

    verb: str
    kills: int = 0
    resumes: int = 0
    finished: int = 0
    losses: int = 0
    half_written: int = 0
    left_over: int = 0
    orphans: int = 0
    differing: int = 0


class Work:
    """A folder with the data and the runs of the campaign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "clusters.parquet"
        for name, text in (("space.toml", SPACE), ("tiny.toml", NETWORK)):
            (folder / name).write_text(text, encoding="utf-8")
        self.scratch = folder / "tmp"
        self.scratch.mkdir(exist_ok=True)

    def prepare(self, verbs: list[str]) -> None:
        """Make the data, and a model for `firmware`."""
        if not self.data.exists():
            self.run(["simulate", "--signal", "2000", "--bib", "2000", "--out", str(self.data)])
        if "firmware" in verbs and not (self.folder / "trained" / "models").exists():
            self.run(
                ["train", *self.training(), "--bits", "4", "--out", str(self.folder / "trained")]
            )

    def training(self) -> list[str]:
        """Options of every training."""
        network = ["--network", str(self.folder / "tiny.toml"), "--data", str(self.data)]
        return [*network, "--epochs", "40", "--float-epochs", "20", "--batch-size", "128"]

    def command(self, verb: str, out: Path) -> list[str]:
        """The verb with `out` in the folder of a round."""
        data, two = ["--data", str(self.data)], ["--workers", "2"]
        if verb == "simulate":
            size = ["--signal", "100000", "--bib", "100000"]
            return [verb, *size, *two, "--out", str(out / "clusters.parquet")]
        if verb == "compare":
            more = ["--bits", "3,4", "--recipe", "sieve", "--seeds", "1"]
            return [verb, *self.training(), *more, *two, "--out", str(out / "run")]
        if verb == "search":
            more = ["--space", str(self.folder / "space.toml"), "--reference", "none"]
            more += ["--trials", "3", "--generation", "2", "--metric", "auc", "--seeds", "1"]
            return [verb, *data, *more, *two, "--out", str(out / "run")]
        return [verb, str(self.folder / "trained"), *data, "--out", str(out / "verilog")]

    def environment(self) -> dict[str, str]:
        """Temporary files go where they can be counted."""
        return {**os.environ, "TMPDIR": str(self.scratch), "OMP_NUM_THREADS": "1"}

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """A process with a group of its own."""
        return subprocess.Popen(
            [*PROGRAM, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment(),
            start_new_session=True,
        )

    def run(self, command: list[str]) -> float:
        """Seconds of a command that must succeed."""
        start = time.monotonic()
        done = subprocess.run(
            [*PROGRAM, *command],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(),
        )
        if done.returncode:
            msg = f"pixelsieve {' '.join(command)}: exit code {done.returncode}: {done.stderr}"
            raise RuntimeError(msg)
        return time.monotonic() - start


def descendants(process_id: int) -> list[int]:
    """All processes below that one, wherever their group."""
    import psutil

    try:
        return [p.pid for p in psutil.Process(process_id).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def still_alive(process_ids: list[int], limit_s: float = 30.0) -> int:
    """How many of them live after the limit; returns as soon as none does."""
    import psutil

    def alive(one: int) -> bool:
        try:
            return bool(psutil.Process(one).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + limit_s
    while (left := sum(map(alive, process_ids))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def kill_once(work: Work, command: list[str], delay_s: float, row: Row, *, group: bool) -> bool:
    """Start the command and kill it; False where it was done before."""
    process = work.start(command)
    try:
        if process.wait(timeout=delay_s) != 0:
            msg = f"pixelsieve {' '.join(command)}: exit code {process.returncode}, not killed"
            raise RuntimeError(msg)
    except subprocess.TimeoutExpired:
        below = descendants(process.pid)
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        row.kills += 1
        row.orphans += still_alive(below)
        return True
    return False


def round_of(
    work: Work, verb: str, seconds: float, dice: random.Random, row: Row, most: int
) -> None:
    """Kill one run up to `most` times, let it finish, and compare it with the undisturbed one."""
    out, reference = work.folder / "killed" / verb, work.folder / "undisturbed" / verb
    if verb != "firmware":  # there the older result must outlive a kill
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    command = work.command(verb, out)
    seen: dict[str, str] = {}
    for number in range(most):
        # The first third is imports; most kills should find the run at work.
        delay = seconds * dice.uniform(0.2, 1.0)
        if not kill_once(work, command, delay, row, group=bool(number % 2)):
            break
        wrong = half_written(out)
        row.half_written += len(wrong)
        for line in wrong:
            print(f"{verb}: half-written: {line}")
        seen |= hashes(out)
        row.resumes += 1
    work.run(command)
    row.finished += 1
    now = hashes(out)
    # Keras writes a date into a model; its job is not repeated, so its bytes must stay.
    lost = [n for n, h in seen.items() if now.get(n) != h and not n.endswith((*REMADE, ".json"))]
    lost += [n for n in seen if n.endswith(".json") and n not in now]
    if verb == "firmware":
        lost = [n for n in seen if n not in now]
    row.losses += len(lost)
    other = differences(out, reference)
    row.differing += len(other)
    hidden = [*out.rglob(".*"), *work.scratch.iterdir()]
    row.left_over += len(hidden)
    for name, lines in (("lost", lost), ("differs", other), ("left over", map(str, hidden))):
        for line in lines:
            print(f"{verb}: {name}: {line}")


def campaign(work: Work, verb: str, kills: int, seed: int) -> Row:
    """Rounds of a verb until it was killed so many times."""
    row, dice = Row(verb), random.Random(f"{seed} {verb}")  # noqa: S311 (no secret)
    reference = work.folder / "undisturbed" / verb
    reference.mkdir(parents=True, exist_ok=True)
    work.run(work.command(verb, reference))  # compiled and cached now
    shutil.rmtree(reference)
    reference.mkdir()
    seconds = work.run(work.command(verb, reference))
    print(f"{verb}: undisturbed {seconds:.1f} s", flush=True)
    while row.kills < kills:
        before = row.kills
        round_of(work, verb, seconds, dice, row, min(KILLS_A_RUN, kills - row.kills))
        print(f"{verb}: {row.kills} kills, {row.finished} finished", flush=True)
        if row.kills == before:
            seconds *= 0.8  # the machine was busier when it ran undisturbed
    return row


def table(rows: list[Row]) -> str:
    """The rows and their sum as a Markdown table."""
    names = [n.replace("_", " ") for n in asdict(rows[0])]
    total = Row(
        "all",
        *(
            sum(column)
            for column in zip(*(list(asdict(r).values())[1:] for r in rows), strict=True)
        ),
    )
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(map(str, asdict(r).values()))} |" for r in (*rows, total)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--verbs", default="simulate,compare,search,firmware")
    parser.add_argument("--kills", type=int, default=15, help="of each verb")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--work", type=Path, help="keep data and runs here (default: a temporary folder)"
    )
    parser.add_argument("--json", type=Path, help="add the rows to this file")
    options = parser.parse_args()
    verbs = options.verbs.split(",")
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = options.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        work = Work(folder.absolute())
        work.prepare(verbs)
        rows = []
        for verb in verbs:
            rows.append(campaign(work, verb, options.kills, options.seed))
            if options.json:
                kept = json.loads(options.json.read_text()) if options.json.exists() else []
                options.json.write_text(json.dumps([*kept, asdict(rows[-1])], indent=1))
    print(table(rows))
    wrong = sum(r.losses + r.half_written + r.left_over + r.orphans + r.differing for r in rows)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
