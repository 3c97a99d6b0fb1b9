"""Ports of the top module, what alkaid's core makes of their bits, and names that are taken."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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


@dataclass(frozen=True, slots=True)
class Span:
    """`width` neighbouring bits: those of the signal `name` from bit `high` down.

    Where `repeated`, that one bit so many times (a sign); where `name` is None, zeros.
    """

    name: str | None
    high: int
    width: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Wiring:
    """`inputs`: of each element that the core takes its lowest bit there, width and bits.

    `output` are the bits of the logit, of the core's output `core_out`; highest bits first.
    """

    inputs: tuple[tuple[int, int, tuple[Span, ...]], ...]
    input_bits: int
    output: tuple[Span, ...]
    output_bits: int
    core_clocked: bool


@dataclass(frozen=True, slots=True)
class Timing:
    """Stages of a pipeline, or the clock in ns that sets them; neither: combinational."""

    stages: int | None = None
    clock_ns: float | None = None


def wiring(inputs: Sequence[Port], logit: Port, machine: Any) -> Wiring:
    """Of alkaid's state machine, whose elements may have fewer or more bits than the ports."""
    (core_in,), (core_out,) = machine.inp_signals, machine.out_signals
    found, low = [], 0
    sources = [(port, element) for port in inputs for element in range(port.elements)]
    for (port, element), precision in zip(sources, core_in.precisions, strict=True):
        width = int(sum(precision))
        if width:
            first = port.fraction_bits - precision[2]
            base = element * port.bits
            spans = _spans(port.name, base, port.bits, first, width, signed=port.signed)
            found.append((low, width, spans))
        low += width
    (precision,) = core_out.precisions
    bits, signed = int(sum(precision)), bool(precision[0])
    first = precision[2] - logit.fraction_bits
    output = _spans("core_out", 0, bits, first, logit.bits, signed=signed)
    clocked = any(s.reg for s in machine.signals.values())
    return Wiring(tuple(found), low, output, bits, clocked)


def _spans(
    name: str, base: int, bits: int, first: int, width: int, *, signed: bool
) -> tuple[Span, ...]:
    """`width` bits from bit `first` of the number in name[base +: bits], extended where beyond."""
    parts = []
    below = min(width, max(0, -first))
    start, end = max(first, 0), min(first + width, bits)
    above = width - below - max(0, end - start)
    if above:
        parts.append(Span(name if signed else None, base + bits - 1, above, repeated=True))
    if end > start:
        parts.append(Span(name, base + end - 1, end - start))
    if below:
        parts.append(Span(None, 0, below))
    return tuple(parts)


def core_files(
    core: Mapping[str, str], name: str, library: Path, suffix: str, use: str
) -> dict[str, str]:
    """Alkaid's modules by file name, with those of its `library` that they use.

    Stages are renamed so that two designs can be used in one project. `use` is the pattern by
    which a module names one of the library, with {} in its name's place.
    """
    files = {}
    for module, text in core.items():
        its_name = re.sub(r"^logic(\d+)$", rf"{name}_stage\1", module)
        files[f"{its_name}.{suffix}"] = re.sub(r"\blogic(\d+)\b", rf"{name}_stage\1", text)
    everything = "\n".join(files.values())
    for path in sorted(library.glob(f"*.{suffix}")):
        if re.search(use.format(path.stem), everything):
            files[path.name] = path.read_text(encoding="utf-8")
    return files


_KEYWORDS = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup
    coverpoint cross deassign default defparam design disable dist do edge else end endcase
    endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface
    endmodule endpackage endprimitive endprogram endproperty endspecify endsequence endtable
    endtask enum event eventually expect export extends extern final first_match for force
    foreach forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone
    ignore_bins illegal_bins implements implies import incdir include initial inout input inside
    instance int integer interconnect interface intersect join join_any join_none large let
    liblist library local localparam logic longint macromodule matches medium modport module
    nand negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or output
    package packed parameter pmos posedge primitive priority program property protected pull0
    pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
    randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos
    rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared
    sequence shortint shortreal showcancelled signed small soft solve specify specparam static
    string strong strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on
    table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0
    tri1 triand trior trireg type typedef union unique unique0 unsigned until until_with untyped
    use uwire var vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard
    wire with within wor xnor xor
"""

_MODULES = "shift_adder ternary_adder negative mux binop multiplier core"

RESERVED = frozenset((_KEYWORDS + _MODULES).split())
"""Keywords of SystemVerilog (IEEE 1800-2017, annex B), and modules that alkaid brings."""
