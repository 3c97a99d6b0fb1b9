"""Writes reference/cli.md out of the program's own help: `python docs/generate/cli.py`.

With `--check` it writes nothing and exits with 1 where the page is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

from pixelsieve.cli import app

PAGE = Path(__file__).parents[1] / "reference" / "cli.md"
HEAD = """# Commands

<!-- made by docs/generate/cli.py; do not edit -->

What `pixelsieve VERB --help` says. Errors that you can mend are one line on standard error and exit
code 2; a guarantee that does not hold is exit code 1.
"""


def page() -> str:
    """The whole page."""
    program: Any = typer.main.get_command(app)
    parts = [HEAD]
    for name, command in program.commands.items():
        context = command.make_context(name, [], resilient_parsing=True)
        records = [parameter.get_help_record(context) for parameter in command.params]
        arguments = " ".join(o.split()[0] for o, _ in records if not o.startswith("-"))
        usage = f"pixelsieve {name} {arguments}".strip() + " [OPTIONS]"
        parts.append(f"## {name}\n\n    {usage}\n\n{_text(command.help)}\n")
        rows = [f"| {_code(options)} | {_cell(text)} |" for options, text in records]
        parts.append("\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _text(text: str | None) -> str:
    return "\n\n".join(" ".join(p.split()) for p in (text or "").split("\n\n"))


def _code(text: str) -> str:
    return "`" + text.replace("|", " or ") + "`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    """Write the page, or check it."""
    wanted = page()
    if "--check" not in sys.argv:
        PAGE.write_text(wanted)
        return 0
    if PAGE.read_text() == wanted:
        return 0
    print(f"{PAGE.name} is stale; run: python docs/generate/cli.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
