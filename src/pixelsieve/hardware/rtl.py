"""An integer network as Verilog or VHDL: alkaid's core, and a top module with named ports."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixelsieve.core.errors import ConfigError
from pixelsieve.hardware.ports import (
    RESERVED,
    Design,
    Language,
    Port,
    Span,
    Timing,
    Wiring,
    core_files,
    wiring,
)
from pixelsieve.integer.logic import alkaid, fused, one_line, traced
from pixelsieve.integer.pixel_logic import traced_from_pixels
from pixelsieve.integer.pixels import PixelNetwork, Program

_LARGEST_STAGES = 256


def design(
    network: Program,
    threshold: int,
    *,
    timing: Timing | None = None,
    top: str | None = None,
    language: Language = "verilog",
) -> Design:
    """Write Verilog (or VHDL) of a network that keeps a cluster if its code is >= `threshold`.

    A `PixelNetwork` gets the logic that makes its features as well. A pipeline by `clock_ns` has
    as many stages as keep each within that time in alkaid's latency model (1 ns per level of
    adders). Raise `ConfigError` for settings that do not go together or with the network.
    """
    timing = timing or Timing()
    stages, clock_ns = timing.stages, timing.clock_ns
    _check(network, threshold, timing)
    vhdl = language == "vhdl"
    name = (_vhdl_identifier if vhdl else _identifier)(top or network.name)
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
    made = Design(
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
    text = (_vhdl_top if vhdl else _top)(made, wiring(inputs, logit, machine))
    return replace(made, files={**files, f"{name}.{'vhd' if vhdl else 'v'}": text})


def core_verilog(lean: Any, name: str) -> dict[str, str]:
    """Verilog files of the combinational module `name`_core for a fused program alone."""
    return _core(lean, name, None, "verilog")[1]


def _core(
    lean: Any, name: str, stages: int | None, language: Language
) -> tuple[Any, dict[str, str]]:
    """Alkaid's state machine of a fused program, and its files."""
    machine = alkaid("trace.pipeline").to_pipeline(
        lean, n_stages=stages or 1, reg_inp=False, reg_out=False, verbose=False
    )
    core = alkaid(f"codegen.rtl.{language}.fsm").fsm_logic_gen(machine, f"{name}_core")
    library = Path(alkaid("codegen.rtl").__file__).parent / language / "source"
    suffix, use = ("vhd", r"\bentity work\.{}\b") if language == "vhdl" else ("v", r"\b{} #")
    return machine, core_files(core, name, library, suffix, use)


def write_verilog(folder: Path, made: Design) -> None:
    """Write the Verilog (or VHDL) files into `folder`, which is there."""
    for name, text in made.files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _check(network: Program, threshold: int, timing: Timing) -> None:
    stages, clock_ns = timing.stages, timing.clock_ns
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


def _top(made: Design, wires: Wiring) -> str:
    name, logit, threshold, clocked = made.top, made.logit, made.threshold, made.latency > 0
    ports = ["    input wire clk,"] if clocked else []
    ports += [
        f"    input wire [{p.width - 1}:0] {p.name}, // {p.elements} x {p.type}"
        for p in made.inputs
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


_VHDL_KEYWORDS = """
    abs access after alias all and architecture array assert assume assume_guarantee attribute
    begin block body buffer bus case component configuration constant context cover default
    disconnect downto else elsif end entity exit fairness file for force function generate generic
    group guarded if impure in inertial inout is label library linkage literal loop map mod nand
    new next nor not null of on open or others out package parameter port postponed procedure
    process property protected pure range record register reject release rem report restrict
    restrict_guarantee return rol ror select sequence severity shared signal sla sll sra srl strong
    subtype then to transport type unaffected units until use variable vmode vprop vunit wait when
    while with xnor xor ieee std work core
"""
_VHDL_RESERVED = RESERVED | frozenset(_VHDL_KEYWORDS.split())


def _vhdl_identifier(name: str) -> str:
    """An entity's name: letters, digits and single `_` inside; words of the language get more."""
    found = re.sub(r"_+", "_", re.sub(r"\W", "_", name, flags=re.ASCII)).strip("_")
    fine = found[:1].isalpha() and found.lower() not in _VHDL_RESERVED
    return found if fine else f"net_{found}".rstrip("_")


def _vhdl_top(made: Design, wires: Wiring) -> str:
    """Return the entity with named ports; the threshold is a generic."""
    name, logit, threshold, clocked = made.top, made.logit, made.threshold, made.latency > 0
    top = logit.bits - 1
    code = f"{threshold & ((1 << logit.bits) - 1):0{logit.bits}b}"
    ports = ["        clk: in std_logic;"] if clocked else []
    ports += [
        f"        {p.name}: in std_logic_vector({p.width - 1} downto 0); -- {p.elements} x {p.type}"
        for p in made.inputs
    ]
    assigns = [
        line
        for low, width, spans in wires.inputs
        for line in _assigns("core_inp", low + width - 1, spans)
    ]
    if clocked:
        outputs = [
            "    process (clk) begin",
            "        if rising_edge(clk) then",
            "            logit <= std_logic_vector(sum);",
            "            keep <= '1' when sum >= THRESHOLD else '0';",
            "        end if;",
            "    end process;",
        ]
    else:
        outputs = [
            "    logit <= std_logic_vector(sum);",
            "    keep <= '1' when sum >= THRESHOLD else '0';",
        ]
    core_ports = ["clk => clk"] if wires.core_clocked else []
    core_ports += ["model_inp => core_inp", "model_out => core_out"]
    return "\n".join(
        [
            "library ieee;",
            "use ieee.std_logic_1164.all;",
            "use ieee.numeric_std.all;",
            "",
            "-- Element 0 of a port is in its lowest bits; see README.md for the encoding.",
            f"entity {name} is",
            f'    generic (THRESHOLD: signed({top} downto 0) := "{code}"); -- {threshold}',
            "    port (",
            *ports,
            f"        logit: out std_logic_vector({top} downto 0); -- {logit.type}",
            "        keep: out std_logic -- logit >= THRESHOLD",
            "    );",
            f"end entity {name};",
            "",
            f"architecture rtl of {name} is",
            f"    signal core_inp: std_logic_vector({wires.input_bits - 1} downto 0);",
            f"    signal core_out: std_logic_vector({wires.output_bits - 1} downto 0);",
            f"    signal sum: signed({top} downto 0);",
            "begin",
            *assigns,
            "",
            f"    core: entity work.{name}_core port map ({', '.join(core_ports)});",
            "",
            *_assigns("sum", top, wires.output),
            *outputs,
            "end architecture rtl;",
            "",
        ]
    )


def _assigns(target: str, to: int, spans: tuple[Span, ...]) -> list[str]:
    """One assignment a span, to bit `to` of `target` and those below."""
    lines = []
    for span in spans:
        low = to - span.width + 1
        if span.name is None:
            value = "(others => '0')"
        elif span.repeated:
            value = f"(others => {span.name}({span.high}))"
        else:
            value = f"{span.name}({span.high} downto {span.high - span.width + 1})"
            if target == "sum":
                value = f"signed({value})"
        lines.append(f"    {target}({to} downto {low}) <= {value};")
        to = low - 1
    return lines
