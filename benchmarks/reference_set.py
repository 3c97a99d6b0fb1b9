"""Numbers of every kind of run, to see that a change of the code changes none of them.

    python benchmarks/reference_set.py --out before
    python benchmarks/reference_set.py --out after --against before

The first makes a simulated file, a comparison of `model2` at 2 and 4 bits with all recipes (2
seeds, 5 epochs), one of `model1` at 3 bits with its Verilog, a search of 6 trials, and a front of
learned bits (scalars, 300 epochs), in about 10 minutes on two cores. The second makes the same
again with the code of today and prints each number, text and file that differs; what tells time,
place or version is not compared. The exit code is 1 if anything differs. Both must run on the same
machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pixelsieve.core.config import to_plain
from pixelsieve.core.files import write_json
from pixelsieve.features import FeatureSet
from pixelsieve.formats.dataset import load
from pixelsieve.integer.file import to_document
from pixelsieve.integer.network import from_model
from pixelsieve.metrics.metrics import EFFICIENCY, rejection_at, roc_auc
from pixelsieve.networks.layers import Dense
from pixelsieve.networks.model_file import Card
from pixelsieve.networks.precision import LearnedPrecision
from pixelsieve.networks.spec import NetworkSpec, initial_weights
from pixelsieve.training.engine import Rows, Session
from pixelsieve.training.learned import train_learned
from pixelsieve.training.recipe import LEARNED, override

SPACE = """
[architecture]
depths = [1, 2]
widths = [4, 8]
branches = [false]

[precision]
budgets = [100]

[recipe]
epochs = [5]
learned_epochs = [40]
float_epochs = 5
trial_epochs = 2
"""
QUICK = ("--epochs", "5", "--float-epochs", "5", "--workers", "2")
SCALARS = NetworkSpec(
    "scalars",
    (
        Dense("hidden0", 16, ("x_size", "y_size", "z_global", "y_local")),
        Dense("hidden1", 8, ("hidden0",)),
        Dense("output", 1, ("hidden1",), relu=False),
    ),
)
NOT_COMPARED = {
    *("started", "command", "seconds", "alkaid_seconds", "versions", "tools", "fingerprint"),
    *("machine", "git", "pixelsieve", "python", "config_hash", "contents_sha256", "tool"),
    *("version", "packages", "sha256", "path"),
}
"""Keys of JSON that tell when, where and by which version."""


def make(out: Path) -> None:
    """Run everything that is not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    data = out / "clusters.parquet"
    (out / "space.toml").write_text(SPACE, encoding="utf-8")
    given = ("--data", str(data))
    steps: dict[str, tuple[str, ...]] = {
        "clusters.parquet": ("simulate", "--signal", "6000", "--bib", "6000", "--workers", "2"),
        "model2": ("compare", *given, "--bits", "2,4", "--seeds", "2", *QUICK),
        "model1": (
            *("compare", *given, "--network", "model1", "--bits", "3", "--seeds", "1"),
            *("--recipe", "sieve", "--no-baselines", *QUICK),
        ),
        "verilog": ("firmware", str(out / "model1"), *given, "--model", "sieve_3b_seed0"),
        "search": (
            *("search", *given, "--space", str(out / "space.toml"), "--trials", "6"),
            *("--generation", "3", "--seeds", "1", "--reference", "none", "--workers", "2"),
        ),
    }
    for name, words in steps.items():
        if not (out / name).exists():
            command = [sys.executable, "-m", "pixelsieve", *words, "--out", str(out / name)]
            subprocess.run(command, check=True)
    if not (out / "learned.json").exists():
        write_json(out / "learned.json", {"points": learned(data)})


def learned(data: Path) -> list[dict[str, Any]]:
    """The networks of one training of bits, with their integers."""
    dataset = load([data])
    features = FeatureSet(SCALARS.features, mirror_x=True)
    monitors = {"auc": roc_auc, "rejection": lambda s, y: rejection_at(s, y, EFFICIENCY)[0]}
    found, _ = train_learned(
        SCALARS,
        LearnedPrecision(budget_ebops=150),
        override(LEARNED, epochs=300),
        initial_weights(SCALARS, 0),
        Rows(features.table(dataset.train), features.table(dataset.validation)),
        Session(0, monitors),
    )
    return [
        {
            "epoch": one.epoch,
            "ebops": one.ebops,
            "merits": one.merits,
            "network": to_plain(to_document(from_model(one.model(SCALARS, features, Card())))),
        }
        for one in found
    ]


def facts(folder: Path) -> Iterator[tuple[str, Any]]:
    """Every number, text and file by the place where it stands."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name[0] != "."):
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            text = path.read_text(encoding="utf-8").replace(str(folder), "")
            yield from leaves(name, json.loads(text))
        elif path.suffix == ".parquet":
            table = pq.read_table(path)
            for column in table.column_names:
                yield f"{name}: {column}", digest(str(table[column].to_pylist()).encode())
        elif path.suffix in {".v", ".hex"}:
            yield name, digest(path.read_bytes())


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values of JSON by their place, without those of `NOT_COMPARED`."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key not in NOT_COMPARED:
                yield from leaves(f"{name}/{key}", one)
    elif isinstance(value, list):
        for i, one in enumerate(value):
            yield from leaves(f"{name}/{i}", one)
    else:
        yield name, value


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    make(options.out)
    now = dict(facts(options.out))
    print(f"{options.out}: {len(now)} facts")
    if options.against is None:
        return 0
    before = dict(facts(options.against))
    places = [place for place in {**before, **now} if before.get(place) != now.get(place)]
    for place in places:
        print(f"{place}: {before.get(place, 'absent')} -> {now.get(place, 'absent')}")
    print(f"{len(places)} of {len({**before, **now})} differ")
    return 1 if places else 0


if __name__ == "__main__":
    sys.exit(main())
