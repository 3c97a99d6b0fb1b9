"""`pixelsieve doctor`: what is installed, and what is missing."""

from __future__ import annotations

from pixelsieve.cli import options


@options.shows_errors(interrupted="interrupted")
def doctor(json: options.Json = False) -> None:
    """Show versions, the tools, the device, and how to get what is missing.

    Each tool runs once on a tiny design. The tools serve `firmware`, alkaid `search` as well;
    without them the rest works, and the exit code is 0.
    """
    from rich.console import Console

    from pixelsieve.report.installation_tables import installation_lines, installation_tables
    from pixelsieve.studies.installation import installation

    steps = Console(stderr=True)
    found = installation(lambda step: steps.print(f"{step} ...", highlight=False))
    if json:
        options.print_json(found.plain())
        return
    options.show(*installation_tables(found), *installation_lines(found))
