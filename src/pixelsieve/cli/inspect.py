"""`pixelsieve inspect`: what is in a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixelsieve.cli import options

__all__ = ["inspect"]


@options.shows_errors
def inspect(
    paths: Annotated[
        list[str], typer.Argument(help="Parquet files, folders or quoted patterns; or a model.")
    ],
    json: options.Json = False,
) -> None:
    """Show a data set (counts, splits, ranges, saturation of features) or a saved model."""
    from rich.console import Console

    if len(paths) == 1 and Path(paths[0]).suffix == ".keras":
        from pixelsieve.model_file import load_model

        loaded = load_model(Path(paths[0]))
        options.print_json(
            {
                "network": loaded.spec,
                "parameters": loaded.spec.n_parameters,
                "precision": loaded.precision,
                "features": loaded.features,
                **loaded.card,
            }
        )
        return
    from pixelsieve.formats.dataset import load
    from pixelsieve.report.tables import inspection_tables
    from pixelsieve.studies.inspect import inspect_dataset

    summary = inspect_dataset(load(paths))
    if json:
        options.print_json(summary)
        return
    console = Console()
    for table in inspection_tables(summary):
        console.print(table)
