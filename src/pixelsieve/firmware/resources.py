"""What a network costs on the chip: alkaid's estimate, and Yosys where asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixelsieve.files import read_kept, telling_unwritable, write_json
from pixelsieve.firmware.integer import IntegerNetwork, from_model
from pixelsieve.firmware.rtl import Design, design, write_verilog
from pixelsieve.firmware.run_models import quantized_models
from pixelsieve.firmware.synthesis import (
    Measure,
    Settings,
    Synthesis,
    synthesize_gates,
    synthesize_luts,
)
from pixelsieve.guard import scratch_folder

__all__ = [
    "RESOURCES",
    "Resources",
    "kept_resources",
    "measure",
    "resources_of_run",
    "synthesize",
]

RESOURCES = "resources.json"
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Resources:
    """Costs of one network, each named by who gives it; nothing is a vendor's number.

    `weights` and `weights_not_zero` count kernels and biases. `lut_estimate`, `levels` (longest
    path in adders) and `register_bits` are alkaid's, for a pipeline of `latency` clocks (0:
    combinational); `synthesis` are Yosys's counts with their settings.
    """

    model: str
    weights: int
    weights_not_zero: int
    latency: int
    lut_estimate: float
    levels: float
    register_bits: int
    alkaid_version: str
    synthesis: tuple[Synthesis, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def measure(
    network: IntegerNetwork,
    *,
    stages: int | None = None,
    clock_ns: float | None = None,
    measures: Sequence[Measure] = (),
    settings: Settings | None = None,
) -> Resources:
    """Cost of a network; the threshold, which costs next to nothing, is 0.

    Raises `ToolError` where alkaid or Yosys is missing.
    """
    made = design(network, 0, stages=stages, clock_ns=clock_ns)
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
        synthesis,
    )


def resources_of_run(
    run: Path,
    model: str | None = None,
    *,
    stages: int | None = None,
    clock_ns: float | None = None,
    measures: Sequence[Measure] = (),
    settings: Settings | None = None,
    on_model: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Measure the quantized models of a run; also kept in `run`/resources.json.

    Models that are not measured now keep what the file said of them. Plain data, one a model.
    Raises as `quantized_models` and `measure` do.
    """
    path = run / RESOURCES
    models = quantized_models(run, model)
    kept = kept_resources(run)
    for name, one in models.items():
        if on_model:
            on_model(f"{run.name}/{name}")
        network = from_model(one, name)
        found = measure(
            network, stages=stages, clock_ns=clock_ns, measures=measures, settings=settings
        )
        kept[name] = found.to_plain()
        with telling_unwritable(path):
            write_json(path, {"schema": _SCHEMA, "models": kept})
    return [{"run": str(run), **kept[name]} for name in models]


def kept_resources(run: Path) -> dict[str, Any]:
    """What `run`/resources.json holds by model; raises `RunError` where it is damaged."""
    return read_kept(run / RESOURCES, _SCHEMA, "models", dict) or {}


def synthesize(
    verilog: Path,
    made: Design,
    measures: Sequence[Measure],
    settings: Settings | None = None,
    *,
    netlist: Path | None = None,
    simulation: Path | None = None,
) -> tuple[Synthesis, ...]:
    """Yosys's counts of a design; `netlist` and `simulation` are files for that of the LUTs."""
    found = []
    for one in measures:
        if one == "luts":
            found.append(
                synthesize_luts(verilog, made.top, settings, netlist=netlist, simulation=simulation)
            )
        else:
            found.append(synthesize_gates(verilog, made.top, settings))
    return tuple(found)
