"""`pixelsieve report`: runs as one page that a browser opens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixelsieve.cli import options
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.runs import RunFolder


@options.shows_errors(interrupted="interrupted")
def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folder of a run, or of several.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write (default: report.html in the run folder).", dir_okay=False
        ),
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures", help="Also PDF and PNG files in RUN/figures.")
    ] = False,
) -> None:
    """Write everything that runs say to one HTML file that needs no network.

    Several runs give one page that compares them; it then needs --out.
    """
    from pixelsieve.reporting.page import write_report
    from pixelsieve.reporting.record import read_run

    if out is None and len(runs) > 1:
        msg = "--out: missing; the page of several runs needs a file, e.g. --out comparison.html"
        raise ConfigError(msg)
    records = [read_run(path) for path in runs]
    page = out or RunFolder(runs[0]).page
    write_report(records, page)
    if figures:
        from pixelsieve.reporting.figures import figures_of_run

        for record in records:
            options.show(*figures_of_run(record))
    options.show(f"-> {page}")
