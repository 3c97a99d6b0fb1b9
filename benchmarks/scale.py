"""Ten million clusters: simulate them into a folder, then train on them from disk.

    python benchmarks/scale.py --clusters 10000000

prints seconds and peak memory of each step: the largest sum of the proportional set size (Pss,
what /proc/PID/smaps_rollup says) over the process and all below it, looked at every half second.
Linux only. The sample goes to a temporary folder (--work: elsewhere, and stays).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

LOOK_S = 0.5


@dataclass(frozen=True)
class Step:
    """What a command took."""

    name: str
    seconds: float
    peak_gb: float
    largest_process_gb: float


def memory_gb(process_id: int) -> float:
    """Pss of one process, 0 where it is gone."""
    try:
        text = Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    lines = (line.split() for line in text.splitlines())
    return next((int(line[1]) * 1024 / 1e9 for line in lines if line[0] == "Pss:"), 0.0)


def measured(name: str, command: list[str]) -> Step:
    """Run the program to its end, looking at its memory; it must succeed."""
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "pixelsieve", *command])
    whole, largest = 0.0, 0.0
    while process.poll() is None:
        try:
            below = psutil.Process(process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            below = []
        now = [memory_gb(one) for one in (process.pid, *(p.pid for p in below))]
        whole, largest = max(whole, sum(now)), max(largest, *now)
        time.sleep(LOOK_S)
    if process.returncode:
        sys.exit(process.returncode)
    return Step(name, time.monotonic() - start, whole, largest)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clusters", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=2, help="threads of simulate")
    parser.add_argument("--network", default="model2")
    parser.add_argument("--epochs", type=int, default=2, help="float, and as many at 4 bits")
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        half = str(options.clusters // 2)
        out = work / "clusters"
        made = ["simulate", "--signal", half, "--bib", half, "--workers", str(options.workers)]
        steps = [measured("simulate", [*made, "--out", str(out)])]
        size = sum(p.stat().st_size for p in out.glob("*.parquet"))
        epochs = str(options.epochs)
        trained = ["train", "--data", str(out), "--network", options.network, "--bits", "4"]
        trained += ["--epochs", epochs, "--float-epochs", epochs, "--batch-size", "8192"]
        steps.append(measured("train", [*trained, "--out", str(work / "run")]))
    print(f"{options.clusters:,} clusters, {size / 1e9:.2f} GB on disk, {os.cpu_count()} cores")
    print("| step | seconds | peak memory, all processes | largest process |")
    print("|---|---|---|---|")
    for step in steps:
        print(
            f"| {step.name} | {step.seconds:.0f} | {step.peak_gb:.2f} GB | "
            f"{step.largest_process_gb:.2f} GB |"
        )


if __name__ == "__main__":
    main()
