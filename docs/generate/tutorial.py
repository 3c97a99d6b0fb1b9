"""Runs the commands of tutorial.md and puts what they print into it.

    python docs/generate/tutorial.py

Blocks marked `sh` are run in order in an empty folder. Behind them `<!-- table: TITLE -->` takes
the table of that title out of what the last command printed, `<!-- line: START -->` a line. With
`--check` nothing is written, and the exit code is 1 where a command fails or prints other words
than the page; numbers may differ in the last digits from machine to machine and are not compared.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

PAGE = Path(__file__).parents[1] / "tutorial.md"
BLOCK = re.compile(
    r"```sh\n(?P<commands>.*?)```\n"
    r"|<!-- (?P<what>table|line): (?P<start>.*?) -->\n+```text\n(?P<shown>.*?)```\n",
    re.DOTALL,
)
NUMBER = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?")


class FailedError(Exception):
    """A command failed, or did not print what the page shows."""


def run(command: str, folder: Path) -> str:
    """What a command prints to standard output."""
    words = shlex.split(command)
    if words[0] == "pixelsieve":
        words[:1] = [sys.executable, "-m", "pixelsieve"]
    settings = {**os.environ, "COLUMNS": "100", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    done = subprocess.run(
        words, cwd=folder, env=settings, check=False, capture_output=True, text=True
    )
    if done.returncode:
        msg = f"{command}: exit code {done.returncode}\n{done.stderr}"
        raise FailedError(msg)
    return done.stdout


def excerpt(printed: str, what: str, start: str) -> str:
    """The line that starts so, or the table under it."""
    lines = [line.rstrip() for line in printed.splitlines()]
    first = next((i for i, line in enumerate(lines) if line.startswith(start)), None)
    if first is None:
        msg = f"nothing printed starts with '{start}'"
        raise FailedError(msg)
    ends = (i for i in range(first, len(lines)) if what == "line" or lines[i].startswith("└"))
    return "\n".join(lines[first : next(ends) + 1]) + "\n"


def words_of(text: str) -> Counter[str]:
    """The words of a text, without its numbers, in any order."""
    return Counter(re.findall(r"[^\W\d_]+", NUMBER.sub(" ", text)))


def main() -> int:
    """Run the page; write it or check it."""
    page, printed, fresh, end = PAGE.read_text(), "", [], 0
    with tempfile.TemporaryDirectory() as folder:
        for block in BLOCK.finditer(page):
            fresh.append(page[end : block.start()])
            end, text = block.end(), block.group()
            if block["commands"]:
                for command in block["commands"].replace("\\\n", " ").splitlines():
                    printed = run(command, Path(folder))
            else:
                now = excerpt(printed, block["what"], block["start"])
                if "--check" in sys.argv and words_of(now) != words_of(block["shown"]):
                    msg = (
                        f"'{block['start']}' is stale; run: python docs/generate/tutorial.py\n{now}"
                    )
                    raise FailedError(msg)
                text = text.replace(f"```text\n{block['shown']}", f"```text\n{now}")
            fresh.append(text)
    if "--check" not in sys.argv:
        PAGE.write_text("".join(fresh) + page[end:])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FailedError as error:
        sys.exit(f"{PAGE.name}: {error}")
