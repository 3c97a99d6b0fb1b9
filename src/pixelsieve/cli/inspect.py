"""`pixelsieve inspect`: what is in a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixelsieve.cli import options


@options.shows_errors(interrupted="interrupted")
def inspect(
    paths: Annotated[
        list[str], typer.Argument(help="Files, folders or quoted patterns; or a model.")
    ],
    front_end: options.FrontEnd = None,
    events: Annotated[int, typer.Option(help="Clusters of each class to draw.", min=1, max=8)] = 3,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for inspection.json and the figures.", file_okay=False),
    ] = None,
    json: options.Json = False,
) -> None:
    """Show a data set (counts, splits, overlaps, features, clusters) or a saved model.

    A lone file without splits or of one class will do. Splits, overlaps and counts are of the
    collected charge, the rest of what the front end reads out.
    """
    from pixelsieve.importing.stored import SUFFIXES

    if len(paths) == 1 and Path(paths[0]).suffix in SUFFIXES:
        _show_model(Path(paths[0]))
        return
    from pixelsieve.api.data import inspect as run

    found = run(paths, front_end, events=events, out=out)
    written = [f"{out}: inspection.json, distributions and event_display"] if out else []
    options.answer(found.inspection if json else None, *found.parts(), *written)


def _show_model(path: Path) -> None:
    from pixelsieve.api.arguments import load_model

    loaded = load_model(path)
    head = {"network": loaded.spec, "parameters": loaded.spec.n_parameters}
    inputs = {"precision": loaded.precision, "features": loaded.features.to_plain()}
    options.print_json({**head, **inputs, **loaded.card.to_plain()})
