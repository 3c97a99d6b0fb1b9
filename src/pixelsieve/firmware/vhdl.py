"""VHDL 2008 around alkaid's core: the same top module as in Verilog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pixelsieve.firmware.verilog_words import RESERVED

if TYPE_CHECKING:
    from pixelsieve.firmware.rtl import Port
    from pixelsieve.firmware.wiring import Span, Wiring

__all__ = ["vhdl_identifier", "vhdl_top"]

_KEYWORDS = """
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
_RESERVED = RESERVED | frozenset(_KEYWORDS.split())


def vhdl_identifier(name: str) -> str:
    """An entity's name: letters, digits and single `_` inside; words of the language get more."""
    found = re.sub(r"_+", "_", re.sub(r"\W", "_", name, flags=re.ASCII)).strip("_")
    fine = found[:1].isalpha() and found.lower() not in _RESERVED
    return found if fine else f"net_{found}".rstrip("_")


def vhdl_top(
    name: str,
    inputs: tuple[Port, ...],
    logit: Port,
    threshold: int,
    wires: Wiring,
    stages: int | None,
) -> str:
    """The entity with named ports; the threshold is a generic."""
    clocked = stages is not None
    top = logit.bits - 1
    code = f"{threshold & ((1 << logit.bits) - 1):0{logit.bits}b}"
    ports = ["        clk: in std_logic;"] if clocked else []
    ports += [
        f"        {p.name}: in std_logic_vector({p.width - 1} downto 0); -- {p.elements} x {p.type}"
        for p in inputs
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
