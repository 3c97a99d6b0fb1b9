"""Size of Verilog by Yosys: LUTs and flip-flops of an FPGA, or gates and depth of an ASIC.

Both measures hold for logic alone (no pads, no clock buffers), with the hierarchy flattened, and
carry every setting they were taken with. A design too large for the limits has no numbers.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pixelsieve.core.errors import ConfigError, DataError, nearest
from pixelsieve.core.files import replacing
from pixelsieve.core.processes import Finished, run_bounded, scratch_folder
from pixelsieve.core.programs import YOSYS, Tool, find

Measure = Literal["luts", "gates"]
SOURCES = ("*.v", "*.sv")
BESIDE = ("*.vh", "*.svh", "*.mem", "*.hex", "*.dat")
STAT, DEPTH, NETLIST, SIMULATION = "stat.json", "depth.txt", "netlist.v", "simulation.v"


_GATES = {
    0.5: "NOT",
    1.0: "BUF NAND NOR",
    1.5: "AND OR ANDNOT ORNOT AOI3 OAI3",
    2.0: "AOI4 OAI4",
    2.5: "NMUX",
    3.0: "XOR XNOR MUX",
}
NAND2_EQUIVALENTS: Mapping[str, float] = {
    f"$_{gate}_": weight for weight, gates in _GATES.items() for gate in gates.split()
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


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that a count depends on.

    `only_luts` keeps multipliers, memories and shift registers out of DSP, BRAM and SRL cells, so
    that LUTs and flip-flops alone tell the size. `mapping` is abc9's script from logic to LUTs;
    "" leaves Yosys its own, which was up to five times slower and gave no fewer LUTs (within
    2 %). `gates` are the cells abc may use for gates; with "cmos" among them it weighs them by
    transistors, as `NAND2_EQUIVALENTS` does. `gate_mapping` is abc's script from logic to
    gates; "" leaves abc its own, whose proofs of equal signals take minutes from 500 LUTs on.
    `memory_limit_gib` holds on Linux.
    """

    family: str = "xcu"
    only_luts: bool = True
    mapping: str = "&if,{C},{W},{D},{R}"
    gates: str = "cmos,AND,OR"
    gate_mapping: str = "strash;&get,-n;&dch,-f;&nf;&put"
    time_limit_s: float = 600.0
    memory_limit_gib: float = 4.0

    def __post_init__(self) -> None:
        for name in ("time_limit_s", "memory_limit_gib"):
            if not getattr(self, name) > 0:
                msg = f"{name} is {getattr(self, name)}; expected more than 0"
                raise ConfigError(msg)
        for name, pattern in (
            ("family", r"\w+"),
            ("mapping", r"(&[^\s;]+(;(?=&)|$))*"),
            ("gates", r"\w+(,\w+)*"),
            ("gate_mapping", r"(&?[\w,.{}-]+(;(?=&?\w)|$))*"),
        ):
            if not re.fullmatch(pattern, getattr(self, name)):
                msg = f"{name} is '{getattr(self, name)}'; expected names as Yosys knows them"
                raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class Synthesis:
    """One measurement with what it was taken with; `luts` or `gates` only where it finished.

    `status` is "done", "not finished in T s" or "not finished in M GiB"; `script` the commands
    given to Yosys; `seconds` the wall time on this machine.
    """

    measure: Measure
    top: str
    status: str
    seconds: float
    tool: str
    version: str
    settings: Settings
    script: tuple[str, ...] = field(repr=False)
    luts: Luts | None = None
    gates: Gates | None = None

    @property
    def done(self) -> bool:
        """Whether there are numbers."""
        return self.status == "done"


def count(
    measure: Measure,
    sources: Path,
    top: str,
    settings: Settings | None = None,
    *,
    netlist: Path | None = None,
    simulation: Path | None = None,
    tool: Tool | None = None,
) -> Synthesis:
    """Count what the module `top` of a folder of Verilog needs.

    `luts` are the cells of an FPGA; on success `netlist` gets them, and `simulation` the same
    netlist in plain Verilog (each cell replaced by its logic), with the ports of `top`. `gates` are
    those of an ASIC, in NAND2 equivalents, with the longest path. Raise `ConfigError` for a missing
    tool, folder or module, `DataError` if Yosys refuses the Verilog.
    """
    settings = settings or Settings()
    files = _verilog(sources)
    _check_top(files, top, sources)
    results = {NETLIST: netlist, SIMULATION: simulation}
    for target in results.values():
        if target and not target.parent.is_dir():
            msg = f"{target.parent}: no such folder for the netlist; create it first"
            raise ConfigError(msg)
    tool = tool or find(YOSYS)
    with scratch_folder() as work:
        names = _copy(files, sources, work)
        commands = (
            _for_luts(top, settings, results) if measure == "luts" else _for_gates(top, settings)
        )
        script = (*(f'read_verilog -sv "{n}"' for n in names), *commands)
        (work / "run.ys").write_text("\n".join(script) + "\n", encoding="utf-8")
        finished = run_bounded(
            [*tool.command, "-q", "-s", "run.ys"], work,
            time_limit_s=settings.time_limit_s, memory_limit_gib=settings.memory_limit_gib,
        )  # fmt: skip
        status = _status(finished, settings, top, dict(zip(names, files, strict=True)))
        luts = gates = None
        if status == "done":
            cells, logic_cells = _cells(work / STAT)
            if measure == "luts":
                luts = count_luts(cells, logic_cells)
            else:
                longest = re.search(r"\(length=(\d+)\)", (work / DEPTH).read_text(encoding="utf-8"))
                gates = count_gates(cells, int(longest[1]) if longest else 0)
            for produced, target in results.items():
                if target:
                    with replacing(target) as temporary:
                        shutil.copyfile(work / produced, temporary)
    return Synthesis(
        measure, top, status, round(finished.seconds, 2), tool.name, tool.version, settings,
        script, luts, gates,
    )  # fmt: skip


def _for_luts(top: str, settings: Settings, results: Mapping[str, Path | None]) -> list[str]:
    options = " -nodsp -nobram -nolutram -nosrl" if settings.only_luts else ""
    script = [f"scratchpad -set abc9.script +{settings.mapping}"] if settings.mapping else []
    script += [
        f"synth_xilinx -family {settings.family} -top {top} -flatten -noiopad -noclkbuf{options}",
        f"tee -o {STAT} stat -json -tech xilinx",
    ]
    if results[NETLIST]:
        script.append(f"write_verilog -noattr {NETLIST}")
    if results[SIMULATION]:
        script += [
            "techmap -wb -D EQUIV -autoproc -map +/xilinx/cells_sim.v",
            "clean",
            f"write_verilog -noattr {SIMULATION}",
        ]
    return script


def _for_gates(top: str, settings: Settings) -> list[str]:
    own = f" -script +{settings.gate_mapping}" if settings.gate_mapping else ""
    return [
        f"synth -flatten -noabc -top {top}",
        "dfflegalize -cell $_DFF_?_ 01 -cell $_DFF_???_ 01",
        f"abc -g {settings.gates}{own}",
        "opt_clean",
        f"tee -o {STAT} stat -json",
        f"tee -o {DEPTH} ltp -noff",
    ]


def _verilog(folder: Path) -> list[Path]:
    if not folder.is_dir():
        msg = f"{folder}: no such folder; expected one with Verilog files"
        raise ConfigError(msg)
    files = sorted({f for pattern in SOURCES for f in folder.rglob(pattern)})
    if not files:
        msg = f"{folder}: holds no Verilog (.v, .sv); write the RTL first"
        raise ConfigError(msg)
    return files


def _check_top(files: Sequence[Path], top: str, folder: Path) -> None:
    found: set[str] = set()
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            msg = f"{file}: cannot be read ({error.strerror or error})"
            raise ConfigError(msg) from error
        found |= set(re.findall(r"^\s*module\s+([A-Za-z_]\w*)", text, flags=re.MULTILINE))
    if top not in found:
        known = ", ".join(sorted(found)[:8]) or "none"
        msg = f"{folder}: no module '{top}'{nearest(top, found)}; found {known}"
        raise ConfigError(msg)


def _copy(files: Sequence[Path], folder: Path, work: Path) -> list[str]:
    """Copy the sources to `work` in one flat folder, with what they may include or read."""
    names = [f"source_{i}{file.suffix}" for i, file in enumerate(files)]
    for file, name in zip(files, names, strict=True):
        shutil.copyfile(file, work / name)
    for pattern in BESIDE:
        for file in folder.rglob(pattern):
            shutil.copyfile(file, work / file.name)
    return names


def _status(finished: Finished, settings: Settings, top: str, names: Mapping[str, Path]) -> str:
    if finished.stopped_by == "time":
        return f"not finished in {settings.time_limit_s:g} s"
    if finished.stopped_by == "memory":
        return f"not finished in {settings.memory_limit_gib:g} GiB"
    if finished.code:
        lines = [line.strip() for line in finished.output.splitlines() if line.strip()]
        wrong = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "no word")
        wrong = functools.reduce(lambda w, n: w.replace(n, names[n].name), names, wrong)
        msg = f"{top}: Yosys stopped (exit {finished.code}): {wrong}; mend the Verilog or report it"
        raise DataError(msg)
    return "done"


def _cells(path: Path) -> tuple[dict[str, int], int | None]:
    design: Any = json.loads(path.read_text(encoding="utf-8"))["design"]
    # $scopeinfo remembers where flattened logic came from; it is no cell.
    counts = {n: int(c) for n, c in design["num_cells_by_type"].items() if n != "$scopeinfo"}
    return counts, design.get("estimated_num_lc")
