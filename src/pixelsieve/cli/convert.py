"""`pixelsieve convert`: other formats to Parquet and back, and models of other tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from pixelsieve.cli import options
from pixelsieve.core.config import to_plain
from pixelsieve.core.errors import ConfigError


@options.shows_errors(interrupted="interrupted; nothing was written")
def convert(
    sources: Annotated[
        list[str],
        typer.Argument(help="Files, folders or quoted patterns of one format; or one model file."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Parquet file, or new folder for triples; run folder or .keras file."),
    ],
    *,
    to: Annotated[Literal["parquet", "triples"], typer.Option(help="Format to write.")] = "parquet",
    format: Annotated[
        Literal["auto", "triples", "tfrecord", "pixelav", "parquet", "root"],
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
    tree: Annotated[
        str | None, typer.Option(help="Tree of ROOT files with several (or FILE.root:TREE).")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=THEIRS",
            help="Column of ROOT or Parquet files by another name, e.g. z_global_mm=cluster_z.",
        ),
    ] = None,
    smear: Annotated[
        int | None,
        typer.Option(
            help="Add 30 and 60 ps arrival times made from the true one, with this seed.",
            min=0,
            max=2**63 - 1,
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Models: what the inputs are, in their order (default: by their names)."),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Models: require this network and take its layer names.")
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="Models: JSON file of the network, for a file of weights alone.", metavar="FILE"
        ),
    ] = None,
    input_bits: Annotated[
        int | None, typer.Option(help="Models: bits of the inputs, where the file rounds none.")
    ] = None,
    mirror_x: Annotated[
        bool, typer.Option("--mirror-x", help="Models: trained with x mirrored where z < 0.")
    ] = False,
    divide: Annotated[
        list[str] | None,
        typer.Option(
            help="Models: what features were divided by, e.g. x_size=21,y_size=13.",
            metavar="FEATURE=NUMBER",
        ),
    ] = None,
    scaling: Annotated[
        str | None,
        typer.Option(
            help="Models: records trained on (field, field-normalized, field-one-log), or TOML.",
            metavar="NAME|FILE",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Convert triples, TFRecord, PixelAV or flat ROOT files to Parquet (or Parquet to triples).

    A model of Keras or QKeras (.h5, .keras) becomes a model of pixelsieve (docs/import.md).
    """
    for_models = {
        "--features": features,
        "--network": network,
        "--architecture": architecture,
        "--input-bits": input_bits,
        "--mirror-x": mirror_x or None,
        "--divide": divide or None,
        "--scaling": scaling,
    }
    for_clusters = {
        "--to": None if to == "parquet" else to,
        "--format": None if format == "auto" else format,
        "--detector": detector,
        "--signal/--bib": signal,
        "--recenter": recenter or None,
        "--no-slices": None if slices else False,
        "--tracks": tracks or None,
        "--z-global": z_global,
        "--tree": tree,
        "--column": column or None,
        "--smear": smear,
    }
    from pixelsieve.api.data import convert as run
    from pixelsieve.api.data import convert_model, is_model

    if is_model(sources):
        _refuse(for_clusters, "for clusters, not for models")
        model = convert_model(
            sources[0],
            out,
            features=features,
            network=network,
            architecture=architecture,
            input_bits=input_bits,
            mirror_x=mirror_x,
            divide=divide,
            scaling=scaling,
        )
        plain = {"model": str(model.path), **to_plain(model.report)} if json else None
        options.answer(plain, *model.parts())
        return
    _refuse(for_models, "for models (.h5, .keras), not for clusters")
    result = run(
        sources,
        out,
        to=to,
        source_format=None if format == "auto" else format,
        detector=detector,
        signal=signal,
        recenter=recenter,
        slices=slices,
        tracks=tracks or (),
        z_global=z_global,
        tree=tree,
        columns=_columns(column or ()),
        smear=smear,
    )
    rows, columns = result.window
    no_groups = "no group_id: splits will go by a hash of the pixel charges"
    options.answer(
        result if json else None,
        f"{result.out}: {result.clusters} clusters ({result.signal} signal, {result.bib} BIB) "
        f"from {result.sources} {result.source_format} files; {result.detector}, "
        f"{rows} x {columns} pixels, {result.time_slices} time slices",
        *(f"note: {note}" for note in result.notes),
        *([no_groups] if to == "parquet" and not result.has_group_id else []),
    )


def _columns(given: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, theirs = text.partition("=")
        if not (name and equals and theirs) or name in found:
            msg = f"--column: {text!r}; expected NAME=THEIRS, each NAME once, e.g. "
            raise ConfigError(msg + "z_global_mm=cluster_z")
        found[name] = theirs
    return found


def _refuse(given: Mapping[str, object], why: str) -> None:
    wrong = [option for option, value in given.items() if value is not None]
    if wrong:
        msg = f"{', '.join(wrong)}: {why}"
        raise ConfigError(msg)
