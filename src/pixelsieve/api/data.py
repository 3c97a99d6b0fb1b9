"""Clusters into Python: read, simulated, converted, inspected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pixelsieve.api.arguments import (
    Place,
    folder_for,
    front_end_of,
    number_of_workers,
    public,
    table_of,
    warn,
)
from pixelsieve.api.progress import Bars, ClusterProgress
from pixelsieve.core.errors import ConfigError
from pixelsieve.core.files import telling_unwritable, write_json
from pixelsieve.core.workers import Scheduler
from pixelsieve.data.clusters import Clusters
from pixelsieve.data.detector import Detector
from pixelsieve.display.axes import figure
from pixelsieve.display.shown import Shown, ShowsTable, one_line
from pixelsieve.display.spec import Table
from pixelsieve.features import statement
from pixelsieve.formats import tables
from pixelsieve.formats.convert import Conversion
from pixelsieve.formats.convert import convert as convert_clusters
from pixelsieve.formats.dataset import Dataset, TestFrom, open_dataset, splits_by_name
from pixelsieve.formats.labels import doubtful_units
from pixelsieve.formats.sources import Format, ReadOptions, find_files, incomplete_samples
from pixelsieve.front_end import FrontEnd
from pixelsieve.importing.convert import ImportOptions, ImportReport
from pixelsieve.importing.convert import convert_model as import_into
from pixelsieve.importing.stored import SUFFIXES
from pixelsieve.networks.model_file import Model, load_model
from pixelsieve.reporting import figures
from pixelsieve.reporting.tables import (
    distribution_charts,
    import_table,
    inspection_lines,
    inspection_tables,
)
from pixelsieve.studies.inspect import Inspection, identical_slices, inspect_parts


@public
def load(
    paths: Place | Sequence[Place],
    front_end: FrontEnd | Place | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    test_from: TestFrom | None = None,
    same_clusters: bool = False,
) -> Dataset:
    """Find clusters in files and how they are split; they are read when they are asked for.

    `paths` are Parquet or ROOT files (`FILE.root:tree` if there are several trees), folders or
    patterns, one or several. `front_end` is a chip's, or a TOML file of it. `columns` are the names
    that the files have for columns of ours. `test_from` takes a test split from "validation" or
    "train", by particle group, if the files name none. Warn of missing files and, when the clusters
    are read, of doubtful units and of files that hold the same clusters, which training refuses
    unless `same_clusters`. Raise `DataError` for files that cannot be used.

    Examples
    --------
    >>> data = ps.load("clusters.parquet")
    >>> data
    Dataset(1 file, not read yet; split by hash of group_id)
    """
    patterns = [paths] if isinstance(paths, str | Path) else list(paths)
    if not patterns:
        msg = "--paths: empty; expected files, folders or patterns"
        raise ConfigError(msg)
    said: list[str] = []
    repeated: list[str] = []

    def warn_of_units(clusters: Clusters) -> None:
        if not said:
            said.extend(doubtful_units([clusters]))
            for text in said:
                warn(text)

    def warn_of_repeats(read: Dataset) -> None:
        if not same_clusters and not repeated and (line := read.repeated):
            repeated.append(line)
            warn(f"{line}; they count twice in figures of merit and their intervals")

    data = open_dataset(
        patterns,
        front_end_of(front_end),
        on_stretch=warn_of_units,
        columns=columns or {},
        test_from=test_from,
    )
    data = replace(data, same_clusters=same_clusters, on_pass=warn_of_repeats)
    files = find_files(patterns)
    for text in () if splits_by_name(files) else incomplete_samples(files):
        warn(text)
    return data


def dataset_of(data: object) -> Dataset:
    """Return the data set, that of a file, folder or pattern if it is a path."""
    if isinstance(data, str | Path):
        return load(data)
    if not isinstance(data, Dataset):
        msg = f"--data is a {type(data).__name__}; expected a Dataset, such as ps.load gives"
        raise ConfigError(msg)
    return data


@public
def simulate(
    signal: int = 50_000,
    bib: int = 50_000,
    *,
    seed: int = 0,
    config: Place | Mapping[str, Any] | None = None,
    detector: str | Detector | None = None,
    mode: Literal["sample", "physical"] | None = None,
    slices: int | None = None,
    front_end: FrontEnd | Place | None = None,
    out: Place | None = None,
    workers: int | None = None,
    scheduler: Scheduler | None = None,
    progress: bool = True,
) -> Dataset:
    """Simulate labelled clusters and return them as `load` does.

    `config` are tables `detector`, `ionization`, `transport`, `gun`, `bib`, or a TOML file of
    them; `detector` is one, or a preset's name, `slices` a number of time slices of 200 ps. The
    clusters go to `out` (a file ending in .parquet, or a folder), where the same call resumes an
    interrupted one; without it they are kept until this process ends. The same seed gives the same
    clusters on any number of `workers`, threads of this machine. Raise `ConfigError` for settings
    that cannot be.

    Examples
    --------
    >>> made = ps.simulate(signal=300, bib=300, seed=1)
    >>> len(made.train) + len(made.validation) + len(made.test)
    600
    """
    place = folder_for(None) / "clusters.parquet" if out is None else Path(out)
    simulate_into(
        place,
        signal,
        bib,
        seed=seed,
        config=config,
        detector=detector,
        mode=mode,
        slices=slices,
        workers=workers,
        scheduler=scheduler,
        progress=progress,
    )
    return load(place, front_end)


def simulate_into(
    out: Path,
    signal: int,
    bib: int,
    *,
    seed: int,
    config: Place | Mapping[str, Any] | None,
    detector: str | Detector | None,
    mode: Literal["sample", "physical"] | None,
    slices: int | None,
    workers: int | None,
    scheduler: Scheduler | None,
    progress: bool,
) -> dict[str, int]:
    """Simulate as `simulate` does; return how many clusters there are and how many are new."""
    from pixelsieve.simulation.generate import sample_from_mapping
    from pixelsieve.studies.simulate import simulate as run

    table = table_of(config)
    where = str(config) if isinstance(config, str | Path) else "simulate"
    for key in ("n_signal", "n_bib", "seed"):
        if key in table:
            option = f"--{key.removeprefix('n_')}"
            msg = f"{where}: '{key}' is not for --config; take it out and give {option}"
            raise ConfigError(msg)
    if detector is not None and "detector" in table:
        msg = f"{where}: has a detector, and so has --detector; give one of them"
        raise ConfigError(msg)
    number = number_of_workers(workers, scheduler)
    for key, name, value in (("ionization", "mode", mode), ("transport", "n_slices", slices)):
        if value is not None:
            if not isinstance(table.setdefault(key, {}), dict):
                msg = f"{where}: '{key}' is {table[key]!r}; expected a table"
                raise ConfigError(msg)
            table[key] = {**table[key], name: value}
    sample = sample_from_mapping(
        table, where, detector=detector, n_signal=signal, n_bib=bib, seed=seed
    )
    with ClusterProgress("simulated", len(sample), shown=progress) as bars:
        return run(sample, out, workers=number, scheduler=scheduler, on_chunk=bars.on_clusters)


@public
def convert(
    sources: Place | Sequence[Place],
    out: Place,
    *,
    to: Literal["parquet", "triples"] = "parquet",
    source_format: Format | None = None,
    detector: str | Detector | None = None,
    signal: bool | None = None,
    recenter: bool = False,
    slices: bool = True,
    tracks: Sequence[Place] = (),
    z_global: float | None = None,
    tree: str | None = None,
    columns: Mapping[str, str] | None = None,
    smear: int | None = None,
    progress: bool = True,
) -> Conversion:
    """Convert clusters of other formats to Parquet, or any to triples; return what was written.

    `sources` are files, folders or patterns of one format, by their names unless `source_format`
    says it. `signal` is the class if no name says it, `z_global` (mm) that of sets without the
    column, `tracks` the track lists of PixelAV files in their order; `tree` is that of
    ROOT files, `columns` the names that they have for columns of ours. `recenter` centres the
    windows on the charge, `smear` adds arrival times of 30 and 60 ps with that seed. Raise
    `DataError` for what cannot be read, `RunError` if `out` exists.

    Examples
    --------
    >>> made = ps.convert("clusters.parquet", "triples", to="triples")
    >>> ps.convert("triples", "same.parquet").clusters
    1600
    """
    several = [sources] if isinstance(sources, str | Path) else list(sources)
    with Bars(shown=progress) as bars:
        bar = bars.add("files")
        return convert_clusters(
            several,
            Path(out),
            to=to,
            source_format=source_format,
            options=ReadOptions(
                detector=Detector.preset(detector) if isinstance(detector, str) else detector,
                signal=signal,
                tracks=tuple(map(Path, tracks)),
                z_global_mm=z_global,
                slices=slices,
                tree=tree,
                columns=columns or {},
            ),
            centered=recenter,
            smear_seed=smear,
            on_part=lambda begun, files, clusters: bars.update(
                bar, completed=begun, total=files, text=f"{clusters:,} clusters"
            ),
        )


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class ImportedModel(Model, ShowsTable):
    """A model of another tool, with the report of how each part of its file was taken.

    Examples
    --------
    >>> taken = ps.convert_model("model.h5")  # doctest: +SKIP
    >>> print(taken.table())  # doctest: +SKIP
    """

    report: ImportReport

    def table(self) -> Shown:
        """Return what became of each layer and variable."""
        return Shown(import_table(self.report))

    def parts(self) -> list[Table | str]:
        """Return what the command line shows."""
        report = self.report
        layers = sum(row.what == "layer" for row in report.rows)
        variables = sum(row.what == "variable" for row in report.rows)
        return [
            import_table(report),
            *(f"note: {note}" for note in report.notes),
            f"network: {report.network}; {report.parameters} parameters; {report.precision}",
            *([f"inputs, as stated: {', '.join(report.scaling)}"] if report.scaling else []),
            *([f"inputs, assumed: {', '.join(report.assumed)}"] if report.assumed else []),
            f"all of {layers} layers and {variables} variables accounted for -> {self.path}",
        ]


@public
def convert_model(
    source: Place,
    out: Place | None = None,
    *,
    features: str | Sequence[str] | None = None,
    network: str | None = None,
    architecture: Place | None = None,
    input_bits: int | None = None,
    mirror_x: bool = False,
    divide: str | Sequence[str] | Mapping[str, float] | None = None,
    scaling: Place | Mapping[str, Any] | None = None,
) -> ImportedModel:
    """Read a model of Keras or QKeras (.h5, .keras) exactly, or say why not.

    `features` are its inputs in their order (default: by their names), `network` one whose layer
    names are taken, `input_bits` those of inputs that the file does not round. A file of weights
    alone has its network in `architecture`, a JSON file (`to_json` of Keras), or is the float one
    that `network` names. `divide` are the numbers that its features were divided by in training,
    `scaling` the field's records that it was trained on (`field`, `field-normalized`,
    `field-one-log`), a TOML file or such a table; of features that neither names pixelsieve's own
    scaling is assumed, with a warning. `out` is a run
    folder or a file ending in .keras; without it the model is kept until this process ends. Raise
    `ConfigError` for whatever has no exact counterpart.

    Examples
    --------
    >>> study.models("float")[0].keras_model().save("elsewhere.keras")
    >>> scaling = {"x_size": 32, "y_size": 16, "z_global": 65, "y_local": 8.5}
    >>> ps.convert_model("elsewhere.keras", scaling=scaling)
    Model(elsewhere; ...)
    """
    several = features.split(",") if isinstance(features, str) else features
    names = None if several is None else tuple(name.strip() for name in several)
    stated = statement(divide, scaling)
    design = None if architecture is None else str(architecture)
    chosen = ImportOptions(names, network, input_bits, mirror_x, stated, design)
    place = folder_for(None) / f"{Path(source).stem}.keras" if out is None else Path(out)
    path, report = import_into(Path(source), place, chosen)
    if report.assumed:
        warn(
            f"{source}: nothing says how these inputs were scaled, so assumed: "
            f"{', '.join(report.assumed)}; state them with --divide or --scaling"
        )
    model = load_model(path)
    named = {f: getattr(model, f) for f in Model.__dataclass_fields__}
    return ImportedModel(**named, report=report)


def is_model(sources: Sequence[str]) -> bool:
    """Return whether that is one model file; raise `ConfigError` for one among several."""
    models = [s for s in sources if Path(s).suffix.lower() in SUFFIXES]
    if models and len(sources) > 1:
        msg = f"{models[0]}: models are converted one at a time; expected it alone"
        raise ConfigError(msg)
    return bool(models)


@dataclass(frozen=True, slots=True, repr=False)
class Inspected(ShowsTable):
    """A description of a data set: `inspection` holds every number of inspection.json.

    Examples
    --------
    >>> found = ps.inspect(data)
    >>> found.inspection.splits["test"].clusters
    238
    """

    inspection: Inspection

    def table(self) -> Shown:
        """Return the number of clusters by split and class."""
        return Shown(inspection_tables(self.inspection)[0])

    def parts(self) -> list[Table | str]:
        """Return what the command line shows."""
        return [*inspection_lines(self.inspection), *inspection_tables(self.inspection)]

    def write(self, out: Place) -> Path:
        """Write inspection.json and figures into a folder; return it."""
        folder = Path(out)
        with telling_unwritable(folder, "choose another --out"):
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "inspection.json", self.inspection)
            charts = distribution_charts(self.inspection.distributions)
            figure(charts, folder / "distributions", columns=4, size=(3.8, 3.2))
            figures.event_display(self.inspection.displays, folder / "event_display")
        return folder

    def __repr__(self) -> str:
        found = self.inspection
        sizes = ", ".join(f"{name} {one.clusters}" for name, one in found.splits.items())
        return one_line("Inspected", sizes, f"split by {found.split_by}", *found.notes)


@public
def inspect(
    data: Dataset | Clusters | Place | Sequence[Place],
    front_end: FrontEnd | Place | None = None,
    *,
    events: int = 3,
    out: Place | None = None,
) -> Inspected:
    """Describe clusters: counts, splits, overlaps, features; `events` of each class drawn.

    A file without splits or of one class will do. Splits, overlaps and counts are of the collected
    charge, the rest of what the front end reads out. `out` is a folder for inspection.json and
    figures.

    Examples
    --------
    >>> ps.inspect("clusters.parquet")
    Inspected(train 1116, validation 246, test 238; split by hash of group_id)
    """
    chosen = front_end_of(front_end)
    notes: list[str] = []
    if isinstance(data, Clusters):
        data = Dataset.of({"all": data}, "nothing")
    if isinstance(data, Dataset):
        found, provenance = data.as_collected(), {}
        chosen = chosen or data.front_end
    else:
        patterns = [data] if isinstance(data, str | Path) else list(data)
        found = load(patterns).as_collected()
        files = find_files(patterns)
        notes = [
            f"{table.path}: {line}"
            for table in map(tables.Table, files)
            if table.has_slices() and (line := identical_slices(table.iterate(slices=True)))
        ]
        provenance = {p.name: said for p in files if (said := tables.Table(p).provenance())}
    inspected = Inspected(inspect_parts(found.hold(), chosen, provenance, events, notes))
    if out is not None:
        inspected.write(out)
    return inspected
