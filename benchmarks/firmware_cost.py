"""How well alkaid's estimate of LUTs, which takes seconds, predicts what Yosys counts.

    python benchmarks/firmware_cost.py --largest 2000
    python benchmarks/firmware_cost.py --largest 20000 --gates --time-limit 1800 \
        --data '../shared/data/muc-real/simA_*.parquet'
    python benchmarks/firmware_cost.py --largest 20000 --gates --kinds learned --learned learned

Networks from tens of LUTs up, smallest first, combinational and in pipelines: dense ones with
random weights, and with --data also Model2 and narrower versions of it, trained for three epochs
at 2 to 8 bits, as they are and with three quarters of their weights set to zero; with --learned
networks of learned bits that `learned_front.py` has written, evenly by size. Writes every
finished network with all settings to --out, a table beside it (.md), and goes on from there when
it is called again; networks that were not finished are measured again under other limits.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pixelsieve.core.config import fingerprint, to_plain
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.files import read_json, replacing, write_json
from pixelsieve.core.programs import YOSYS, find
from pixelsieve.features import REGISTRY, FeatureSet
from pixelsieve.formats.dataset import load
from pixelsieve.hardware.ports import Timing
from pixelsieve.hardware.resources import Resources, measure
from pixelsieve.hardware.synthesis import Measure, Settings
from pixelsieve.integer.file import read_integer_network
from pixelsieve.integer.layers import IntegerInput, IntegerLayer
from pixelsieve.integer.network import IntegerNetwork, from_model
from pixelsieve.networks.fixed_point import FixedPoint, Quantizer
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import load_model
from pixelsieve.networks.precision import Precision
from pixelsieve.networks.spec import NetworkSpec, network
from pixelsieve.studies.jobs import training_data
from pixelsieve.training.job import Job, TrainingData
from pixelsieve.training.recipe import FLOAT, override, recipe
from pixelsieve.training.run import run_job

SHAPES = ((8, 4), (14, 8), (14, 16), (21, 16, 8), (35, 32, 16), (35, 64, 32), (35, 128, 64))
"""Inputs, then the units of each hidden layer."""
RANDOM = ((2, 0), (4, 0), (4, 2), (8, 0))
TRAINED = ((2, 0), (3, 0), (4, 0), (4, 4), (8, 0))
PRUNED = ((2, 0), (4, 0))
"""Bits of a weight, and pipeline stages (0: combinational)."""
NARROWER = (16, 8, 4, 2, 1)
"""Model2 with all its layers narrower by these factors."""
EPOCHS = 3
KINDS = ("random", "trained", "pruned", "learned")
PRUNED_SHARE = 0.75
LEARNED_LUTS = np.geomspace(25, 5000, 25)
"""Estimates of which the nearest networks of learned bits are taken."""


@dataclass(frozen=True, slots=True)
class Case:
    """One network to build and measure; `size` is weights times bits. Learned `bits` are 0."""

    kind: str
    name: str
    bits: int
    stages: int
    size: int
    build: Callable[[], IntegerNetwork]


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


def narrower(spec: NetworkSpec, factor: int) -> NetworkSpec:
    """The same network with so many times fewer units in all hidden layers."""
    layers = tuple(
        replace(layer, units=layer.units // factor)
        if isinstance(layer, Dense) and layer.units > 1
        else layer
        for layer in spec.layers
    )
    return replace(spec, name=f"{spec.name}_{factor}th" if factor > 1 else spec.name, layers=layers)


def trained_network(
    spec: NetworkSpec, bits: int, data: TrainingData, folder: Path, seed: int, pruned: float
) -> IntegerNetwork:
    """Trained for a few epochs, from a float network; the smallest weights pruned to zero."""
    short = override(FLOAT, epochs=EPOCHS)
    floats = Job(spec, None, short, seed)
    quantized = Job(
        spec, Precision(bits), override(recipe("sieve"), epochs=EPOCHS), seed, floats.name
    )
    for part in ("jobs", "models"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for job in (floats, quantized):
        run_job(job, folder, data, {})
    made = from_model(load_model(folder / "models" / f"{quantized.name}.keras"), "network")
    dense = (layer for layer in made.layers if isinstance(layer, IntegerLayer))
    return replace(made, layers=tuple(without_small(layer, pruned) for layer in dense))


def without_small(layer: IntegerLayer, share: float) -> IntegerLayer:
    """At least this share of the kernel's codes is zero: first the smallest."""
    magnitude = np.abs(layer.kernel).ravel()
    order = np.argsort(magnitude, kind="stable")
    kernel = layer.kernel.copy().ravel()
    kernel[order[: int(share * len(order))]] = 0
    return replace(layer, kernel=kernel.reshape(layer.kernel.shape))


def cases(options: argparse.Namespace) -> list[Case]:
    found = [
        Case(
            "random", "-".join(map(str, shape)), bits, stages,
            bits * sum(a * b for a, b in itertools.pairwise((*shape, 1))),
            functools.partial(random_network, shape, bits, options.seed),
        )
        for shape in SHAPES
        for bits, stages in RANDOM
    ]  # fmt: skip
    if options.data:
        model2 = network("model2")
        dataset = load([options.data])
        data = training_data(dataset, FeatureSet(model2.features), [FLOAT, recipe("sieve")])
        variants = [(*v, 0.0) for v in TRAINED] + [(*v, PRUNED_SHARE) for v in PRUNED]
        for factor, (bits, stages, pruned) in itertools.product(NARROWER, variants):
            spec = narrower(model2, factor)
            folder = options.out.with_suffix("") / spec.name
            build = functools.partial(
                trained_network, spec, bits, data, folder, options.seed, pruned
            )
            size = round(bits * spec.n_parameters * (1 - pruned))
            kind = "pruned" if pruned else "trained"
            found.append(Case(kind, spec.name, bits, stages, size, build))
    if options.learned:
        found += learned_cases(options.learned)
    return sorted((case for case in found if case.kind in options.kinds), key=lambda c: c.size)


def learned_cases(folder: Path) -> list[Case]:
    """Networks of learned bits of all cases and seeds, evenly in the logarithm of their LUTs."""
    points = [
        (point["luts"], point["network"])
        for runs in read_json(folder / "validation_points.json").values()
        for points in runs
        for point in points
    ]
    chosen = dict(min(points, key=lambda p: abs(p[0] - wanted)) for wanted in LEARNED_LUTS)
    return [
        Case(
            "learned", name.replace("/models/", " "), 0, 0, round(3 * luts),
            functools.partial(read_integer_network, folder / f"{name}.json"),
        )
        for luts, name in chosen.items()
    ]  # fmt: skip


Row = dict[str, Any]
"""Of JSON: `kind`, `name`, `bits`, `stages`, `mark` and `resources` (see `Resources`)."""


def rows(options: argparse.Namespace, kept: dict[str, Row]) -> Iterator[Row]:
    """Kept rows and new ones, in order of size."""
    limits = {"time_limit_s": options.time_limit, "memory_limit_gib": options.memory_limit}
    settings = Settings(**limits)
    measures: tuple[Measure, ...] = ("luts", "gates") if options.gates else ("luts",)
    general = {k: v for k, v in to_plain(settings).items() if k not in limits}
    tool = find(YOSYS)
    too_large: dict[tuple[str, str], int] = {}
    for case in cases(options):
        family = (case.kind, case.name)
        if case.bits >= too_large.get(family, 99):
            continue
        identity = [*family, case.bits, case.stages, options.seed, measures, general, EPOCHS]
        mark = fingerprint([*identity, tool.name, tool.version, version("alkaid")])
        row = kept.get(mark)
        if row is None or not usable(row, limits):
            built, stages = case.build(), case.stages or None
            start = time.monotonic()
            try:
                found = measure(built, timing=Timing(stages))
            except ConfigError as error:  # pruned until nothing is left, or too few levels
                print(f"{case.kind} {case.name}, {case.bits} bits: {error}", flush=True)
                continue
            seconds = time.monotonic() - start
            if found.lut_estimate <= options.largest:
                found = measure(built, timing=Timing(stages), measures=measures, settings=settings)
            row = new_row(case, mark, found, seconds)
        if row["resources"]["lut_estimate"] > options.largest:
            too_large[family] = case.bits
            continue
        yield row


def new_row(case: Case, mark: str, found: Resources, seconds: float) -> Row:
    row = {"kind": case.kind, "name": case.name, "bits": case.bits, "stages": case.stages}
    plain: Row = json.loads(json.dumps(to_plain(found)))
    return {**row, "mark": mark, "alkaid_seconds": round(seconds, 2), "resources": plain}


def usable(row: Row, limits: dict[str, float]) -> bool:
    """Whether a kept row would come out the same, or no better, under these limits."""
    return all(
        one["status"] == "done" or all(one["settings"][k] >= v for k, v in limits.items())
        for one in row["resources"]["synthesis"]
    )


HEAD = (
    "network", "weights", "not zero", "bits", "stages", "LUT estimate", "LUTs", "ratio", "cells",
    "ratio", "CARRY4", "FFs", "register bits", "NAND2", "ratio", "depth", "s (LUTs)", "s (gates)",
)  # fmt: skip


def line(row: Row) -> tuple[str, ...]:
    """Cells of the table; estimate and register bits are alkaid's, the rest Yosys's."""
    found = row["resources"]
    luts, gates = counts(row, "luts"), counts(row, "gates")
    estimate = found["lut_estimate"]
    taken = {one["measure"]: one for one in found["synthesis"]}
    seconds = [
        (f"{taken[m]['seconds']:.0f}" if taken[m]["status"] == "done" else taken[m]["status"])
        if m in taken
        else "-"
        for m in ("luts", "gates")
    ]

    def of(counted: Row | None, name: str, *, ratio: bool = False) -> str:
        if counted is None:
            return "-"
        return f"{counted[name] / estimate:.2f}" if ratio else f"{counted[name]:.0f}"

    return (
        f"{row['kind']} {row['name']}", str(found["weights"]), str(found["weights_not_zero"]),
        str(row["bits"] or "-"), str(row["stages"] or "-"), f"{estimate:.0f}",
        of(luts, "total"), of(luts, "total", ratio=True),
        of(luts, "logic_cells"), of(luts, "logic_cells", ratio=True),
        of(luts, "carry"), of(luts, "flip_flops"), str(found["register_bits"]),
        of(gates, "nand2_equivalents"), of(gates, "combinational", ratio=True), of(gates, "depth"),
        *seconds,
    )  # fmt: skip


def counts(row: Row, measured: str) -> Row | None:
    """What Yosys counted, None where it did not finish or was not asked."""
    found = (s for s in row["resources"]["synthesis"] if s["measure"] == measured)
    return next((s[measured] for s in found if s["status"] == "done"), None)


def spread(done: Iterable[Row]) -> Iterator[str]:
    """Ratio to alkaid's estimate: median and spread, for kinds of networks and for sizes."""
    done = list(done)
    groups = {
        "all": done,
        **{k: [r for r in done if r["kind"] == k] for k in KINDS},
        "under 1,000 LUTs": [r for r in done if r["resources"]["lut_estimate"] < 1000],
        "from 1,000 LUTs": [r for r in done if r["resources"]["lut_estimate"] >= 1000],
    }
    for measured, name in (("luts", "total"), ("luts", "logic_cells"), ("gates", "combinational")):
        for group, members in groups.items():
            ratios = [
                c[name] / r["resources"]["lut_estimate"]
                for r in members
                if (c := counts(r, measured))
            ]
            if len(ratios) > 1:
                low, *_, high = statistics.quantiles(ratios, n=20, method="inclusive")
                numbers = (statistics.median(ratios), low, high, min(ratios), max(ratios))
                cells = " | ".join(f"{n:.2f}" for n in numbers)
                yield f"| {name} | {group} | {len(ratios)} | {cells} |"


def markdown(done: list[Row]) -> str:
    """Both tables."""
    return "\n".join(
        [
            "| count / estimate | networks | number | median | 5 % | 95 % | least | most |",
            "|---|---|---|---|---|---|---|---|",
            *spread(done),
            "",
            f"| {' | '.join(HEAD)} |",
            "|" + "---|" * len(HEAD),
            *(f"| {' | '.join(line(row))} |" for row in done),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--largest", type=float, default=2000, help="estimate to stop at (LUTs)")
    parser.add_argument("--time-limit", type=float, default=600, help="of each synthesis (s)")
    parser.add_argument("--memory-limit", type=float, default=4, help="of each synthesis (GiB)")
    parser.add_argument("--gates", action="store_true", help="count gates and depth too")
    parser.add_argument("--data", help="clusters to train networks on; quote patterns")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--learned", type=Path, help="the --out of learned_front.py")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("firmware_cost.json"))
    options = parser.parse_args()
    kept = {r["mark"]: r for r in read_json(options.out)["rows"]} if options.out.exists() else {}
    done: list[Row] = []
    print(*HEAD, sep="\t")
    for row in rows(options, kept):
        print(*line(row), sep="\t", flush=True)
        done.append(row)
        kept[row["mark"]] = row
        write_json(options.out, {"seed": options.seed, "rows": list(kept.values())})
        with replacing(options.out.with_suffix(".md")) as temporary:
            temporary.write_text(markdown(done), encoding="utf-8")
    print(*spread(done), sep="\n")


if __name__ == "__main__":
    main()
