"""The bridge: networks and trees that saw simulated clusters alone, scored on the real simA test.

    python benchmarks/simulation_bridge.py [--data ../shared/data/muc-real] [--out runs/bridge]

Simulates 50,000 training clusters and 20,000 for validation, a million for the large set, and runs
`pixelsieve compare` and `train` on them with simA_test.parquet as the test split. Trained on real
clusters for comparison: docs/comparison.md. About 20 minutes on four cores; goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

FIGURES = ("accuracy", "auc", "rejection_95", "rejection_98")


def pixelsieve(*arguments: object) -> str:
    command = ["pixelsieve", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def simulated(out: Path, name: str, clusters: int, seed: int) -> Path:
    path = out / f"{name}.parquet"
    half = clusters // 2
    pixelsieve("simulate", "--signal", half, "--bib", half, "--seed", seed, "--out", path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/muc-real"))
    parser.add_argument("--out", type=Path, default=Path("runs/bridge"))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    validation = simulated(out, "sim_val", 20_000, seed=2)
    test = arguments.data / "simA_test.parquet"
    small = simulated(out, "small_train", 50_000, seed=1)
    large = simulated(out, "large_train", 1_000_000, seed=3)
    print(f"| trained on | inputs | network | {' | '.join(FIGURES)} |")
    print(f"|---|---|---|{'---|' * len(FIGURES)}")
    for time in ((), ("--time", "30ps")):
        inputs = "with time, 30 ps" if time else "no time"
        data = [word for path in (small, validation, test) for word in ("--data", path)]
        run = out / f"small{'_time' if time else ''}"
        options = ["--bits", 4, "--recipe", "sieve", "--seeds", arguments.seeds, *time]
        metrics = json.loads(pixelsieve("compare", *data, *options, "--out", run, "--json"))
        for row in metrics["rows"] + metrics["baselines"]:
            bits = f", {row['bits']} bits" if row.get("bits") else ""
            cells = [
                f"{row['summary'][f]['mean']:.4f} ± {row['summary'][f]['spread']:.4f}"
                for f in FIGURES
            ]
            print(
                f"| 50,000 simulated | {inputs} | {row['approach']}{bits} | {' | '.join(cells)} |"
            )
        data = [word for path in (large, validation, test) for word in ("--data", path)]
        run = out / f"large{'_time' if time else ''}"
        options = ["--float-epochs", 40, "--batch-size", 2048, *time]
        pixelsieve("train", *data, *options, "--out", run)
        model = run / "models" / "float_seed0.keras"
        scores = json.loads(pixelsieve("evaluate", model, "--data", test, "--json"))["figures"]
        cells = [f"{scores[f]:.4f}" for f in FIGURES]
        print(f"| 1,000,000 simulated | {inputs} | float | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
