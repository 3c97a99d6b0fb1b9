"""`pixelsieve report`: runs as one page that a browser opens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixelsieve.cli import options
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
    from pixelsieve.api.pages import report as run

    page = run(runs, out, figures=figures)
    if figures:
        options.show(*(f"{RunFolder(one).figures}: PDF and PNG" for one in runs))
    options.show(f"-> {page}")
