"""`pixelsieve convert`: other formats to Parquet, and back to triples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pixelsieve.cli import options

__all__ = ["convert"]


@options.shows_errors(interrupted="interrupted; nothing was written")
def convert(
    sources: Annotated[
        list[str], typer.Argument(help="Files, folders or quoted patterns of one format.")
    ],
    out: Annotated[Path, typer.Option(help="Parquet file, or new folder for triples.")],
    to: Annotated[Literal["parquet", "triples"], typer.Option(help="Format to write.")] = "parquet",
    format: Annotated[
        Literal["auto", "triples", "tfrecord", "pixelav", "parquet"],
        typer.Option(help="Format of the sources."),
    ] = "auto",
    detector: Annotated[
        str | None, typer.Option(help="Detector of the data; the window comes from the data.")
    ] = None,
    signal: Annotated[
        bool | None, typer.Option("--signal/--bib", help="Class, where names do not say it.")
    ] = None,
    recenter: Annotated[
        bool, typer.Option("--recenter", help="Center the windows on the charge.")
    ] = False,
    slices: Annotated[bool, typer.Option(help="Keep the time slices.")] = True,
    tracks: Annotated[
        list[Path] | None, typer.Option(help="Track list of each PixelAV file, in their order.")
    ] = None,
    z_global: Annotated[
        float | None, typer.Option(help="z in mm, for LHC sets without that column.")
    ] = None,
    smear: Annotated[
        int | None,
        typer.Option(
            help="Add 30 and 60 ps arrival times made from the true one, with this seed.",
            min=0,
            max=2**63 - 1,
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Convert triples, TFRecord batches or PixelAV output to Parquet (or Parquet to triples)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from pixelsieve.detector import Detector
    from pixelsieve.formats.convert import convert as run
    from pixelsieve.formats.sources import ReadOptions

    console = Console(stderr=True)
    with Progress(
        TextColumn("files"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[clusters]:,} clusters"),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("files", total=None, clusters=0)
        result = run(
            sources,
            out,
            to=to,
            source_format=None if format == "auto" else format,
            options=ReadOptions(
                detector=Detector.preset(detector) if detector else None,
                signal=signal,
                tracks=tuple(tracks or ()),
                z_global_mm=z_global,
                slices=slices,
            ),
            centered=recenter,
            smear_seed=smear,
            on_part=lambda begun, files, clusters: progress.update(
                bar, completed=begun, total=files, clusters=clusters
            ),
        )
    if json:
        options.print_json(result)
        return
    rows, columns = result.window
    typer.echo(
        f"{result.out}: {result.clusters} clusters ({result.signal} signal, {result.bib} BIB) "
        f"from {result.sources} {result.source_format} files; {result.detector}, "
        f"{rows} x {columns} pixels, {result.time_slices} time slices"
    )
    if to == "parquet" and not result.has_group_id:
        typer.echo("no group_id: splits will go by a hash of the pixel charges")
