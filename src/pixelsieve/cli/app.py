"""The program `pixelsieve` and its verbs."""

from __future__ import annotations

from typing import Annotated

import typer

from pixelsieve import __version__
from pixelsieve.cli.compare import compare
from pixelsieve.cli.convert import convert
from pixelsieve.cli.evaluate import evaluate
from pixelsieve.cli.firmware import firmware
from pixelsieve.cli.inspect import inspect
from pixelsieve.cli.simulate import simulate
from pixelsieve.cli.train import train

__all__ = ["app", "main"]

app = typer.Typer(
    name="pixelsieve",
    help="Small quantized networks that keep signal clusters and drop beam-induced background.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(simulate)
app.command()(compare)
app.command()(train)
app.command()(evaluate)
app.command()(firmware)
app.command()(inspect)
app.command()(convert)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pixelsieve {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Run the program."""
    app()
