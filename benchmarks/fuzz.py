"""Damaged files for every reader: each must be read, or refused in one line that names the file.

    python benchmarks/fuzz.py --minutes 10
    python benchmarks/fuzz.py --minutes 2 --readers Parquet TOML --seed 7

Prints a table, and keeps the file of each finding in `--keep`. What is damaged how is in
tests/fuzzing, as for the tests, which read fewer. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests are no package that is installed

from tests.fuzzing.campaign import Outcome, make_material, run
from tests.fuzzing.readers import READERS

BLOCK = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=10, help="for all readers together")
    parser.add_argument("--readers", nargs="+", choices=list(READERS), default=list(READERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="a folder")
    options = parser.parse_args()
    found = {name: Outcome() for name in options.readers}
    with tempfile.TemporaryDirectory() as folder:
        material = Path(folder)
        make_material(material, options.readers)
        end = time.monotonic() + 60 * options.minutes
        first = 0
        while time.monotonic() < end:
            for name, total in found.items():
                if first and time.monotonic() > end:
                    break
                count = max(1, round(BLOCK * READERS[name].share))
                one = run(material, name, options.seed, first * count, count)
                total.accepted += one.accepted
                total.refused += one.refused
                total.findings += one.findings
                for finding in one.findings:
                    suffix = f"{name}-{options.seed}-{finding.number}-{Path(finding.file).name}"
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / suffix.replace(" ", "_")).write_bytes(finding.data)
                    print(f"{name}, file {finding.number}: {finding.what}", flush=True)
            first += 1
    print("| reader | files | accepted | refused | findings |\n|---|---|---|---|---|")
    for name, one in found.items():
        print(f"| {name} | {one.files} | {one.accepted} | {one.refused} | {len(one.findings)} |")
    sys.exit(any(one.findings for one in found.values()))


if __name__ == "__main__":
    main()
