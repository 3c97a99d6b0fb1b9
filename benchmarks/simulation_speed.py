"""Clusters a second and peak memory of `pixelsieve simulate`, by number of workers and slices.

Each row is a process of its own that writes its clusters; start-up (about 3 s: imports, tables) is
left out of the rate, the compiler (once an installation) too.
Usage: python benchmarks/simulation_speed.py [--clusters 1000000] [--workers 1,2] [--memory]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

ONE_RUN = """
import json, resource, sys, time
from dataclasses import replace
from pathlib import Path
from pixelsieve.simulation.generate import Sample, generate
from pixelsieve.simulation.transport import Transport
from pixelsieve.studies.simulate import simulate
n, workers, slices, out = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
sample = replace(Sample(n // 2, n // 2), transport=Transport(n_slices=slices))
generate(sample, 0, 100)
start = time.perf_counter()
simulate(sample, out, workers=workers)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
size = sum(p.stat().st_size for p in ([out] if out.is_file() else out.glob("*.parquet")))
print(json.dumps({"seconds": seconds, "peak_mb": peak, "bytes": size}))
"""


def measure(clusters: int, workers: int, slices: int, output: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/out{'.parquet' if output == 'file' else ''}"
        command = [sys.executable, "-c", ONE_RUN, str(clusters), str(workers), str(slices), out]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=1_000_000)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="1e5, 1e6 and 1e7 clusters instead")
    arguments = parser.parse_args()
    workers = [int(w) for w in arguments.workers.split(",")]
    if arguments.memory:
        rows = [(n, workers[-1], 0, "folder") for n in (10**5, 10**6, 10**7)]
    else:
        rows = [(arguments.clusters, w, 0, o) for o in ("folder", "file") for w in workers]
        rows += [(arguments.clusters // 20, w, 20, "folder") for w in workers]
    print("| clusters | workers | slices | output | clusters/s (best; all) | memory | bytes each |")
    print("|---|---|---|---|---|---|---|")
    for clusters, threads, slices, output in rows:
        repeats = 1 if arguments.memory else arguments.repeats
        results = [measure(clusters, threads, slices, output) for _ in range(repeats)]
        rates = sorted((clusters / r["seconds"] for r in results), reverse=True)
        peak = max(r["peak_mb"] for r in results)
        print(
            f"| {clusters:,} | {threads} | {slices} | {output} | {rates[0]:,.0f}; "
            f"{', '.join(f'{r:,.0f}' for r in rates)} | {peak:,.0f} MB | "
            f"{results[0]['bytes'] / clusters:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
