"""Costs of a network on the chip: alkaid's estimate, and Yosys's counts if asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixelsieve.core.config import from_mapping
from pixelsieve.core.errors import (
    ConfigError,
    ConstantLogitError,
    DataError,
    RunError,
    ToolError,
)
from pixelsieve.core.files import read_kept, write_json
from pixelsieve.core.processes import scratch_folder
from pixelsieve.core.programs import YOSYS, Tool, find
from pixelsieve.core.runs import RunFolder
from pixelsieve.hardware.ports import Design, Timing
from pixelsieve.hardware.rtl import design, write_verilog
from pixelsieve.hardware.synthesis import (
    Measure,
    Settings,
    Synthesis,
    count,
)
from pixelsieve.integer.file import to_document
from pixelsieve.integer.network import IntegerNetwork, from_model
from pixelsieve.networks.model_file import pick_model, quantized_models

_SECONDS: dict[Measure, float] = {"luts": 0.005, "gates": 0.01}
_START_S = 2.0
"""Seconds of Yosys per LUT of alkaid's estimate, and to start."""

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Resources:
    """Costs of one network, each named by who gives it; nothing is a vendor's number.

    `weights` and `weights_not_zero` count kernels and biases. `lut_estimate`, `levels` (longest
    path in adders) and `register_bits` are alkaid's, for a pipeline of `latency` clocks (0:
    combinational); `synthesis` are Yosys's counts with their settings. `network_sha256` is that of
    the integer network's JSON.
    """

    model: str
    weights: int
    weights_not_zero: int
    latency: int
    lut_estimate: float
    levels: float
    register_bits: int
    alkaid_version: str
    network_sha256: str
    synthesis: tuple[Synthesis, ...] = ()


def measure(
    network: IntegerNetwork,
    *,
    timing: Timing | None = None,
    measures: Sequence[Measure] = (),
    settings: Settings | None = None,
) -> Resources:
    """Return the costs of a network; the threshold, which costs next to nothing, is 0.

    Raise `ToolError` if alkaid or Yosys is missing.
    """
    made = design(network, 0, timing=timing)
    synthesis: tuple[Synthesis, ...] = ()
    if measures:
        with scratch_folder() as folder:
            write_verilog(folder, made)
            synthesis = synthesize(folder, made, measures, settings)
    arrays = [a for layer in network.weighted_layers for a in (layer.kernel, layer.bias)]
    return Resources(
        network.name,
        sum(a.size for a in arrays),
        sum(int((a != 0).sum()) for a in arrays),
        made.latency,
        made.lut_estimate,
        made.levels,
        made.register_bits,
        made.alkaid_version,
        str(to_document(network)["sha256"]),
        synthesis,
    )


def resources_of_run(
    run: Path,
    model: str | None = None,
    *,
    timing: Timing | None = None,
    measures: Sequence[Measure] = (),
    settings: Settings | None = None,
    on_model: Callable[[str], None] | None = None,
) -> list[Resources]:
    """Measure the quantized models of a run; also kept in `run`/resources.json.

    Models that are not measured now keep what the file said of them. Raise as `quantized_models`
    and `measure` do.
    """
    path = RunFolder(run).resources
    models = quantized_models(run, model)
    kept = kept_resources(run)
    for name, one in models.items():
        if on_model:
            on_model(f"{run.name}/{name}")
        network = from_model(one, name)
        kept[name] = measure(network, timing=timing, measures=measures, settings=settings)
        write_json(path, {"schema": _SCHEMA, "models": kept})
    return [kept[name] for name in models]


def kept_resources(run: Path) -> dict[str, Resources]:
    """Return what `run`/resources.json holds by model; raise `RunError` if it is damaged."""
    path = RunFolder(run).resources
    kept = read_kept(path, _SCHEMA, "models", dict) or {}
    try:
        return {name: from_mapping(Resources, one, name) for name, one in kept.items()}
    except ConfigError as error:
        msg = f"{path}: {error}; the file is damaged, remove it"
        raise RunError(msg) from error


@dataclass(frozen=True, slots=True)
class Counted:
    """LUTs of a network as combinational logic: alkaid's `estimate`, and Yosys's count.

    `luts` is None if the count failed or did not finish; so is `estimate` of a network whose logit
    is the same for every input, of which there is nothing to build.
    """

    estimate: float | None
    luts: int | None


def counted_luts(
    run: Path, names: Sequence[str], on_model: Callable[[str], None] | None = None
) -> list[Counted]:
    """Return the LUTs of quantized models of a run, in order of their names.

    What `run`/resources.json holds of the same network is not counted again. Raises as
    `resources_of_run` does.
    """
    tool = find(YOSYS)
    found = []
    for name in names:
        sha256 = str(to_document(from_model(pick_model(run, name), name))["sha256"])
        row = kept_resources(run).get(name)
        if row is None or (row.network_sha256, row.latency) != (sha256, 0) or not _luts(row, tool):
            try:
                (row,) = resources_of_run(run, name, measures=("luts",), on_model=on_model)
            except ConstantLogitError:
                found.append(Counted(None, None))
                continue
        counts = _luts(row, tool)
        found.append(Counted(row.lut_estimate, counts[0] if counts else None))
    return found


def _luts(row: Resources, tool: Tool) -> list[int]:
    """Return the counts of this version of Yosys."""
    return [s.luts.total for s in row.synthesis if s.luts and s.version == tool.version]


def synthesize(
    verilog: Path,
    made: Design,
    measures: Sequence[Measure],
    settings: Settings | None = None,
    *,
    netlist: Path | None = None,
    simulation: Path | None = None,
) -> tuple[Synthesis, ...]:
    """Return Yosys's counts of a design; `netlist` and `simulation` are files for that of the LUTs.

    A count that fails has no numbers, and its `status` says why. Raise `ToolError` if there is no
    Yosys.
    """
    settings = settings or Settings()
    tool = find(YOSYS)
    found = []
    for one in measures:
        try:
            files = {"netlist": netlist, "simulation": simulation} if one == "luts" else {}
            found.append(count(one, verilog, made.top, settings, tool=tool, **files))
        except (DataError, ToolError) as error:
            status = f"failed: {error}"
            found.append(
                Synthesis(one, made.top, status, 0.0, tool.name, tool.version, settings, ())
            )
    return tuple(found)


def expected_duration(made: Design, measures: Sequence[Measure], settings: Settings) -> str:
    """Return in words how long Yosys will take, by the size of the design, and the limit.

    The times are those of docs/firmware.md, on one core; they differ by half from machine to
    machine.
    """
    seconds = {one: _SECONDS[one] * made.lut_estimate + _START_S for one in measures}
    each = ", ".join(
        f"{one} about {_rounded(t)}"
        + (f", over the limit of {settings.time_limit_s:g} s" * (t > settings.time_limit_s))
        for one, t in seconds.items()
    )
    return f"{each} (--time-limit {settings.time_limit_s:g})"


def _rounded(seconds: float) -> str:
    if seconds < 90:  # noqa: PLR2004 (the first that reads better in minutes)
        return f"{max(round(seconds, -1), 10):.0f} s"
    return f"{seconds / 60:.0f} min"
