"""Networks of the zoo at uniform bits: merits on the test split and LUTs, in one table.

    python benchmarks/uniform_table.py '../shared/data/muc-real/simA_*.parquet' --out OUT

Trains each network with `pixelsieve compare` (float, then every width by recipe `sieve`; OUT/NAME
is its run) and counts the LUTs of the first `--lut-seeds` seeds, each in a process of its own
that is ended after `--time-limit` seconds. Stopped at any moment, it goes on where it was; LUTs
that were not finished are counted again under a longer limit.

LUTs are alkaid's estimate, as `pixelsieve firmware RUN --resources-only` gives it: of the network,
and with the logic that makes its features out of ADC codes, both traced as one. For that, clusters
without a front end count as those of a 4-bit ADC whose codes are above 0 where there is charge;
logic makes no logarithms (`none`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelsieve.core.errors import ConfigError
from pixelsieve.core.files import read_json, write_json
from pixelsieve.core.processes import run_bounded
from pixelsieve.core.workers import one_thread
from pixelsieve.front_end import FrontEnd, read_front_end
from pixelsieve.hardware.resources import measure
from pixelsieve.integer.network import from_model
from pixelsieve.integer.pixel_logic import pixel_cost
from pixelsieve.integer.pixels import from_pixels
from pixelsieve.networks.model_file import load_model

NETWORKS = ("model1", "asic", "model2", "model2_5")
ADC_BITS = 4
"""Of clusters without a front end, where the logic of their features is counted."""


@dataclass(frozen=True)
class Count:
    """One network's LUTs to be counted, and where they are kept."""

    model: Path
    result: Path

    def is_done(self, time_limit_s: float) -> bool:
        """Whether they are known, or known to take longer."""
        if not self.result.exists():
            return False
        found = read_json(self.result)
        return "luts" in found or found["unfinished_s"] >= time_limit_s


def train(options: argparse.Namespace, network: str, run: Path) -> None:
    command = [sys.executable, "-m", "pixelsieve", "compare", "--data", options.data]
    command += ["--network", network, "--bits", ",".join(map(str, options.bits))]
    command += ["--recipe", "sieve", "--seeds", str(options.seeds), "--no-baselines"]
    command += ["--workers", str(options.workers), "--out", str(run)]
    if options.front_end:
        command += ["--front-end", str(options.front_end)]
    subprocess.run(command, check=True)


def is_trained(options: argparse.Namespace, run: Path) -> bool:
    """Whether the run has these widths and seeds; `compare` would take minutes to say so."""
    if not (run / "metrics.json").exists():
        return False
    rows = read_json(run / "metrics.json")["rows"]
    found = {row["bits"] for row in rows if len(row["seeds"]) == options.seeds}
    return found >= set(options.bits)


def count(model: Path, result: Path, front_end: FrontEnd | None) -> None:
    """Write the LUTs of a model; `whole_luts` are with the features, None where logic has none."""
    start = time.monotonic()
    network = from_model(load_model(model), model.stem)
    bits = from_pixels(network, front_end).adc_bits if front_end else ADC_BITS
    try:
        cost = pixel_cost(network, bits)
        found: dict[str, Any] = {"luts": cost.network, "whole_luts": cost.whole}
    except ConfigError as error:
        found = {"luts": measure(network).lut_estimate, "whole_luts": None, "why": str(error)}
    write_json(result, {**found, "seconds": round(time.monotonic() - start, 1)})


def count_bounded(options: argparse.Namespace, one: Count) -> None:
    """The same in another process, within the limit of time."""
    command = [sys.executable, str(Path(__file__).resolve()), options.data]
    command += ["--out", str(options.out.resolve()), "--count", str(one.model.resolve())]
    if options.front_end:
        command += ["--front-end", str(options.front_end.resolve())]
    ended = run_bounded(
        command,
        one.result.parent,
        time_limit_s=options.time_limit,
        environment={**os.environ, **one_thread()},
    )
    if ended.stopped_by == "time":
        write_json(one.result, {"unfinished_s": options.time_limit})
    elif ended.code:
        print(f"{one.model}: {ended.output}", file=sys.stderr, flush=True)
    print(f"{one.model.parts[-3]} {one.model.stem}: {ended.seconds:.0f} s", flush=True)


def wanted_counts(options: argparse.Namespace) -> list[Count]:
    """Narrow networks of the first seed first."""
    counts = []
    for seed in range(options.lut_seeds):
        for bits in sorted(options.bits):
            for network in options.networks:
                name = f"sieve_{bits}b_seed{seed}"
                model = run_of(options, network) / "models" / f"{name}.keras"
                counts.append(Count(model, options.out / "luts" / f"{model.parts[-3]}_{name}.json"))
    return counts


def run_of(options: argparse.Namespace, network: str) -> Path:
    return Path(options.out) / Path(network).stem


def spread(values: Sequence[float], digits: int) -> str:
    more = f" +- {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{more}"


def luts(found: Sequence[dict[str, Any]], key: str) -> str:
    known = [one[key] for one in found if key in one]
    if not known:
        limits = [one["unfinished_s"] for one in found]
        return f"not finished in {max(limits):.0f} s" if limits else ""
    return spread(known, 0)


HEAD = (
    "| network | bits | LUTs | with features | seeds counted | test AUC "
    "| test rejection at 98 % |\n"
    "|---|---|---|---|---|---|---|"
)


def table(options: argparse.Namespace) -> str:
    lines = [HEAD]
    for network in options.networks:
        run = run_of(options, network)
        counted = {bits: counts_of(options, f"{run.name}_sieve_{bits}b") for bits in options.bits}
        all_counts = [one for found in counted.values() for one in found]
        no_logic = any(one.get("whole_luts", 0) is None for one in all_counts)
        for row in read_json(run / "metrics.json")["rows"]:
            if row["approach"] != "sieve":
                continue
            found = counted[row["bits"]]
            cells = [f"`{run.name}`", str(row["bits"]), luts(found, "luts")]
            cells += ["none" if no_logic else luts(found, "whole_luts")]
            cells += [str(sum("luts" in one for one in found))]
            cells += [spread([s["auc"] for s in row["by_seed"]], 4)]
            cells += [spread([s["rejection_98"] for s in row["by_seed"]], 3)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def counts_of(options: argparse.Namespace, name: str) -> list[dict[str, Any]]:
    files = sorted((options.out / "luts").glob(f"{name}_seed*.json"))
    return [read_json(path) for path in files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", help="quoted pattern of Parquet files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help="names or TOML files")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 8, 6, 4, 3, 2])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lut-seeds", type=int, default=3)
    parser.add_argument("--time-limit", type=float, default=1800, help="of each count (s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--front-end", type=Path)
    parser.add_argument("--count", type=Path, help="count one model and end (for the workers)")
    options = parser.parse_args()
    if options.count:
        front_end = read_front_end(options.front_end) if options.front_end else None
        name = f"{options.count.parts[-3]}_{options.count.stem}.json"
        count(options.count, options.out / "luts" / name, front_end)
        return
    (options.out / "luts").mkdir(parents=True, exist_ok=True)
    for network in options.networks:
        if not is_trained(options, run_of(options, network)):
            train(options, network, run_of(options, network))
    left = [one for one in wanted_counts(options) if not one.is_done(options.time_limit)]
    with ThreadPoolExecutor(options.workers) as threads:
        list(threads.map(lambda one: count_bounded(options, one), left))
    text = table(options)
    (options.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
