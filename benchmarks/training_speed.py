"""Training throughput of Model2 against QKeras on TensorFlow, in clusters a second.

    python benchmarks/training_speed.py

makes an environment for the peer below benchmarks/.envs (about 2.4 GB), then runs each case in
turn, A B C A B C ..., and prints medians and ratios. A case is a number of processes started at
the same time, each with its own seed; their clusters count together. Compilation is left out on
both sides. QKeras is timed as users run it (one process, all threads; three modes, the best
counts) and also with our own trick applied to it, one one-threaded process a core. Its tf.data
modes do not reshuffle and its inputs are not quantized; ours reshuffle every epoch and are.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ENVIRONMENT = HERE / ".envs" / "qkeras"
PEER = ["tensorflow==2.21.0", "tf_keras==2.21.0", "qkeras==0.9.0", "pyparsing==3.3.3"]
MACS = 19_616
ONE_THREAD = {
    "NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


@dataclass(frozen=True)
class Case:
    """One way to train; `processes` of them side by side."""

    name: str
    command: tuple[str, ...]
    processes: int
    one_thread: bool

    def clusters_per_s(self, bits: int, batch: int, clusters: int, epochs: int) -> float:
        """Throughput of all processes together, compilation left out."""
        arguments = [f"--bits={bits}", f"--batch={batch}"]
        arguments += [f"--clusters={clusters}", f"--epochs={epochs}"]
        environment = {**os.environ, **(ONE_THREAD if self.one_thread else {})}
        running = [
            subprocess.Popen(
                [*self.command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
            for _ in range(self.processes)
        ]
        for process in running:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                msg = f"{self.name}: did not start; run {' '.join([*self.command, *arguments])}"
                raise RuntimeError(msg)
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        seconds = [float(process.communicate()[0]) for process in running]
        trained = clusters // batch * batch * epochs * self.processes
        return trained / max(seconds)


def peer_python() -> Path:
    """The interpreter of the peer's environment, made where it is not there."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "ready").exists():
        print("installing QKeras and TensorFlow into benchmarks/.envs ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEER], check=True)
        (ENVIRONMENT / "ready").touch()
    return python


def matrix_peak() -> float:
    """GFLOP/s of a large float32 matrix product on all cores (best of 5)."""
    n = 4096
    a = np.ones((n, n), np.float32)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        best = max(best, 2 * n**3 / (time.perf_counter() - start) / 1e9)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clusters", type=int, default=196_608)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    ours = (sys.executable, str(HERE / "speed_pixelsieve.py"))
    peer = (str(peer_python()), str(HERE / "speed_qkeras.py"))
    cases = [
        Case("pixelsieve, a process a core", ours, cores, one_thread=True),
        Case("pixelsieve, one process", ours, 1, one_thread=False),
        *(
            Case(f"QKeras, {mode}", (*peer, f"--mode={mode}", "--threads=0"), 1, one_thread=False)
            for mode in ("numpy", "tf.data", "jit")
        ),
        Case(
            "QKeras, jit, a process a core",
            (*peer, "--mode=jit", "--threads=1"),
            cores,
            one_thread=True,
        ),
    ]
    peak = matrix_peak()
    print(f"{cores} cores; large float32 matrix product: {peak:.0f} GFLOP/s")
    results: dict[str, dict[str, list[float]]] = {}
    for bits, batch in ((4, 1024), (4, 16384), (0, 1024), (0, 16384)):
        key = f"{f'{bits} bits' if bits else 'float'}, batch {batch}"
        rows = results.setdefault(key, {c.name: [] for c in cases})
        for _ in range(options.rounds):
            for case in cases:
                rate = case.clusters_per_s(bits, batch, options.clusters, options.epochs)
                rows[case.name].append(rate)
        medians = {name: statistics.median(values) for name, values in rows.items()}
        single = max(medians[f"QKeras, {mode}"] for mode in ("numpy", "tf.data", "jit"))
        first = medians[cases[0].name]
        # Forward, gradient of the weights and of the inputs (not for the first layers).
        flops = 2 * (3 * MACS - 22 * 32 - 14 * 32)
        print(f"\n{key} (medians of {options.rounds}, thousand clusters/s)")
        for name, median in medians.items():
            spread = f"{min(rows[name]) / 1e3:.0f} to {max(rows[name]) / 1e3:.0f}"
            print(f"  {name:32} {median / 1e3:8.0f}   ({spread})")
        print(f"  ratio to QKeras's best mode in one process: {first / single:.2f}")
        print(f"  ratio to QKeras with a process a core: {first / medians[cases[-1].name]:.2f}")
        print(f"  share of the matrix peak: {first * flops / 1e9 / peak:.0%}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"cores": cores, "peak": peak, "rates": results}))


if __name__ == "__main__":
    main()
