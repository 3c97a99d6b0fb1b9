"""How well alkaid's estimate of LUTs, which takes seconds, predicts what Yosys counts.

    python benchmarks/firmware_cost.py --largest 2000
    python benchmarks/firmware_cost.py --largest 20000 --time-limit 1800 --gates

Dense networks with random weights and one logit, from tens of LUTs up; combinational, and at 4
bits in a pipeline of two stages too. Prints a table and the ratio with its spread, and writes
everything, settings included, to --out.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelsieve.features import REGISTRY, FeatureSet
from pixelsieve.files import write_json
from pixelsieve.firmware.integer import IntegerNetwork
from pixelsieve.firmware.integer_layer import IntegerInput, IntegerLayer
from pixelsieve.firmware.rtl import design, write_verilog
from pixelsieve.firmware.synthesis import Settings, Synthesis, synthesize_gates, synthesize_luts
from pixelsieve.fixed_point import FixedPoint, Quantizer

SHAPES = (
    (4, 2), (8, 4), (14, 4), (14, 8), (14, 16), (21, 16), (14, 32), (21, 16, 8), (35, 32, 16),
    (35, 64, 32), (35, 128, 64),
)  # fmt: skip
"""Inputs, then the units of each hidden layer."""
BITS_AND_STAGES = ((2, 0), (3, 0), (4, 0), (4, 2), (6, 0), (8, 0))


@dataclass(frozen=True, slots=True)
class Row:
    """One network: what alkaid estimates, what Yosys counts."""

    shape: tuple[int, ...]
    bits: int
    stages: int
    estimate: float
    levels: float
    register_bits: int
    trace_seconds: float
    luts: Synthesis
    gates: Synthesis | None


def random_network(shape: tuple[int, ...], bits: int, seed: int) -> IntegerNetwork:
    """Normal weights, half the range wide; ReLU between layers."""
    rng = np.random.default_rng([seed, bits, *shape])
    grid = FixedPoint(signed=True, bits=bits)
    inner = FixedPoint(signed=False, bits=bits, integer_bits=1)
    source, fraction, layers = "codes", grid.fraction_bits, []
    sizes = (*shape, 1)
    for i, (fan_in, units) in enumerate(itertools.pairwise(sizes)):
        last = i == len(sizes) - 2
        layers.append(
            IntegerLayer(
                f"dense_{i}",
                (source,),
                grid.codes(rng.normal(0, 0.5, (fan_in, units))),
                grid.codes(rng.normal(0, 0.5, units)),
                grid,
                grid,
                None if last else Quantizer.uniform(inner, units),
                fraction,
            )
        )
        source, fraction = f"dense_{i}", inner.fraction_bits
    inputs = (IntegerInput("codes", shape[0], grid),)
    return IntegerNetwork("network", FeatureSet(tuple(REGISTRY)[:1]), inputs, tuple(layers))


def rows(options: argparse.Namespace) -> Iterator[Row]:
    settings = Settings(time_limit_s=options.time_limit, memory_limit_gib=options.memory_limit)
    for shape in SHAPES:
        for bits, stages in BITS_AND_STAGES:
            network = random_network(shape, bits, options.seed)
            start = time.monotonic()
            made = design(network, 0, stages=stages or None)
            seconds = time.monotonic() - start
            if made.lut_estimate > options.largest:
                break  # more bits make it larger still
            with tempfile.TemporaryDirectory() as name:
                write_verilog(Path(name), made)
                luts = synthesize_luts(Path(name), made.top, settings)
                gates = synthesize_gates(Path(name), made.top, settings) if options.gates else None
            yield Row(
                shape, bits, stages, made.lut_estimate, made.levels, made.register_bits,
                round(seconds, 2), luts, gates,
            )  # fmt: skip


def show(row: Row) -> None:
    what = f"{'-'.join(map(str, row.shape)):>12} {row.bits:>4} {row.stages or '-':>6}"
    what += f" {row.estimate:>9.0f} {row.trace_seconds:>7.1f}"
    found = row.luts.luts
    if found is None:
        print(f"{what}  {row.luts.status}", flush=True)
        return
    what += f" {found.total:>7} {found.total / row.estimate:>6.2f} {found.logic_cells or 0:>7}"
    what += f" {(found.logic_cells or 0) / row.estimate:>6.2f} {found.carry:>6}"
    what += f" {found.flip_flops:>6} {row.register_bits:>6} {row.luts.seconds:>7.1f}"
    if row.gates is not None:
        gates = row.gates.gates
        said = f"{gates.nand2_equivalents:>9.0f} {gates.depth:>5}" if gates else row.gates.status
        what += f" {said} {row.gates.seconds:>7.1f}"
    print(what, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--largest", type=float, default=2000, help="estimate to stop at (LUTs)")
    parser.add_argument("--time-limit", type=float, default=600, help="of each synthesis (s)")
    parser.add_argument("--memory-limit", type=float, default=4, help="of each synthesis (GiB)")
    parser.add_argument("--gates", action="store_true", help="count gates and depth too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("firmware_cost.json"))
    options = parser.parse_args()
    print(
        "       shape bits stages  estimate trace/s    LUTs  ratio   cells  ratio CARRY4"
        "     FF   (al) Yosys/s" + ("     NAND2 depth gates/s" if options.gates else "")
    )
    done = []
    for row in rows(options):
        show(row)
        done.append(row)
        write_json(options.out, {"seed": options.seed, "rows": done})
    for what in ("total", "logic_cells"):
        ratios = [getattr(r.luts.luts, what) / r.estimate for r in done if r.luts.luts]
        if len(ratios) > 1:
            low, *_, high = statistics.quantiles(ratios, n=20)
            print(
                f"Yosys {what} / estimate: median {statistics.median(ratios):.2f}, "
                f"90 % within {low:.2f} to {high:.2f}, all within {min(ratios):.2f} to "
                f"{max(ratios):.2f} ({len(ratios)} networks)"
            )


if __name__ == "__main__":
    main()
