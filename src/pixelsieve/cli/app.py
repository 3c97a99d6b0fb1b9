"""The program `pixelsieve` and its verbs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pixelsieve import __version__
from pixelsieve.cli.compare import compare
from pixelsieve.cli.convert import convert
from pixelsieve.cli.doctor import doctor
from pixelsieve.cli.evaluate import evaluate
from pixelsieve.cli.firmware import firmware
from pixelsieve.cli.inspect import inspect
from pixelsieve.cli.report import report
from pixelsieve.cli.robustness import robustness
from pixelsieve.cli.search import search
from pixelsieve.cli.simulate import simulate
from pixelsieve.cli.train import train

_INTERRUPTED = 130
# Typer brings its own copy of click or takes the installed one, by its version.
_USAGE_ERROR: Any = typer.BadParameter.__base__


class _Program(TyperGroup):
    """Typer's program, but wrong usage is one line too."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse and run; as a program (`standalone_mode`), show errors and exit."""
        try:
            code = super().main(
                args,
                prog_name,
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            if not standalone_mode:
                return code
        except _USAGE_ERROR as error:
            if not standalone_mode:
                raise
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # the whole help, where it is not printed yet
            else:
                typer.echo(_line(error, sys.argv[1:] if args is None else args), err=True)
            code = error.exit_code
        except typer.Abort:
            if not standalone_mode:
                raise
            code = _INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)


def _line(error: Any, given: Sequence[str]) -> str:
    """A usage error of click as `pixelsieve VERB: message; see ... --help`."""
    inside = error.ctx is not None and error.ctx.parent is not None
    verb = f"pixelsieve {error.ctx.info_name}" if inside else "pixelsieve"
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message.replace("Value error, ", "")  # of newer versions of Typer
    message += _meant_data(message, given)
    return f"{verb}: {message[:1].lower()}{message[1:]}; see {verb} --help"


def _meant_data(message: str, given: Sequence[str]) -> str:
    """A hint for those who give the clusters as an argument, as `inspect` takes them."""
    if not message.startswith("Missing option '--data'"):
        return ""
    pairs = pairwise(given)
    files = [word for before, word in pairs if not before.startswith("-")]
    tables = (f for f in files if f.endswith((".parquet", ".root")))
    return next((f" (did you mean --data {f}?)" for f in tables), "")


app = typer.Typer(
    name="pixelsieve",
    cls=_Program,
    help="Small quantized networks that keep signal clusters and drop beam-induced background.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(simulate)
app.command()(compare)
app.command()(train)
app.command()(search)
app.command()(evaluate)
app.command()(firmware)
app.command()(robustness)
app.command()(report)
app.command()(inspect)
app.command()(convert)
app.command()(doctor)


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
