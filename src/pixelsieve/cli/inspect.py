"""`pixelsieve inspect`: what is in a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelsieve.cli import options

if TYPE_CHECKING:
    from pixelsieve.studies.inspect import Inspection


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
    if len(paths) == 1 and Path(paths[0]).suffix == ".keras":
        _show_model(Path(paths[0]))
        return
    from pixelsieve.formats.sources import find_files
    from pixelsieve.formats.tables import Table
    from pixelsieve.front_end import read_front_end
    from pixelsieve.report.tables import inspection_lines, inspection_tables
    from pixelsieve.studies.inspect import inspect_parts

    chosen = read_front_end(front_end) if front_end else None
    provenance = {p.name: said for p in find_files(paths) if (said := Table(p).provenance())}
    found = inspect_parts(options.load(paths, whole=False), chosen, provenance, events)
    if out:
        _write(found, out)
    lines, tables = inspection_lines(found), inspection_tables(found)
    written = [f"{out}: inspection.json, distributions and event_display"] if out else []
    options.answer(found if json else None, *lines, *tables, *written)


def _show_model(path: Path) -> None:
    from pixelsieve.networks.model_file import load_model

    loaded = load_model(path)
    head = {"network": loaded.spec, "parameters": loaded.spec.n_parameters}
    inputs = {"precision": loaded.precision, "features": loaded.features}
    options.print_json({**head, **inputs, **loaded.card.to_plain()})


def _write(found: Inspection, out: Path) -> None:
    from pixelsieve.core.files import telling_unwritable, write_json
    from pixelsieve.report import figures
    from pixelsieve.report.tables import distribution_charts

    with telling_unwritable(out, "choose another --out"):
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "inspection.json", found)
        charts = distribution_charts(found.distributions)
        figures.figure(charts, out / "distributions", columns=4, size=(3.8, 3.2))
        figures.event_display(found.displays, out / "event_display")
