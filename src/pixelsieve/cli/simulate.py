"""`pixelsieve simulate`: clusters from nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from pixelsieve.cli import options
from pixelsieve.core.errors import ConfigError


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
    from pixelsieve.cli.progress import ClusterProgress
    from pixelsieve.core.config import read_toml
    from pixelsieve.core.workers import default_workers
    from pixelsieve.simulation.generate import sample_from_mapping
    from pixelsieve.studies.simulate import simulate as run_simulation

    table = read_toml(config) if config else {}
    where = str(config) if config else "simulate"
    for key in ("n_signal", "n_bib", "seed"):
        if key in table:
            msg = f"{where}: '{key}' belongs on the command line; take it out"
            raise ConfigError(msg)
    if detector is not None and "detector" in table:
        msg = f"{where}: has a detector, and so has --detector; give one of them"
        raise ConfigError(msg)
    if scheduler is not None and workers is not None:
        msg = "--workers: counts threads here; leave it out with --scheduler"
        raise ConfigError(msg)
    for key, name, value in (("ionization", "mode", mode), ("transport", "n_slices", slices)):
        if value is not None:
            if not isinstance(table.setdefault(key, {}), dict):
                msg = f"{where}: '{key}' is {table[key]!r}; expected a table"
                raise ConfigError(msg)
            table[key] = {**table[key], name: value}
    sample = sample_from_mapping(
        table, where, detector=detector, n_signal=signal, n_bib=bib, seed=seed
    )
    start = time.monotonic()
    with ClusterProgress("simulated", len(sample)) as progress:
        summary = run_simulation(
            sample,
            out,
            workers=workers or default_workers(),
            scheduler=scheduler,
            on_chunk=progress.on_clusters,
        )
    made, seconds = summary["new"], time.monotonic() - start
    what = f"{made} new in {seconds:.1f} s" if made else "all there already"
    line = f"{out}: {signal} signal and {bib} BIB clusters, seed {seed} ({what})"
    options.answer(summary if json else None, line)
