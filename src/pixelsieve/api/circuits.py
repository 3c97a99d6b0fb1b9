"""A quantized model as verified Verilog or an HLS project, and what it costs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pixelsieve.api.arguments import (
    Place,
    folder_for,
    model_of,
    public,
    require_efficiency,
    warn,
    warn_of_assumed_scaling,
)
from pixelsieve.api.data import dataset_of
from pixelsieve.api.progress import Bars
from pixelsieve.core.config import Document, to_plain
from pixelsieve.core.errors import ConfigError, GuaranteeError
from pixelsieve.core.files import new_folder, telling_unwritable
from pixelsieve.core.programs import VERILATOR, find
from pixelsieve.data.clusters import Clusters
from pixelsieve.display.shown import Shown, ShowsTable, one_line
from pixelsieve.display.spec import Table
from pixelsieve.formats.dataset import Dataset
from pixelsieve.hardware import hls
from pixelsieve.hardware.hls import HandOver
from pixelsieve.hardware.hls_project import HlsSettings
from pixelsieve.hardware.job import Extras, FirmwareResult, make_firmware
from pixelsieve.hardware.ports import Timing
from pixelsieve.hardware.resources import Resources, resources_of_run
from pixelsieve.hardware.synthesis import Measure, Settings
from pixelsieve.hardware.testbench import vectors
from pixelsieve.hardware.vendor_reports import VendorReport, import_reports
from pixelsieve.integer.network import from_model
from pixelsieve.metrics.threshold import choose_threshold
from pixelsieve.networks.model_file import Model
from pixelsieve.reporting.firmware_table import (
    firmware_tables,
    hand_over_table,
    resources_table,
    vendor_table,
)
from pixelsieve.studies.evaluate import constants_that_differ


class Firmware(ShowsTable):
    """Verilog of a model that gives bit for bit its answers, with test bench and costs.

    `result` holds every number of verification.json, `folder` the files.

    Examples
    --------
    >>> chip.passed, chip.clusters
    (True, 238)
    >>> "sieve_4b_seed0.v" in chip.verilog
    True
    >>> chip.write("chip")
    PosixPath('chip')
    """

    def __init__(self, result: FirmwareResult) -> None:
        self.result = result

    @property
    def folder(self) -> Path:
        """The folder with Verilog, test bench, README and verification.json."""
        return self.result.folder

    @property
    def passed(self) -> bool:
        """Whether Keras, the integer program and all that was simulated agreed."""
        return self.result.passed

    @property
    def clusters(self) -> int:
        """Number of clusters that were compared."""
        return self.result.verification.clusters

    @property
    def verilog(self) -> dict[str, str]:
        """The text of each Verilog file by name."""
        return dict(self.result.design.files)

    @property
    def lut_estimate(self) -> float:
        """LUTs by alkaid's estimate."""
        return self.result.design.lut_estimate

    @property
    def luts(self) -> int | None:
        """LUTs counted by Yosys; None if it was not asked for them or did not finish."""
        return next((one.luts.total for one in self.result.synthesis if one.luts), None)

    def table(self) -> Shown:
        """Return what was built."""
        return Shown(firmware_tables(self.result)[0])

    def parts(self) -> list[Table | str]:
        """Return the tables and lines that the command line prints."""
        return [*firmware_tables(self.result), f"-> {self.folder}"]

    def write(self, out: Place) -> Path:
        """Copy all files into a new folder; return it. Raise `RunError` if it is there."""
        target = Path(out)
        with telling_unwritable(target), new_folder(target) as folder:
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return target

    def __repr__(self) -> str:
        one = self.result.design
        counted = [] if self.luts is None else [f"{self.luts} LUTs (counted)"]
        return one_line(
            "Firmware",
            "passed" if self.passed else "failed",
            *counted,
            f"{one.lut_estimate:.0f} LUTs (estimate)",
            f"{one.latency} clocks" if one.latency else "combinational",
            str(self.folder),
        )


class DifferingError(GuaranteeError):
    """Forms of a network that do not give the same answers; `made` shows which."""

    def __init__(self, message: str, made: Firmware | HlsProject) -> None:
        super().__init__(message)
        self.made = made


@dataclass(frozen=True, slots=True)
class _Subject:
    """A quantized model with the splits as it saw them in training."""

    model: Model
    parts: dict[str, Clusters]


def _subject(model: Model | Place, data: Dataset | Place, efficiency: float) -> _Subject:
    require_efficiency(efficiency)
    model = model_of(model)
    if model.precision is None:
        msg = f"{model.origin}: a float network; firmware needs a quantized one (train with --bits)"
        raise ConfigError(msg)
    warn_of_assumed_scaling(model)
    parts = dataset_of(data).through(model.card.front_end).parts
    if differing := constants_that_differ(model, parts["test"].detector):
        told = "; ".join(differing)
        warn(f"{model.origin}: trained on another detector than the data's: {told}")
    return _Subject(model, parts)


@public
def firmware(
    model: Model | Place,
    data: Dataset | Place,
    efficiency: float = 0.98,
    *,
    stages: int | None = None,
    clock_ns: float | None = None,
    pixels: bool = False,
    luts: bool = False,
    gates: bool = False,
    time_limit: float = 600.0,
    memory_limit: float = 4.0,
    bit_flips: bool = False,
    vhdl: bool = False,
    out: Place | None = None,
    jobs: int = 2,
    progress: bool = True,
) -> Firmware:
    """Write a quantized model as Verilog and check that it gives bit for bit the same answers.

    Keras, the integer program and the Verilog in Verilator are compared on the test split and on
    corner vectors. The threshold of the keep bit keeps `efficiency` of the signal on the
    validation split. `stages` or `clock_ns` make a pipeline, `pixels` a circuit from the ADC's
    codes on; `luts` and `gates` are counted by Yosys within `time_limit` (s) and `memory_limit`
    (GiB); `bit_flips` studies flips of stored weights, `vhdl` adds VHDL. The folder is `out`, or
    one that is kept until this process ends; `jobs` compilers run side by side. Raise
    `GuaranteeError` if a check does not hold, `ConfigError` for a float model.

    Examples
    --------
    >>> chip = ps.firmware(model, data, efficiency=0.95)
    >>> chip
    Firmware(passed; ... LUTs (estimate); combinational; ...)
    """
    require_efficiency(efficiency)
    find(VERILATOR)  # says at once what is missing
    wanted: dict[Measure, bool] = {"luts": luts, "gates": gates}
    measures = tuple(name for name, asked in wanted.items() if asked)
    settings = Settings(time_limit_s=time_limit, memory_limit_gib=memory_limit)
    timing = Timing(stages, clock_ns)
    of = _subject(model, data, efficiency)
    front_end = of.model.card.front_end
    with Bars(shown=progress) as bars:
        made = make_firmware(
            of.model,
            of.parts["validation"],
            of.parts["test"],
            folder_for(None) / of.model.name if out is None else Path(out),
            efficiency=efficiency,
            timing=timing,
            extras=Extras(measures, settings, bit_flips, vhdl, pixels=pixels, front_end=front_end),
            jobs=jobs,
            on_step=bars.step,
            on_flip=bars.tenths("bit flips"),
        )
    if not made.passed:
        raise DifferingError(_difference(made), Firmware(made))
    return Firmware(made)


def _difference(result: FirmwareResult) -> str:
    checked, first = result.verification, result.verification.first
    wrong = dict(checked.mismatches)
    for check in (result.netlist, result.vhdl):
        wrong |= check.mismatches if check else {}
    counts = ", ".join(f"{stage} {n}" for stage, n in wrong.items() if n)
    text = f"{result.model}: mismatches: {counts or 'none'}"
    if first is not None:
        text += (
            f"; first: {first.of}, vector {first.vector}, {first.stage}: {first.got} instead of "
            f"{first.expected}"
        )
    if checked.latency != checked.latency_stated:
        text += f"; latency {checked.latency} clocks, stated {checked.latency_stated}"
    return f"{text}; layer by layer in {result.folder / 'verification.json'}"


class HlsProject(ShowsTable):
    """An hls4ml project of a model, with what its C simulation gave.

    Examples
    --------
    >>> project = ps.hand_over(model, data)  # doctest: +SKIP
    >>> project.passed  # doctest: +SKIP
    True
    """

    def __init__(self, result: HandOver) -> None:
        self.result = result

    @property
    def folder(self) -> Path:
        """The folder of the project."""
        return self.result.folder

    @property
    def passed(self) -> bool:
        """Whether the C simulation gives the answers of the integer program."""
        return self.result.passed

    @property
    def clusters(self) -> int:
        """Number of clusters that were compared."""
        return self.result.clusters

    def table(self) -> Shown:
        """Return what was compared."""
        return Shown(hand_over_table(self.result))

    def parts(self) -> list[Table | str]:
        """Return the tables and lines that the command line prints."""
        return [hand_over_table(self.result), f"-> {self.folder}"]

    def __repr__(self) -> str:
        one = self.result
        told = f"{one.mismatches} mismatches in {one.vectors} vectors"
        return one_line("HlsProject", one.project.settings.backend, told, str(one.folder))


@public
def hand_over(
    model: Model | Place,
    data: Dataset | Place,
    backend: Literal["vitis", "catapult"] = "vitis",
    efficiency: float = 0.98,
    *,
    part: str | None = None,
    reuse_factor: int = 1,
    clock_ns: float | None = None,
    out: Place | None = None,
    progress: bool = True,
) -> HlsProject:
    """Write a quantized model as an hls4ml project and check its C simulation.

    `part` is an FPGA or an ASIC library, `clock_ns` the target. Raise `GuaranteeError` if its
    answers are not those of the integer program.

    Examples
    --------
    >>> ps.hand_over(model, data, "vitis", out="vitis")  # doctest: +SKIP
    HlsProject(Vitis; 0 mismatches in 348 vectors; vitis)
    """
    settings = HlsSettings("Vitis" if backend == "vitis" else "Catapult", part=part)
    settings = replace(settings, reuse_factor=reuse_factor)
    if clock_ns is not None:
        settings = replace(settings, clock_ns=clock_ns)
    of = _subject(model, data, efficiency)
    network, validation = from_model(of.model, of.model.name), of.parts["validation"]
    test = network.features.table(of.parts["test"])
    validation.require_both_classes()
    logits = network.run(network.codes(validation))
    with Bars(shown=progress) as bars:
        found = hls.hand_over(
            of.model,
            network,
            vectors(network, network.input_codes(test), features=test),
            folder_for(None) / of.model.name if out is None else Path(out),
            settings,
            threshold=choose_threshold(logits, validation.signal, efficiency).code,
            on_step=bars.step,
        )
    project = HlsProject(found)
    if not found.passed:
        place = f"layer by layer in {project.folder / 'verification.json'}"
        msg = f"{of.model.origin}: C simulation: {found.mismatches} mismatches; {place}"
        raise DifferingError(msg, project)
    return project


@dataclass(frozen=True, slots=True, repr=False)
class Costs(ShowsTable):
    """Costs of the quantized models of runs, by run and model.

    Examples
    --------
    >>> costs = ps.resources("runs/first")
    >>> [one.model for _, one in costs.rows]
    ['sieve_4b_seed0', 'sieve_4b_seed1']
    """

    rows: tuple[tuple[Path, Resources], ...]

    def table(self) -> Shown:
        """Return LUTs, levels and register bits of each model."""
        return Shown(resources_table([(run.name, one) for run, one in self.rows]))

    def to_plain(self) -> list[Document]:
        """Return what `pixelsieve firmware --resources-only --json` prints."""
        return [{"run": str(run), **to_plain(one)} for run, one in self.rows]

    def __repr__(self) -> str:
        told = [f"{one.model} {one.lut_estimate:.0f} LUTs (estimate)" for _, one in self.rows]
        return one_line("Costs", f"{len(self.rows)} models", *told)


@public
def resources(
    runs: Place | Sequence[Place],
    model: str | None = None,
    *,
    stages: int | None = None,
    clock_ns: float | None = None,
    luts: bool = False,
    gates: bool = False,
    time_limit: float = 600.0,
    memory_limit: float = 4.0,
    progress: bool = True,
) -> Costs:
    """Measure all quantized models of run folders, or the one named; no data are needed.

    Arguments as in `firmware`. Raise `RunError` for a folder without models.

    Examples
    --------
    >>> ps.resources("runs/first", "sieve_4b_seed0")
    Costs(1 models; sieve_4b_seed0 ... LUTs (estimate))
    """
    wanted: dict[Measure, bool] = {"luts": luts, "gates": gates}
    measures = tuple(name for name, asked in wanted.items() if asked)
    settings = Settings(time_limit_s=time_limit, memory_limit_gib=memory_limit)
    several = [runs] if isinstance(runs, str | Path) else runs
    with Bars(shown=progress) as bars:
        return Costs(
            tuple(
                (Path(run), one)
                for run in several
                for one in resources_of_run(
                    Path(run),
                    model,
                    timing=Timing(stages, clock_ns),
                    measures=measures,
                    settings=settings,
                    on_model=bars.step,
                )
            )
        )


@dataclass(frozen=True, slots=True, repr=False)
class VendorReports(ShowsTable):
    """Reports of vendor tools that a run keeps.

    Examples
    --------
    >>> print(ps.import_report("runs/first", "csynth.xml").table())  # doctest: +SKIP
    """

    reports: tuple[VendorReport, ...]

    def table(self) -> Shown:
        """Return the figures of each report."""
        return Shown(vendor_table(self.reports))

    def __repr__(self) -> str:
        return one_line("VendorReports", *(f"{one.kind}: {one.file}" for one in self.reports))


@public
def import_report(
    run: Place, files: Place | Sequence[Place], model: str | None = None
) -> VendorReports:
    """Keep reports of Vitis HLS, Vivado or Catapult with a run; return all that it has.

    Examples
    --------
    >>> ps.import_report("runs/first", "csynth.xml", model="sieve_4b_seed0")  # doctest: +SKIP
    VendorReports(vitis: csynth.xml)
    """
    several = [files] if isinstance(files, str | Path) else list(files)
    name = model.removesuffix(".keras") if model else None
    return VendorReports(tuple(import_reports(Path(run), [Path(one) for one in several], name)))
