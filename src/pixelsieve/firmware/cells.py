"""From cells by type to sizes: what a LUT, a carry cell and a NAND2 equivalent are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pixelsieve.core.errors import DataError

__all__ = ["NAND2_EQUIVALENTS", "Gates", "Luts", "count_gates", "count_luts"]

NAND2_EQUIVALENTS: Mapping[str, float] = {
    "$_BUF_": 1.0,
    "$_NOT_": 0.5,
    "$_NAND_": 1.0,
    "$_NOR_": 1.0,
    "$_AND_": 1.5,
    "$_OR_": 1.5,
    "$_ANDNOT_": 1.5,
    "$_ORNOT_": 1.5,
    "$_AOI3_": 1.5,
    "$_OAI3_": 1.5,
    "$_AOI4_": 2.0,
    "$_OAI4_": 2.0,
    "$_XOR_": 3.0,
    "$_XNOR_": 3.0,
    "$_MUX_": 3.0,
    "$_NMUX_": 2.5,
}
"""NAND2 equivalents of a gate: transistors of its static CMOS circuit over the 4 of a NAND2."""

PLAIN_FLIP_FLOP, SET_FLIP_FLOP = 6.0, 7.0
"""NAND2 equivalents of a flip-flop (24 transistors), and of one with a set or reset (28)."""


@dataclass(frozen=True, slots=True)
class Luts:
    """Cells of a Xilinx FPGA.

    `total` is the sum over `by_size`; an inverter counts as a LUT1. `logic_cells` is Yosys's own
    estimate after two small LUTs share a LUT6, which is a lower bound: it does not ask whether
    they share inputs or drive a carry chain. `carry` counts CARRY4 cells
    (4 bits each), `wide_mux` MUXF7 to MUXF9, `bram_18k` halves of a block memory, `lut_memory`
    SRL and RAM cells; what no field names is in `other` by type.
    """

    total: int
    logic_cells: int | None
    by_size: dict[str, int]
    flip_flops: int
    carry: int
    wide_mux: int
    dsp: int
    bram_18k: int
    lut_memory: int
    other: dict[str, int]


@dataclass(frozen=True, slots=True)
class Gates:
    """Generic gates: `nand2_equivalents` = `combinational` + those of the flip-flops.

    `depth` is the number of gates on the longest path between registers or ports.
    """

    nand2_equivalents: float
    combinational: float
    flip_flops: int
    depth: int
    cells: dict[str, int]


_KINDS = (
    ("size", r"LUT[1-6]|INV"),
    ("flip_flops", r"FD[RSCP]E(_1)?"),
    ("carry", r"CARRY\d"),
    ("wide_mux", r"MUXF\d"),
    ("dsp", r"DSP.*"),
    ("bram_18k", r"RAMB(18|36).*"),
    ("lut_memory", r"SRL.*|RAM\d+.*"),
)


def count_luts(cells: Mapping[str, int], logic_cells: int | None = None) -> Luts:
    """Sort cells of a Xilinx netlist into sizes."""
    sizes = {f"LUT{n}": 0 for n in range(1, 7)}
    counts = dict.fromkeys(("flip_flops", "carry", "wide_mux", "dsp", "bram_18k", "lut_memory"), 0)
    other: dict[str, int] = {}
    for name, number in sorted(cells.items()):
        kind = next((k for k, pattern in _KINDS if re.fullmatch(pattern, name)), None)
        if kind is None:
            other[name] = number
        elif kind == "size":
            sizes["LUT1" if name == "INV" else name] += number
        else:
            counts[kind] += number * (2 if name.startswith("RAMB36") else 1)
    return Luts(
        total=sum(sizes.values()), logic_cells=logic_cells, by_size=sizes, other=other, **counts
    )


def count_gates(cells: Mapping[str, int], depth: int) -> Gates:
    """Weigh generic gates. Raises `DataError` for a cell without a weight (latch, memory)."""
    logic, registers, flip_flops = 0.0, 0.0, 0
    for name, number in cells.items():
        if name in NAND2_EQUIVALENTS:
            logic += number * NAND2_EQUIVALENTS[name]
        elif re.fullmatch(r"\$_DFF_[NP]{1,2}[01]?_", name):
            flip_flops += number
            plain = re.fullmatch(r"\$_DFF_[NP]_", name)
            registers += number * (PLAIN_FLIP_FLOP if plain else SET_FLIP_FLOP)
        else:
            msg = f"cell {name} has no weight in NAND2 equivalents; use logic and flip-flops only"
            raise DataError(msg)
    return Gates(logic + registers, logic, flip_flops, depth, dict(sorted(cells.items())))
