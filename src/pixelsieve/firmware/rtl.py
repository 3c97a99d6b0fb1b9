"""An integer network as Verilog or VHDL: alkaid's core, and a top module with named ports."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pixelsieve.core.errors import ConfigError
from pixelsieve.firmware.verilog_words import RESERVED
from pixelsieve.firmware.vhdl import vhdl_identifier, vhdl_top
from pixelsieve.firmware.wiring import Span, Wiring, core_files, wiring
from pixelsieve.integer.logic import alkaid, fused, one_line, traced
from pixelsieve.integer.pixel_logic import traced_from_pixels
from pixelsieve.integer.pixels import PixelNetwork, Program

__all__ = ["Design", "Language", "Port", "core_verilog", "design", "write_verilog"]

_LARGEST_STAGES = 256

Language = Literal["verilog", "vhdl"]
"""Of the files: Verilog 2001, or VHDL 2008."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the top module: `elements` of `bits` each, element 0 in the lowest bits.

    `signed` are two's complement; a value is code * 2^-`fraction_bits`.
    """

    name: str
    elements: int
    bits: int
    signed: bool
    fraction_bits: int

    @property
    def width(self) -> int:
        """Bits of the whole port."""
        return self.elements * self.bits

    @property
    def type(self) -> str:
        """The fixed-point type of one element, `fixed<bits, integer bits with the sign>`."""
        kind = "fixed" if self.signed else "ufixed"
        return f"{kind}<{self.bits},{self.bits - self.fraction_bits}>"


@dataclass(frozen=True, slots=True)
class Design:
    """Verilog or VHDL by file name, and all that a user or a simulation must know of it.

    `latency` counts the rising clock edges from inputs to `logit` and `keep`; 0 is combinational,
    without a clock. A new cluster may enter with every clock. `lut_estimate` and `levels`
    (longest path in adders) are alkaid's, `register_bits` are exact.
    """

    top: str
    files: dict[str, str]
    inputs: tuple[Port, ...]
    logit: Port
    threshold: int
    latency: int
    lut_estimate: float
    levels: float
    register_bits: int
    alkaid_version: str
    language: Language = "verilog"


def design(
    network: Program,
    threshold: int,
    *,
    top: str | None = None,
    stages: int | None = None,
    clock_ns: float | None = None,
    language: Language = "verilog",
) -> Design:
    """Verilog (or VHDL) of a network that keeps a cluster where its logit code is >= `threshold`.

    A `PixelNetwork` gets the logic that makes its features as well.

    Combinational, or a pipeline of `stages`, or of as many as keep each within `clock_ns` of
    alkaid's latency model (1 ns a level of adders). Raises `ConfigError` for settings that do not
    go together or with the network.
    """
    _check(network, threshold, stages, clock_ns)
    vhdl = language == "vhdl"
    name = (vhdl_identifier if vhdl else _identifier)(top or network.name)
    logic = traced_from_pixels(network) if isinstance(network, PixelNetwork) else traced(network)
    levels = float(logic.latency[1])
    if stages is not None and stages > max(levels, 1):
        msg = f"--stages {stages}: the longest path has only {levels:.0f} levels of adders"
        raise ConfigError(msg)
    if clock_ns is not None and levels > 0:
        stages = max(1, -int(-levels // clock_ns))
    with one_line(network.name):
        lean = fused(logic)
        machine, files = _core(lean, name, stages, language)
    inputs = tuple(
        Port(i.name, i.width, i.grid.bits, i.grid.signed, i.grid.fraction_bits)
        for i in network.inputs
    )
    logit = Port("logit", 1, network.logit_bits, True, network.logit_fraction_bits)  # noqa: FBT003
    registers = sum(s.width for s in machine.signals.values() if s.reg)
    wires = wiring(inputs, logit, machine)
    top_file = (vhdl_top if vhdl else _top)(name, inputs, logit, threshold, wires, stages)
    files[f"{name}.{'vhd' if vhdl else 'v'}"] = top_file
    return Design(
        top=name,
        files=files,
        inputs=inputs,
        logit=logit,
        threshold=threshold,
        latency=stages or 0,
        lut_estimate=float(lean.cost),
        levels=levels,
        register_bits=int(registers) + (logit.width + 1 if stages else 0),
        alkaid_version=str(alkaid("_version").__version__),
        language=language,
    )


def core_verilog(lean: Any, name: str) -> dict[str, str]:
    """Verilog files of the combinational module `name`_core for a fused program alone."""
    return _core(lean, name, None, "verilog")[1]


def _core(
    lean: Any, name: str, stages: int | None, language: Language
) -> tuple[Any, dict[str, str]]:
    """Alkaid's state machine of a fused program, and its files."""
    options: dict[str, Any] = {
        "n_stages": stages or 1,
        "reg_inp": False,
        "reg_out": False,
        "verbose": False,
    }
    machine = alkaid("trace.pipeline").to_pipeline(lean, **options)
    core = alkaid(f"codegen.rtl.{language}.fsm").fsm_logic_gen(machine, f"{name}_core")
    library = Path(alkaid("codegen.rtl").__file__).parent / language / "source"
    suffix, use = ("vhd", r"\bentity work\.{}\b") if language == "vhdl" else ("v", r"\b{} #")
    return machine, core_files(core, name, library, suffix, use)


def write_verilog(folder: Path, made: Design) -> None:
    """Write the Verilog (or VHDL) files into `folder`, which is there."""
    for name, text in made.files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _check(network: Program, threshold: int, stages: int | None, clock_ns: float | None) -> None:
    if stages is not None and clock_ns is not None:
        msg = "--stages and --clock-ns: give one of them"
        raise ConfigError(msg)
    if stages is not None and not 1 <= stages <= _LARGEST_STAGES:
        msg = f"--stages is {stages}; expected 1 to {_LARGEST_STAGES} (leave it out for none)"
        raise ConfigError(msg)
    if clock_ns is not None and not clock_ns >= 1:
        msg = f"--clock-ns is {clock_ns:g}; expected at least 1, alkaid's delay of one adder"
        raise ConfigError(msg)
    half = 1 << (network.logit_bits - 1)
    if not -half <= threshold < half:
        msg = f"threshold code {threshold} does not fit the logit of {network.logit_bits} bits"
        raise ConfigError(msg)


def _identifier(name: str) -> str:
    """A module's name: letters, digits and single `_`; words of the language get one more."""
    found = re.sub(r"\W|^(?=\d)", "_", name, flags=re.ASCII).replace("__", "_")
    return f"{found}_" if found in RESERVED else found


def _top(
    name: str,
    inputs: tuple[Port, ...],
    logit: Port,
    threshold: int,
    wires: Wiring,
    stages: int | None,
) -> str:
    clocked = stages is not None
    ports = ["    input wire clk,"] if clocked else []
    ports += [
        f"    input wire [{p.width - 1}:0] {p.name}, // {p.elements} x {p.type}" for p in inputs
    ]
    kind = "reg" if clocked else "wire"
    assigns = [
        f"    assign core_inp[{low + width - 1}:{low}] = {_bits(spans)};"
        for low, width, spans in wires.inputs
    ]
    top = logit.bits - 1
    if clocked:
        outputs = [
            "    always @(posedge clk) begin",
            "        logit <= sum;",
            "        keep <= sum >= THRESHOLD;",
            "    end",
        ]
    else:
        outputs = ["    assign logit = sum;", "    assign keep = sum >= THRESHOLD;"]
    code = f"{logit.bits}'sh{threshold & ((1 << logit.bits) - 1):x}"
    core_ports = [".clk(clk)"] if wires.core_clocked else []
    core_ports += [".model_inp(core_inp)", ".model_out(core_out)"]
    return "\n".join(
        [
            "`timescale 1 ns / 1 ps",
            "",
            "// Element 0 of a port is in its lowest bits; see README.md for the encoding.",
            f"module {name} #(",
            f"    parameter signed [{top}:0] THRESHOLD = {code} // {threshold}",
            ") (",
            *ports,
            f"    output {kind} signed [{top}:0] logit, // {logit.type}",
            f"    output {kind} keep // logit >= THRESHOLD",
            ");",
            "",
            f"    wire [{wires.input_bits - 1}:0] core_inp;",
            f"    wire [{wires.output_bits - 1}:0] core_out;",
            f"    wire signed [{top}:0] sum;",
            "",
            *assigns,
            "",
            f"    {name}_core core ({', '.join(core_ports)});",
            "",
            f"    assign sum = {_bits(wires.output)};",
            *outputs,
            "",
            "endmodule",
            "",
        ]
    )


def _bits(spans: tuple[Span, ...]) -> str:
    parts = []
    for span in spans:
        if span.name is None:
            parts.append(f"{span.width}'b0")
        elif span.repeated:
            parts.append(f"{{{span.width}{{{span.name}[{span.high}]}}}}")
        else:
            parts.append(f"{span.name}[{span.high}:{span.high - span.width + 1}]")
    return parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"
