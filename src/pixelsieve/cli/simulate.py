"""`pixelsieve simulate`: clusters from nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from pixelsieve.cli import options


@options.shows_errors()
def simulate(
    out: Annotated[
        Path, typer.Option(help="File ending in .parquet, or a folder that gets one file a chunk.")
    ],
    signal: Annotated[int, typer.Option(help="Signal clusters (muons).", min=0)] = 50_000,
    bib: Annotated[int, typer.Option(help="Background clusters (BIB).", min=0)] = 50_000,
    seed: Annotated[int, typer.Option(help="Another seed, other clusters.", min=0)] = 0,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML: detector, ionization, transport, gun, bib.", dir_okay=False),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Preset: muon-collider-vxd or smart-pixel-lhc.")
    ] = None,
    mode: Annotated[
        Literal["sample", "physical"] | None,
        typer.Option(help="Ionization as the usual samples show it, or as soft electrons do."),
    ] = None,
    slices: Annotated[
        int | None, typer.Option(help="Time slices of 200 ps to record, e.g. 20.", min=0)
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Dask scheduler, tls://HOST:PORT (or tcp://, open to all who reach it; "
            "default: threads here).",
            metavar="ADDRESS",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Threads here (default: one a core).", min=1)
    ] = None,
    json: options.Json = False,
) -> None:
    """Simulate labelled clusters into Parquet that `inspect`, `compare` and `train` read.

    The same seed gives the same clusters on any number of workers. The same command goes on where
    an interrupted one stopped.
    """
    from pixelsieve.api.data import simulate_into

    start = time.monotonic()
    summary = simulate_into(
        out,
        signal,
        bib,
        seed=seed,
        config=config,
        detector=detector,
        mode=mode,
        slices=slices,
        workers=workers,
        scheduler=scheduler,
        progress=True,
    )
    made, seconds = summary["new"], time.monotonic() - start
    what = f"{made} new in {seconds:.1f} s" if made else "all there already"
    line = f"{out}: {signal} signal and {bib} BIB clusters, seed {seed} ({what})"
    options.answer(summary if json else None, line)
