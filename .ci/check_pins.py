"""Check that every pin of constraints.txt can be installed on every Python that we support.

Those are the versions among the classifiers of pyproject.toml, each from its first release on:
Debian 12 has 3.11.2, and a pin that asks for 3.11.5 stops a newcomer there. pip tells, for this
system, from the package index; nothing is installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_CONSTRAINTS = _ROOT / "constraints.txt"


def main() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pattern = re.compile(r"Programming Language :: Python :: (3\.\d+)")
    minors = [m[1] for c in project["classifiers"] if (m := pattern.fullmatch(c))]
    if not minors or project["requires-python"] != f">={minors[0]}":
        sys.exit(f"pyproject.toml: requires-python is not the first of its classifiers {minors}")
    for minor in minors:
        check(f"{minor}.0")
    print(f"constraints.txt: every pin installs on Python {', '.join(minors)}")


def check(version: str) -> None:
    """End with one line if a pin has nothing for that version."""
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps"),
                *("--ignore-installed", "--disable-pip-version-check", "--only-binary=:all:"),
                *("--python-version", version, "--target", nowhere),
                *("--requirement", str(_CONSTRAINTS)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        missing = re.findall(r"No matching distribution found for (\S+)", done.stderr)
        why = f"{missing[0]} has no release for" if missing else "pip cannot tell for"
        print(done.stderr[-2000:], file=sys.stderr)
        sys.exit(f"constraints.txt: {why} Python {version}; pin a version that has one")


if __name__ == "__main__":
    main()
