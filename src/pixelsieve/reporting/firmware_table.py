"""Tables of firmware: what was made and compared, costs, vendors' reports, the hand-over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixelsieve.display.spec import Cells, Table, numbers, table

if TYPE_CHECKING:
    from pixelsieve.hardware.hls import HandOver
    from pixelsieve.hardware.job import FirmwareResult
    from pixelsieve.hardware.resources import Resources
    from pixelsieve.hardware.synthesis import Measure, Synthesis
    from pixelsieve.hardware.upsets import FlipStudy
    from pixelsieve.hardware.vendor_reports import VendorReport
    from pixelsieve.hardware.verify import Verification
    from pixelsieve.integer.pixel_logic import PixelCost

_YOSYS: dict[Measure, str] = {"luts": "LUTs", "gates": "NAND2 equivalents"}


def firmware_tables(result: FirmwareResult) -> list[Table]:
    """Return tables of the module, its layers' sums, what was compared, and what was asked for."""
    tables = [_built(result), _layers(result.verification), _compared(result)]
    if result.synthesis:
        tables.append(_synthesized(result.synthesis))
    if result.bit_flips:
        tables.append(_flips(result.bit_flips))
    return tables


def resources_table(found: Sequence[tuple[str, Resources]]) -> Table:
    """Return the costs of networks, each with the name of its run, a row per network."""
    measures = list(dict.fromkeys(s.measure for _, row in found for s in row.synthesis))
    rows: list[Cells] = []
    for run, row in found:
        counts = {s.measure: _count(s) for s in row.synthesis}
        costs = (row.latency or "-", f"{row.lut_estimate:.0f}", f"{row.levels:.0f}")
        more = (counts.get(m, "-") for m in measures)
        sizes = (row.weights, row.weights_not_zero)
        rows.append((run, row.model, *sizes, *costs, row.register_bits, *more))
    titles = ("weights", "not 0", "clocks", "LUTs (alkaid's estimate)", "levels", "register bits")
    columns = numbers(*titles, *(f"{_YOSYS[m]} (Yosys)" for m in measures))
    made = next((s for _, row in found for s in row.synthesis), None)
    caption = f"{made.tool} {made.version}, family {made.settings.family}" if made else ""
    return table("costs before any vendor tool", ("run", "model", *columns), rows, caption)


def vendor_table(reports: Sequence[VendorReport]) -> Table:
    """Return what vendor tools said; it is never mixed with our own counts."""
    told = {
        title: name
        for title, name in (("slack ns", "slack_ns"), ("area score", "area_score"))
        if any(getattr(one, name) is not None for one in reports)
    }
    rows = []
    for one in reports:
        kind = f"{one.kind} ({one.stage})" if one.stage else one.kind
        counts = map(_or_dash, (one.lut, one.ff, one.dsp, one.bram_18k))
        clock = f"{_or_dash(one.achieved_clock_ns)} ({_or_dash(one.target_clock_ns)})"
        cycles = map(_or_dash, (one.latency_max_cycles, one.interval_max_cycles))
        more = (_or_dash(getattr(one, name)) for name in told.values())
        name = one.model or one.top or "-"
        rows.append((name, kind, Path(one.file).name, *counts, clock, *cycles, *more))
    titles = ("lut", "ff", "dsp", "bram_18k", "clock ns (asked)", "latency", "interval", *told)
    return table("vendor reports", ("model", "report", "file", *numbers(*titles)), rows)


def hand_over_table(result: HandOver) -> Table:
    """Return an HLS project: its settings and what its C simulation was compared with."""
    settings = result.project.settings
    return _facts(
        f"hls4ml project {result.project.top}",
        [
            ("backend", f"{settings.backend}, {settings.io_type}, {settings.strategy}"),
            ("part", settings.target),
            ("clock", f"{settings.clock_ns:g} ns"),
            ("reuse factor", settings.reuse_factor),
            ("clusters and corner vectors", f"{result.clusters} + {result.corners}"),
            ("C simulation against the integer program", f"{result.mismatches} mismatches"),
            *(("note", note) for note in result.notes),
        ],
    )


def _facts(title: str, lines: Iterable[tuple[str | int, ...]], columns: int = 2) -> Table:
    """Return a table without headings."""
    return table(title, [""] * columns, ((*line, *[""] * (columns - len(line))) for line in lines))


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _count(synthesis: Synthesis) -> str:
    """Return the one number of a measurement, or why there is none."""
    if synthesis.luts:
        return str(synthesis.luts.total)
    if synthesis.gates:
        return f"{synthesis.gates.nand2_equivalents:.0f}"
    return synthesis.status


def _synthesized(counts: Sequence[Synthesis]) -> Table:
    lines: list[tuple[str | int, ...]] = []
    for one in counts:
        lines.append((_YOSYS[one.measure], _count(one), f"{one.seconds:.0f} s"))
        if one.luts:
            shared = _or_dash(one.luts.logic_cells)
            lines.append(("logic cells, two small LUTs sharing one", shared))
            lines += [("flip-flops", one.luts.flip_flops), ("CARRY4", one.luts.carry)]
        if one.gates:
            lines.append(("gates on the longest path", one.gates.depth))
    return _facts(f"{counts[0].tool} {counts[0].version}", lines, 3)


def _flips(study: FlipStudy) -> Table:
    how = "every stored bit" if study.exhaustive else "a sample of the stored bits"
    title = (
        f"one flipped weight bit ({how}): loss of rejection at {study.efficiency:.0%} "
        f"signal efficiency, from {study.rejection:.4f}, validation"
    )
    rows = []
    for one in study.rows:
        losses = f"{one.mean_rejection_loss:.4f}", f"{one.worst_rejection_loss:.4f}"
        rows.append((one.layer, one.bit, f"{one.flips} of {one.stored_bits}", *losses))
    return table(title, ("weights", *numbers("bit", "flips", "mean loss", "worst loss")), rows)


def _built(result: FirmwareResult) -> Table:
    made, threshold = result.design, result.threshold
    return _facts(
        f"module {made.top}",
        [
            ("latency", f"{made.latency} clocks" if made.latency else "combinational"),
            ("LUTs (alkaid's estimate)", f"{made.lut_estimate:.0f}"),
            *_pixel_lines(result.pixel_cost),
            ("longest path (levels of adders)", f"{made.levels:.1f}"),
            ("register bits", made.register_bits),
            ("logit", f"{made.logit.bits} bits"),
            ("threshold code", threshold.code),
            ("signal efficiency, validation", f"{threshold.validation_efficiency:.4f}"),
            ("background rejection, validation", f"{threshold.validation_rejection:.4f}"),
            ("  lost to ties at the threshold", f"{result.tie_loss:.4f}"),
        ],
    )


def _pixel_lines(cost: PixelCost | None) -> list[tuple[str, str]]:
    """Return estimates of the parts; made as one they may share logic."""
    parts = [("features", cost.features), ("network", cost.network)] if cost else []
    return [(f"  of these, {name} alone", f"{luts:.0f}") for name, luts in parts]


def _layers(checked: Verification) -> Table:
    rows: list[Cells] = []
    for one in checked.counters:
        shares = (f"{100 * n / max(one.values, 1):.2f} %" for n in (one.saturated, one.below))
        rows.append((one.layer, one.sum_bits, one.values, *shares))
    columns = numbers("bits of a sum", "values", "saturated", "below 0")
    return table("integer program on the clusters", ("layer", *columns), rows)


def _compared(result: FirmwareResult) -> Table:
    checked, tools = result.verification, result.verification.tools
    vectors = checked.clusters + checked.corners
    names = {"keras": "Keras logit", "verilog_logit": "Verilog logit", "verilog_keep": "keep bit"}
    lines: list[tuple[str | int, ...]] = []
    lines += [(names[stage], vectors, n) for stage, n in checked.mismatches.items()]
    for what, check in (("netlist", result.netlist), ("VHDL", result.vhdl)):
        if check is None:
            continue
        if not check.vectors:
            lines.append((f"{what} {check.tool}", 0, "-"))
        for stage, n in check.mismatches.items():
            part = "logit" if stage.endswith("logit") else "keep bit"
            lines.append((f"{what} {part}", check.vectors, n))
    return table(
        f"{checked.clusters} clusters and {checked.corners} corner vectors",
        ("against the integer program", *numbers("vectors", "mismatches")),
        lines,
        f"{tools['simulator']}, alkaid {tools['alkaid']}",
    )
