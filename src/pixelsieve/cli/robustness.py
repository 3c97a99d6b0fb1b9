"""`pixelsieve robustness`: a frozen threshold on detectors that are not what they were."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixelsieve.cli import options
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.runs import RunFolder

if TYPE_CHECKING:
    from pixelsieve.formats.dataset import Dataset
    from pixelsieve.networks.model_file import Model


@options.shows_errors(interrupted="interrupted")
def robustness(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    data: options.Data,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model of the run, or approach (sieve_4b: all its seeds); may be repeated "
            "(default: the quantized one that is best on validation)."
        ),
    ] = None,
    variations: Annotated[
        Path | None,
        typer.Option(help="TOML file of what to vary (docs/robustness.md).", dir_okay=False),
    ] = None,
    other: Annotated[
        list[str] | None,
        typer.Option(help="Another sample, behind the same front end.", metavar="LABEL=FILES"),
    ] = None,
    efficiency: Annotated[
        float, typer.Option(help="Signal efficiency of the threshold, on the validation split.")
    ] = 0.98,
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="Split to measure on.")
    ] = "test",
    simulated: Annotated[
        int, typer.Option(help="Clusters to simulate for each changed sensor (0: none).", min=0)
    ] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulated clusters.", min=0)] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write (default: RUN/robustness).", file_okay=False),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="One-threaded worker processes (default: 1, this process).", min=1),
    ] = None,
    scheduler: options.Scheduler = None,
    json: options.Json = False,
) -> None:
    """Measure how signal efficiency and rejection move when the detector changes.

    The threshold is set on the validation split behind the model's own front end, and stays, as on
    the chip. Front ends change on the given clusters, sensors on pairs of simulated ones. Writes
    robustness.json and a figure.
    """
    from pixelsieve.cli.progress import StepProgress
    from pixelsieve.core.files import require_writable, telling_unwritable, write_json
    from pixelsieve.reporting import figures
    from pixelsieve.reporting.tables import robustness_tables
    from pixelsieve.studies.models import approaches_of
    from pixelsieve.studies.robustness import RobustnessSettings
    from pixelsieve.studies.robustness import robustness as measure
    from pixelsieve.studies.robustness_plan import read_variations

    options.require_efficiency(efficiency)
    options.require_one(workers, scheduler)
    others = _others(other or [])
    wanted = None if variations is None else read_variations(variations)
    approaches = approaches_of(run, model or [])
    folder = out or RunFolder(run).robustness.parent
    require_writable(folder, folder)
    given = options.load(data, whole=False)
    samples = {label: options.load(files, whole=False) for label, files in others.items()}
    _warn(run, approaches, {"--data": given, **samples})
    settings = RobustnessSettings(efficiency, split, wanted, str(variations), simulated, seed)
    with StepProgress("variations") as progress:
        result = measure(
            approaches,
            given,
            samples,
            settings,
            partial(progress.on_step, "variations"),
            workers=workers or 1,
            scheduler=scheduler,
        )
    with telling_unwritable(folder, "choose another --out"):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / RunFolder(run).robustness.name, result)
        figures.robustness(result, folder / "robustness")
    left_out = (f"left out: {reason}" for reason in result.left_out)
    tables = robustness_tables(result)
    options.answer(result if json else None, *tables, *left_out, f"-> {folder}")


def _others(given: list[str]) -> dict[str, list[str]]:
    """Patterns by label, from LABEL=FILES."""
    found: dict[str, list[str]] = {}
    for text in given:
        label, equals, files = text.partition("=")
        if not (label and equals and files):
            msg = f"--other: {text!r}; expected LABEL=FILES, e.g. simB='simB_*.parquet'"
            raise ConfigError(msg)
        found.setdefault(label, []).append(files)
    return found


def _warn(run: Path, approaches: dict[str, list[Model]], read: dict[str, Dataset]) -> None:
    """Say where the threshold is not that of the run's own data or detector."""
    from pixelsieve.core.files import read_json
    from pixelsieve.studies.evaluate import constants_that_differ

    models = [model for every in approaches.values() for model in every]
    for label, dataset in read.items():
        if differing := constants_that_differ(models[0], dataset.detector):
            told = "; ".join(differing)
            options.warn(f"{models[0].origin}: trained on another detector than {label}'s: {told}")
    manifest = RunFolder(run).manifest
    said = read_json(manifest) if manifest.is_file() else {}
    trained = said.get("config", {}).get("data") if isinstance(said, dict) else None
    hashes = set(trained.values()) if isinstance(trained, dict) else set()
    if hashes and hashes.isdisjoint(read["--data"].files.values()):
        options.warn(f"{run}: trained on other files than --data, which the threshold is set on")
