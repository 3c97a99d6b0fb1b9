"""Tables of `evaluate` and `robustness`: figures of merit, data rate, slices, changed detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pixelsieve.report.comparison import METRIC_TITLES
from pixelsieve.report.spec import Cell, Column, Row, Table, numbers

if TYPE_CHECKING:
    from pixelsieve.evaluation.data_rate import Occupancy, Rate, Slice
    from pixelsieve.front_end import FrontEndSummary
    from pixelsieve.metrics.statistics import Interval, Metrics
    from pixelsieve.studies.robustness import RobustnessResult, RobustnessRow


def read_out_table(front_end: FrontEndSummary) -> Table:
    """Return how many clusters have a pixel left after the front end; the rest is not read out."""
    rows = []
    for name, by_class in front_end.clusters.items():
        cells = [name]
        for kind in ("signal", "bib"):
            collected, seen = by_class[kind].collected, by_class[kind].read_out
            cells += [f"{seen} of {collected}", f"{seen / collected:.4f}" if collected else "-"]
        rows.append(Row(tuple(cells)))
    columns = (Column("split"), *numbers("signal", "share", "BIB", "share"))
    return Table("Clusters read out by the front end", columns, tuple(rows))


def scores_table(title: str, figures: Metrics, intervals: Mapping[str, Interval]) -> Table:
    """Return the figures of merit of one model with their bootstrap intervals."""
    rows = []
    for name, text in METRIC_TITLES.items():
        kind, _, efficiency = name.partition("_")
        more = ("efficiency", "tie_loss") if kind == "rejection" else ()
        also = [f"{figures[f'{one}_{efficiency}']:.4f}" for one in more] or ["", ""]
        interval = f"{intervals[name].low:.4f} to {intervals[name].high:.4f}"
        rows.append(Row((text, f"{figures[name]:.4f}", interval, *also)))
    titles = ("value", "68 % interval", "achieved signal efficiency", "lost to ties")
    return Table(title, (Column("figure of merit"), *numbers(*titles)), tuple(rows))


def data_rate_table(rates: Sequence[Rate], occupancy: Occupancy | None) -> Table:
    """Return the fraction of the BIB that is left, and rates of the whole layer if known."""
    title = "Data rate of the layer"
    more: tuple[Column, ...] = ()
    if occupancy is not None:
        title += (
            f", assumed: {occupancy.clusters_per_cm2:g} BIB clusters per cm² and crossing "
            f"(--hit-density), {occupancy.crossings_per_s:g} crossings per second, "
            f"{occupancy.bits_per_pixel:g} bits per pixel (--bits-per-pixel)"
        )
        more = numbers("clusters per cm²", "pixels per cm²", "Gbit/s")
    rows = []
    for rate in rates:
        efficiency = "no filter" if rate.efficiency == 1 else f"{rate.signal_efficiency:.4f}"
        pixels = "-" if rate.bib_pixels is None else f"{rate.bib_pixels:.4f}"
        layer = (rate.clusters_per_cm2, rate.pixels_per_cm2, rate.gbit_per_s)
        known = [f"{one:.1f}" for one in layer if one is not None]
        rows.append(Row((efficiency, f"{rate.bib_clusters:.4f}", pixels, *known)))
    columns = (Column("signal efficiency"), *numbers("BIB clusters left", "BIB pixels left"), *more)
    return Table(title, columns, tuple(rows))


def slices_table(slices: Sequence[Slice]) -> Table:
    """Return signal efficiency and rejection by slices."""
    rows, variable = [], None
    for one in slices:
        if one.variable != variable:
            variable = one.variable
            rows.append(Row((f"{variable} ({one.unit})", "", "", "", ""), section=True))
        kept = one.bib_kept and tuple(1 - share for share in one.bib_kept)
        shares = (_interval(one.signal_kept), _interval(kept))
        counts = (str(one.n_signal), str(one.n_bib))
        rows.append(Row((f"  {_range(one)}", counts[0], shares[0], counts[1], shares[1])))
    title = "By slices, at 98 % signal efficiency: fraction and its 68 % interval"
    columns = (Column("slice"), *numbers("signal", "efficiency", "BIB", "rejection"))
    return Table(title, columns, tuple(rows))


def _range(one: Slice) -> str:
    """Return a slice in the unit of its variable; whole numbers as the ones that are in it."""
    low, high = one.low, one.high
    if low is None:
        return f"below {high:.3g}"
    if high is None:
        return f"{low:.3g} and above"
    if one.variable == "cluster_size":
        return f"{low:.0f}" if high == low + 1 else f"{low:.0f} to {high - 1:.0f}"
    return f"{low:.3g} to {high:.3g}"


def _interval(share: tuple[float, ...] | None) -> str:
    """Return the value, then low to high, whichever way round the ends are given."""
    if share is None:
        return "-"
    low, high = sorted(share[1:])
    return f"{share[0]:.3f} {low:.3f} to {high:.3f}".replace(" 0.", " .")


_MERITS = {
    "signal_efficiency": ("signal efficiency", "signal\nefficiency"),
    "rejection": ("BIB rejection", "BIB\nrejection"),
    "rejection_reset": ("rejection, cut set again", "rejection,\ncut set again"),
    "auc": ("AUC", "\nAUC"),
}
"""Titles of figures of merit for a page and for a terminal, in the order of the columns."""


def robustness_tables(result: RobustnessResult) -> list[Table]:
    """Return a table per approach: how its frozen threshold fares on changed detectors."""
    columns = (
        Column("detector"),
        *(Column(title, number=True, short=short) for title, short in _MERITS.values()),
        Column("clusters read out, lost", number=True, short="clusters,\nlost"),
        Column("difference to", rank=1),
    )
    tables = []
    for one in result.approaches:
        networks, kind = len(one.networks), None
        counted = f"mean ± spread of {networks} networks" if networks > 1 else "one network"
        rows = []
        for row in one.rows:
            merits = (_merit(row, name, spread=networks > 1) for name in _MERITS)
            cells: tuple[Cell | str, ...] = (row.label, *merits, _read_out(row), row.against or "")
            rows.append(Row(cells, section=kind not in (None, row.kind)))
            kind = row.kind
        tables.append(
            Table(
                f"{one.approach}, {counted}, {result.split} split: threshold frozen at "
                f"{100 * result.efficiency:g} % signal efficiency on validation",
                columns,
                tuple(rows),
                "Of the clusters that are read out. Second lines: difference to the nominal row "
                "and its statistical error (particles drawn again; the same ones for both, if "
                "they are the same)",
                source="robustness.json",
                second_lines=True,
            )
        )
    return tables


def _merit(row: RobustnessRow, name: str, *, spread: bool) -> Cell:
    """Return a figure of merit with its spread over networks, and below it the difference."""
    value, change = row.figures[name], (row.difference or {}).get(name)
    if value.mean is None:
        return Cell("-")
    second = ""
    if change is not None and change.mean is not None:
        second = f"{change.mean:+.4f}"
        if change.error is not None:
            second += f" ±{change.error:.4f}".replace("±0.", "±.")
    shown = f"± {value.spread:.4f}" if spread else ""
    return Cell(f"{value.mean:.4f}", shown, second, value.mean)


def _read_out(row: RobustnessRow) -> Cell:
    """Return how many clusters are read out, and the fraction that lost every pixel."""
    collected, read = (
        sum(one[what] for one in row.clusters.values()) for what in ("collected", "read_out")
    )
    return Cell(f"{read}\n{100 * (1 - read / collected):.2f} %", value=read)
