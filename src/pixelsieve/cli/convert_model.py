"""`pixelsieve convert MODEL.h5`: a float Keras or QKeras model as one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pixelsieve.cli import options

if TYPE_CHECKING:
    from pixelsieve.model_import.convert import ImportOptions

__all__ = ["convert_model"]


def convert_model(source: Path, out: Path, chosen: ImportOptions, *, json: bool) -> None:
    """Import, and print the report."""
    from rich.console import Console
    from rich.markup import escape

    from pixelsieve.config import to_plain
    from pixelsieve.report.import_table import import_table
    from pixelsieve.studies.import_model import convert_model as run

    path, report = run(source, out, chosen)
    if json:
        options.print_json({"model": str(path), **to_plain(report)})
        return
    console = Console()
    console.print(import_table(report))
    for note in report.notes:
        typer.echo(f"note: {note}")
    layers = sum(row.what == "layer" for row in report.rows)
    variables = sum(row.what == "variable" for row in report.rows)
    typer.echo(f"network: {report.network}; {report.parameters} parameters; {report.precision}")
    typer.echo(f"inputs, scaled as pixelsieve scales them: {', '.join(report.features)}")
    console.print(
        f"all of {layers} layers and {variables} variables accounted for -> {escape(str(path))}",
        soft_wrap=True,
        highlight=False,
    )
